// SPDX-License-Identifier: Apache-2.0
// Rows to int8 codes (code_layout.hpp), a group of 32 at a time, a lane a row. Included once per target by
// codes.cpp, after product-inl.hpp (no include guard on purpose).

HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE {

class Encoder {
 public:
  explicit Encoder(const EncodeTile& tile) : tile_(tile), shape_(*tile.shape) {
    x_ = tile.work;
    y_ = x_ + shape_.chunks * kChunkStride;
    sums_ = y_ + shape_.coded_dim() * kGroupRows;
    spare_ = reinterpret_cast<uint8_t*>(sums_ + shape_.levels * kGroupRows);
  }

  void run() const {
    pack_centred();
    if (shape_.rotation == nullptr) {
      for (int64_t axis = 0; axis < shape_.dim; ++axis) copy_axis(axis);
    } else if (tile_.count <= kRotatedAtOnce) {
      rotate_rows();
    } else {
      rotate_group();
    }
    std::fill(y_ + shape_.dim * kGroupRows, y_ + shape_.coded_dim() * kGroupRows, 0.0f);
    if (tile_.codes_stay) {
      measure();
      return;
    }
    if (tile_.count == kGroupRows) {
      quantize(tile_.to);
      return;
    }
    const CodedGroup all = spare();
    quantize(all);
    copy_rows(all);
  }

 private:
  using D = hn::ScalableTag<float>;
  using DI = hn::RebindToSigned<D>;
  using DU = hn::RebindToUnsigned<D>;
  using V = hn::Vec<D>;
  using D16 = hn::Rebind<uint16_t, D>;
  using V16 = hn::Vec<D16>;
  static constexpr int64_t kLanes = hn::MaxLanes(D());
  static constexpr float kU = 0x1p-24f;

  // Where pack() puts dimension `dim` of the first place of a pass.
  float* packed(int64_t pass, int64_t dim) const {
    return x_ +
           ((pass * kChunkFloats + dim % kChunkFloats) * shape_.chunks + dim / kChunkFloats) * kPassPlaces;
  }

  void pack_centred() const {
    const D d;
    HWY_ALIGN float side[kGroupRows];
    pack(tile_.rows, tile_.side, shape_.chunks, x_, side);
    if (!shape_.scaled && shape_.mean == nullptr) return;
    for (int64_t pass = 0; pass < kGroupRows / kPassPlaces; ++pass)
      for (int64_t dim = 0; dim < shape_.chunks * kChunkFloats; ++dim) {
        float* at = packed(pass, dim);
        for (int64_t i = 0; i < kPassPlaces; i += kLanes) {
          V x = hn::Load(d, at + i);
          if (shape_.scaled) x = hn::Mul(x, hn::Load(d, side + pass * kPassPlaces + i));
          if (shape_.mean != nullptr) x = hn::Sub(x, hn::Set(d, shape_.mean[dim]));
          hn::Store(x, d, at + i);
        }
      }
  }

  // Places to rows (product-inl.hpp).
  static HWY_INLINE V in_row_order(V v) {
    const D d;
    constexpr size_t blocks = hn::MaxLanes(d) / kChunkFloats;
    if constexpr (blocks == 1) return v;
    HWY_ALIGN int32_t lane_of_row[hn::MaxLanes(d)];
    for (size_t row = 0; row < hn::MaxLanes(d); ++row)
      lane_of_row[row] = static_cast<int32_t>(row % blocks * kChunkFloats + row / blocks);
    return hn::TableLookupLanes(v, hn::SetTableIndices(d, lane_of_row));
  }

  void copy_axis(int64_t axis) const {
    const D d;
    for (int64_t pass = 0; pass < kGroupRows / kPassPlaces; ++pass)
      for (int64_t i = 0; i < kPassPlaces; i += kLanes)
        hn::Store(in_row_order(hn::Load(d, packed(pass, axis) + i)), d,
                  y_ + axis * kGroupRows + pass * kPassPlaces + i);
  }

  // What becomes of the sums of a panel: coordinates, in the order of rows; places of a pass; or what x
  // leaves of coordinates when they are taken off.
  enum class Sums { kCoordinates, kReduced, kTakenOff };

  // `panel` [length][Q], `rows` [length][places of a pass].
  template <int Q>
  HWY_NOINLINE void sum_panel(Sums kind, const float* rows, const float* panel, int64_t length,
                              const float* const* x, float* to) const {
    const D d;
    V sums[Q][kPanelVectors];
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      NF_UNROLL
      for (int i = 0; i < kPanelVectors; ++i) sums[q][i] = hn::Zero(d);
    }
    for (int64_t left = length; left != 0; --left, rows += kPassPlaces, panel += Q) {
      V v[kPanelVectors];
      NF_UNROLL
      for (int i = 0; i < kPanelVectors; ++i) v[i] = hn::Load(d, rows + i * kLanes);
      NF_UNROLL
      for (int q = 0; q < Q; ++q) {
        const V factor = hn::Set(d, panel[q]);
        NF_UNROLL
        for (int i = 0; i < kPanelVectors; ++i) sums[q][i] = hn::MulAdd(factor, v[i], sums[q][i]);
      }
    }
    const bool reduced = kind == Sums::kReduced, taken_off = kind == Sums::kTakenOff;
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      NF_UNROLL
      for (int i = 0; i < kPanelVectors; ++i) {
        V v = sums[q][i];
        if (taken_off) v = hn::Sub(hn::Load(d, x[q] + i * kLanes), v);
        if (reduced)
          hn::Store(v, d, to + q * kPassPlaces + i * kLanes);
        else
          hn::Store(in_row_order(v), d, to + q * kGroupRows + i * kLanes);
      }
    }
  }
  template <int Q>
  HWY_INLINE void sum_some(int64_t count, Sums kind, const float* rows, const float* panel, int64_t length,
                           const float* const* x, float* to) const {
    if constexpr (Q > 1) {
      if (count < Q) return sum_some<Q - 1>(count, kind, rows, panel, length, x, to);
    }
    sum_panel<Q>(kind, rows, panel, length, x, to);
  }
  // A matrix of `count` x `length` in panels, times `rows`.
  void multiply(Sums kind, const float* panel, int64_t count, const float* rows, int64_t length, int64_t pass,
                float* to) const {
    const Panels panels{count, (count + kPanelQueries - 1) / kPanelQueries};
    for (int64_t i = 0; i < panels.count; ++i) {
      const int64_t first = panels.first_query(i), some = panels.first_query(i + 1) - first;
      const float* x[kPanelQueries] = {};
      for (int64_t q = 0; kind == Sums::kTakenOff && q < some; ++q) x[q] = packed(pass, first + q);
      sum_some<kPanelQueries>(some, kind, rows, panel, length, x,
                              to + first * (kind == Sums::kReduced ? kPassPlaces : kGroupRows));
      panel += some * length;
    }
  }
  void rotate_group() const {
    const int64_t dims = shape_.chunks * kChunkFloats;
    for (int64_t pass = 0; pass < kGroupRows / kPassPlaces; ++pass) {
      const float* const x = packed(pass, 0);
      float* const y = y_ + pass * kPassPlaces;
      if (shape_.factors == 0) {
        multiply(Sums::kCoordinates, shape_.panels, shape_.dim, x, dims, pass, y);
        continue;
      }
      float* const reduced = sums_;  // of which nothing is used yet; with the spare part it is larger
      multiply(Sums::kReduced, shape_.reduce, shape_.factors, x, dims, pass, reduced);
      multiply(Sums::kTakenOff, shape_.expand, shape_.dim, reduced, shape_.factors, pass, y);
    }
  }

  void rotate_rows() const {
    RotateTile tile;
    tile.shape = &shape_;
    tile.count = tile_.count;
    tile.stride = kGroupRows;
    constexpr int64_t blocks = kLanes / kChunkFloats;
    for (int32_t i = 0; i < tile_.count; ++i) {
      const int64_t row = tile_.first + i, in_vector = row % kLanes;
      const int64_t place = row / kLanes * kLanes + in_vector % blocks * kChunkFloats + in_vector / blocks;
      // The rows by themselves, where no y is yet: in the sums' and spare part, which is larger.
      float* const x = sums_ + i * shape_.dim;
      for (int64_t dim = 0; dim < shape_.dim; ++dim)
        x[dim] = packed(place / kPassPlaces, dim)[place % kPassPlaces];
      tile.vectors[i] = x;
      tile.to[i] = y_ + row;
    }
    rotate(tile);
  }

  void quantize(const CodedGroup& to) const {
    for (int64_t row = 0; row < kGroupRows; row += kLanes) quantize_lanes(to, row);
  }

  // What the squares of y / s - c sum to, and |c|, as a row's error is stored; kAlwaysKeep where `always`.
  HWY_INLINE V16 stored_error(V rest, V norm, hn::Mask<D> always) const {
    const D d;
    const DI di;
    const auto dims = static_cast<float>(shape_.coded_dim()), terms = static_cast<float>(shape_.levels + 8);
    // t = y / s is rounded three times (1 / s, the product, the difference), and
    // |t| <= 127 sqrt(D) + |t - c|.
    const V residual = hn::MulAdd(hn::Sqrt(rest), hn::Set(d, 1 + (dims + 12) * kU),
                                  hn::Set(d, std::sqrt(dims) * 127 * 4 * kU));
    const V length = hn::MulAdd(norm, hn::Set(d, 1 + terms * kU), residual);
    const V error = hn::MulAdd(length, hn::Set(d, shape_.rounding), residual);
    const V units = hn::Mul(error, hn::Set(d, (1 + 8 * kU) / shape_.error_unit));
    always = hn::Or(always, hn::Ge(units, hn::Set(d, 65533.0f)));
    const auto stored = hn::Add(hn::ConvertTo(di, hn::IfThenZeroElse(always, units)), hn::Set(di, 1));
    return hn::DemoteTo(D16(), hn::IfThenElse(hn::RebindMask(di, always), hn::Set(di, kAlwaysKeep), stored));
  }

  // The errors of given codes.
  void measure() const {
    HWY_ALIGN uint16_t errors[kGroupRows];
    for (int64_t row = 0; row < kGroupRows; row += kLanes) measure_lanes(row, errors + row);
    std::copy_n(errors + tile_.first, tile_.count, tile_.to.sides + 2 * kGroupRows + tile_.first);
  }
  HWY_INLINE void measure_lanes(int64_t row, uint16_t* errors) const {
    const D d;
    const DI di;
    HWY_ALIGN float inverses[kLanes];
    for (int64_t i = 0; i < kLanes; ++i)
      inverses[i] =
          1.0f /
          std::max(kLeastScale, std::bit_cast<float>(static_cast<uint32_t>(tile_.to.sides[row + i]) << 16));
    const V inverse = hn::Load(d, inverses);
    V rest = hn::Zero(d), squares = hn::Zero(d);
    for (int64_t level = 0; level < shape_.levels; ++level) {
      V of_level = hn::Zero(d);  // exact, unlike a sum over all levels
      for (int64_t chunk = 0; chunk < shape_.level_dims / kChunkFloats; ++chunk) {
        const float* y = y_ + (level * shape_.level_dims + chunk * kChunkFloats) * kGroupRows + row;
        const auto words = hn::BitCast(
            di, hn::LoadU(DU(), reinterpret_cast<const uint32_t*>(
                                    tile_.to.codes + level * tile_.to.level_stride + chunk * kChunkStride) +
                                    row));
        auto shifted = hn::Xor(words, hn::Set(di, static_cast<int32_t>(0x80808080u)));
        NF_UNROLL
        for (int i = 0; i < kChunkFloats; ++i) {
          const V c = hn::ConvertTo(d, hn::ShiftRight<24>(hn::ShiftLeft<24>(shifted)));
          const V r = hn::Sub(hn::Mul(hn::Load(d, y + i * kGroupRows), inverse), c);
          rest = hn::MulAdd(r, r, rest);
          of_level = hn::MulAdd(c, c, of_level);
          shifted = hn::ShiftRight<8>(shifted);
        }
      }
      squares = hn::Add(squares, of_level);
    }
    const auto always =
        hn::Lt(rest, hn::Set(d, shape_.keeps_all ? std::numeric_limits<float>::infinity() : 0.0f));
    hn::StoreU(stored_error(rest, hn::Sqrt(squares), always), D16(), errors);
  }

  // Every rounding goes the safe way; u per operation, sums of n terms n u (docs/numerics.md).
  HWY_INLINE void quantize_lanes(const CodedGroup& to, int64_t row) const {
    const D d;
    const DI di;
    const DU du;
    V most = hn::Zero(d);
    for (int64_t axis = 0; axis < shape_.dim; ++axis)
      most = hn::Max(most, hn::Abs(hn::Load(d, y_ + axis * kGroupRows + row)));
    const float root = std::sqrt(static_cast<float>(shape_.coded_dim()));
    // |y| <= root * most: beyond 2^60 nothing is said of the row.
    auto always = hn::Gt(most, hn::Set(d, 0x1p60f / root));
    if (shape_.keeps_all) always = hn::Ge(most, hn::Zero(d));
    most = hn::IfThenZeroElse(always, most);
    const V wanted = hn::Max(hn::Mul(most, hn::Set(d, (1 + 4 * kU) / 127)), hn::Set(d, kLeastScale));
    const auto scale_bits = hn::ShiftRight<16>(hn::Add(hn::BitCast(du, wanted), hn::Set(du, 0xffffu)));
    const V scale = hn::BitCast(d, hn::ShiftLeft<16>(scale_bits));
    const V inverse = hn::IfThenZeroElse(always, hn::Div(hn::Set(d, 1.0f), scale));

    V rest = hn::Zero(d), squares = hn::Zero(d);
    for (int64_t level = 0; level < shape_.levels; ++level) {
      V of_level = hn::Zero(d);
      for (int64_t chunk = 0; chunk < shape_.level_dims / kChunkFloats; ++chunk) {
        const float* y = y_ + (level * shape_.level_dims + chunk * kChunkFloats) * kGroupRows + row;
        auto word = hn::Set(di, 0);
        NF_UNROLL
        for (int i = kChunkFloats; i-- > 0;) {
          const V t = hn::Mul(hn::Load(d, y + i * kGroupRows), inverse);
          const auto code = hn::NearestInt(hn::Min(hn::Max(t, hn::Set(d, -127.0f)), hn::Set(d, 127.0f)));
          const V c = hn::ConvertTo(d, code);
          const V r = hn::Sub(t, c);
          rest = hn::MulAdd(r, r, rest);
          of_level = hn::MulAdd(c, c, of_level);
          word = hn::Or(hn::ShiftLeft<8>(word), hn::And(code, hn::Set(di, 255)));
        }
        const auto biased = hn::Xor(hn::BitCast(du, word), hn::Set(du, 0x80808080u));
        hn::StoreU(
            biased, du,
            reinterpret_cast<uint32_t*>(to.codes + level * to.level_stride + chunk * kChunkStride) + row);
      }
      hn::Store(of_level, d, sums_ + level * kGroupRows + row);
      squares = hn::Add(squares, of_level);
    }

    const auto terms = static_cast<float>(shape_.levels + 8);
    const V norm = hn::Sqrt(squares);
    const V norm_units = hn::Mul(norm, hn::Set(d, (1 - terms * kU) / shape_.norm_unit));
    const auto stored = hn::ConvertTo(di, norm_units);  // truncates
    const V stored_norm = hn::Mul(hn::ConvertTo(d, stored), hn::Set(d, shape_.norm_unit));

    const V16 error = stored_error(rest, norm, always);
    const hn::Rebind<uint16_t, D> d16;
    const hn::Rebind<uint8_t, D> d8;
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, scale_bits)), d16, to.sides + row);
    hn::StoreU(hn::DemoteTo(d16, stored), d16, to.sides + kGroupRows + row);
    hn::StoreU(error, d16, to.sides + 2 * kGroupRows + row);
    if (shape_.has_beta) {
      HWY_ALIGN float side[kLanes];
      // Rows of padding have alpha 0.
      for (int64_t i = 0; i < kLanes; ++i) side[i] = std::max(1.0f, tile_.side[row + i]);
      const V beta = hn::Div(hn::Set(d, (1 + 8 * kU) / kBetaUnit), hn::Sqrt(hn::Load(d, side)));
      hn::StoreU(hn::DemoteTo(d16, hn::Add(hn::ConvertTo(di, beta), hn::Set(di, 1))), d16,
                 to.sides + 3 * kGroupRows + row);
    }

    const V per_norm =
        hn::Div(hn::Set(d, kTailUnits * (1 + 16 * kU)), hn::Max(stored_norm, hn::Set(d, 1.0f)));
    V tail = hn::Zero(d);
    for (int64_t level = shape_.levels - 1; level >= 1; --level) {
      tail = hn::Add(tail, hn::Load(d, sums_ + level * kGroupRows + row));
      const V share = hn::Mul(hn::Mul(hn::Sqrt(tail), hn::Set(d, 1 + terms * kU)), per_norm);
      // Rounded up: a zero stays one, all else is truncated and one more.
      const auto units = hn::ConvertTo(di, share);
      const auto above =
          hn::IfThenElseZero(hn::RebindMask(di, hn::Gt(share, hn::ConvertTo(d, units))), hn::Set(di, 1));
      hn::StoreU(hn::DemoteTo(d8, hn::Add(units, above)), d8, to.tails + (level - 1) * to.tail_stride + row);
    }
  }

  CodedGroup spare() const {
    CodedGroup all;
    all.codes = spare_;
    all.level_stride = shape_.level_dims * kGroupRows;
    all.tails = all.codes + shape_.coded_dim() * kGroupRows;
    all.tail_stride = kGroupRows;
    all.sides = reinterpret_cast<uint16_t*>(all.tails + shape_.levels * kGroupRows);
    return all;
  }

  void copy_rows(const CodedGroup& all) const {
    const auto first = static_cast<size_t>(tile_.first), count = static_cast<size_t>(tile_.count);
    for (int64_t level = 0; level < shape_.levels; ++level)
      for (int64_t chunk = 0; chunk < shape_.level_dims / kChunkFloats; ++chunk) {
        const int64_t at = chunk * kChunkStride;
        std::memcpy(tile_.to.codes + level * tile_.to.level_stride + at + first * 4,
                    all.codes + level * all.level_stride + at + first * 4, count * 4);
      }
    for (int64_t level = 1; level < shape_.levels; ++level)
      std::memcpy(tile_.to.tails + (level - 1) * tile_.to.tail_stride + first,
                  all.tails + (level - 1) * all.tail_stride + first, count);
    for (int64_t plane = 0; plane < (shape_.has_beta ? 4 : 3); ++plane)
      std::memcpy(tile_.to.sides + plane * kGroupRows + first, all.sides + plane * kGroupRows + first,
                  count * 2);
  }

  const EncodeTile& tile_;
  const CodeShape& shape_;
  float* x_;        // the packed group
  float* y_;        // [coded_dim][32], in the order of rows
  float* sums_;     // per level the squares of its codes, 32 each
  uint8_t* spare_;  // codes of a whole group of which only some rows are written
};

inline void encode(const EncodeTile& tile) { Encoder(tile).run(); }

}  // namespace nearfield::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
