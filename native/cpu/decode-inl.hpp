// SPDX-License-Identifier: Apache-2.0
// Rows from their int8 codes (code_layout.hpp): v = m + R' (s c), each sum in the order of the axes, so that
// a row is the same however many are decoded with it. Included once per target by codes.cpp (no include guard
// on purpose).

HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE {

class Decoder {
 public:
  explicit Decoder(const DecodeTile& tile) : tile_(tile), shape_(*tile.shape) {}

  void run() const {
    for (int32_t first = 0; first < tile_.count; first += kDecodedAtOnce) {
      const int32_t count = std::min(kDecodedAtOnce, tile_.count - first);
      for (int32_t i = 0; i < count; ++i)
        read_codes(tile_.rows[first + i], tile_.work + i * shape_.coded_dim());
      float* const* to = tile_.to + first;
      if (shape_.rotation == nullptr) {
        for (int32_t i = 0; i < count; ++i) copy(tile_.work + i * shape_.coded_dim(), to[i]);
      } else {
        rotate_back<kDecodedAtOnce>(count, to);
      }
    }
  }

 private:
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;
  static constexpr int64_t kLanes = hn::MaxLanes(D());
  static constexpr int kVectors = 4;  // of sums of a row: with 4 rows 16 of them, each read of R serves 4

  // s c, exactly: 8 and 7 bits.
  void read_codes(int32_t row, float* y) const {
    const float scale = std::bit_cast<float>(static_cast<uint32_t>(tile_.from.sides[row]) << 16);
    for (int64_t level = 0; level < shape_.levels; ++level)
      for (int64_t chunk = 0; chunk < shape_.level_dims / kChunkFloats; ++chunk) {
        const uint8_t* codes =
            tile_.from.codes + level * tile_.from.level_stride + chunk * kChunkStride + row * kChunkFloats;
        for (int64_t i = 0; i < kChunkFloats; ++i)
          *y++ = scale * static_cast<float>(int{codes[i]} - kCodeBias);
      }
  }

  // `count` floats, at most a vector's, and zeros.
  static HWY_INLINE V load_some(const float* from, int64_t count) {
    HWY_ALIGN float some[kLanes] = {};
    std::memcpy(some, from, static_cast<size_t>(count) * sizeof(float));
    return hn::Load(D(), some);
  }

  // `count` values from dimension `dim` on, `dim` and what is stored a multiple of a chunk; padding is zero.
  void put(const float* values, int64_t dim, int64_t count, float* to) const {
    for (int64_t i = 0; i < count; i += kChunkFloats)
      std::memcpy(to + (dim + i) / kChunkFloats * kChunkStride, values + i, kChunkFloats * sizeof(float));
  }

  void copy(const float* y, float* to) const {
    for (int64_t dim = 0; dim < shape_.chunks * kChunkFloats; dim += kChunkFloats) {
      float values[kChunkFloats] = {};
      for (int64_t i = 0; i < std::min(kChunkFloats, shape_.dim - dim); ++i)
        values[i] = y[dim + i] + (shape_.mean == nullptr ? 0.0f : shape_.mean[dim + i]);
      put(values, dim, kChunkFloats, to);
    }
  }

  template <int R>
  void rotate_back(int32_t rows, float* const* to) const {
    if constexpr (R > 1) {
      if (rows < R) return rotate_back<R - 1>(rows, to);
    }
    int64_t dim = 0;
    for (; dim + kVectors * kLanes <= shape_.dim; dim += kVectors * kLanes)
      sum_axes<R, kVectors>(dim, kLanes, to);
    for (; dim < shape_.dim; dim += kLanes) sum_axes<R, 1>(dim, std::min(kLanes, shape_.dim - dim), to);
  }

  // Dimensions [dim, dim + N lanes), of the last vector `lanes`.
  template <int R, int N>
  HWY_INLINE void sum_axes(int64_t dim, int64_t lanes, float* const* to) const {
    const D d;
    V sums[R][N];
    NF_UNROLL
    for (int r = 0; r < R; ++r) {
      NF_UNROLL
      for (int n = 0; n < N; ++n) sums[r][n] = hn::Zero(d);
    }
    const float* axis = shape_.rotation + dim;
    for (int64_t i = 0; i < shape_.dim; ++i, axis += shape_.dim) {
      V of_axis[N];
      NF_UNROLL
      for (int n = 0; n < N; ++n)
        of_axis[n] = N > 1 ? hn::LoadU(d, axis + n * kLanes) : load_some(axis, lanes);
      NF_UNROLL
      for (int r = 0; r < R; ++r) {
        const V y = hn::Set(d, tile_.work[r * shape_.coded_dim() + i]);
        NF_UNROLL
        for (int n = 0; n < N; ++n) sums[r][n] = hn::MulAdd(y, of_axis[n], sums[r][n]);
      }
    }
    HWY_ALIGN float values[N * kLanes];
    for (int r = 0; r < R; ++r) {
      for (int n = 0; n < N; ++n) {
        V v = sums[r][n];
        if (shape_.mean != nullptr)
          v = hn::Add(v, load_some(shape_.mean + dim + n * kLanes, N > 1 ? kLanes : lanes));
        hn::Store(v, d, values + n * kLanes);
      }
      put(values, dim, N > 1 ? N * kLanes : round_up(lanes, kChunkFloats), to[r]);
    }
  }

  const DecodeTile& tile_;
  const CodeShape& shape_;
};

inline void decode(const DecodeTile& tile) { Decoder(tile).run(); }

}  // namespace nearfield::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
