// SPDX-License-Identifier: Apache-2.0
// A few vectors in the axes of a basis. Included once per target by codes.cpp (no include guard on purpose).

HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE {

// Each axis is read once for R vectors.
template <int R>
void rotate_some(const RotateTile& tile) {
  const hn::ScalableTag<float> d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  constexpr int kSums = 2;  // of each vector: with four, eight chains hide the latency of an addition
  const int64_t dim = tile.shape->dim;
  const float* axis = tile.shape->rotation;
  for (int64_t a = 0; a < dim; ++a, axis += dim) {
    hn::Vec<decltype(d)> sums[R][kSums];
    NF_UNROLL
    for (int r = 0; r < R; ++r) {
      NF_UNROLL
      for (int s = 0; s < kSums; ++s) sums[r][s] = hn::Zero(d);
    }
    int64_t i = 0;
    for (; i + kSums * lanes <= dim; i += kSums * lanes) {
      NF_UNROLL
      for (int s = 0; s < kSums; ++s) {
        const auto of_axis = hn::LoadU(d, axis + i + s * lanes);
        NF_UNROLL
        for (int r = 0; r < R; ++r)
          sums[r][s] = hn::MulAdd(of_axis, hn::LoadU(d, tile.vectors[r] + i + s * lanes), sums[r][s]);
      }
    }
    for (int r = 0; r < R; ++r) {
      float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sums[r][0], sums[r][1])));
      for (int64_t j = i; j < dim; ++j) sum += axis[j] * tile.vectors[r][j];
      tile.to[r][a * tile.stride] = sum;
    }
  }
}

template <int R>
HWY_INLINE void rotate_at_most(const RotateTile& tile) {
  if constexpr (R > 1) {
    if (tile.count < R) return rotate_at_most<R - 1>(tile);
  }
  rotate_some<R>(tile);
}

inline void rotate(const RotateTile& tile) { rotate_at_most<kRotatedAtOnce>(tile); }

}  // namespace nearfield::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
