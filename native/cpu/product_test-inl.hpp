// SPDX-License-Identifier: Apache-2.0
// ProductTest over the rows of a group: what it needs of them, read once for all queries. Included by
// codes.cpp once for each unit, after levels-inl.hpp (no include guard on purpose).

template <bool Beta>
class TestedRows {
 public:
  static constexpr int64_t kLanes = hn::MaxLanes(D());

  explicit TestedRows(const CodedProductTile& tile)
      : TestedRows(*tile.shape, tile.sides, tile.dot, tile.shrink, tile.widen) {}

  TestedRows(const CodeShape& shape, const uint16_t* sides, bool dot, float shrink, float widen) {
    const D d;
    for (int64_t row = 0; row < kGroupRows; row += kLanes) {
      const SideVector side = load_side(shape, sides, row);
      hn::Store(side.scale, d, scale_ + row);
      hn::Store(side.error, d, error_ + row);
      hn::Store(side.per_tail, d, per_tail_ + row);
      hn::Store(dot ? side.norm
                    : hn::NegMulAdd(hn::Mul(side.error, side.error), hn::Set(d, widen),
                                    hn::Mul(hn::Mul(side.norm, side.norm), hn::Set(d, shrink))),
                d, row_ + row);
      if constexpr (Beta)
        hn::Store(hn::Mul(from_u16(sides + 3 * kGroupRows + row), hn::Set(d, kBetaUnit)), d, beta_ + row);
      always_ |= bits_of(d, side.always) << row;
    }
  }

  uint32_t always() const { return always_; }

  // Of the rows from `row` on, whose integer dots with the query are given, a bit for each that is kept.
  HWY_INLINE uint32_t kept(const ProductTest& test, VI dots, int64_t row) const {
    const D d;
    const auto error = hn::Load(d, error_ + row);
    auto x = hn::MulAdd(hn::Load(d, row_ + row), hn::Set(d, test.per_row), hn::Set(d, test.fixed));
    x = hn::MulAdd(error, hn::Set(d, test.per_error), x);
    if constexpr (Beta) x = add_beta(test, error, row, x);
    const auto scaled = hn::Mul(hn::ConvertTo(d, dots), hn::Load(d, scale_ + row));
    x = hn::MulAdd(scaled, hn::Set(d, test.scale), x);
    return bits_of(d, hn::Ge(x, hn::Zero(d)));
  }

  // The same in registers, after some levels: what follows adds to a row's product with the query at most the
  // tail of the query times that of the row. `tails` as they are stored; NULL after the last level.
  struct Loaded {
    HWY_INLINE Loaded() {}  // an implicit one gets none of the attributes from gcc
    static constexpr int kRowVectors = static_cast<int>(kGroupRows / kLanes);
    hn::Vec<D> scale[kRowVectors], error[kRowVectors], row[kRowVectors], tail[kRowVectors];
    const TestedRows* rows;

    HWY_INLINE uint32_t kept(const ProductTest& test, const int32_t* dots, float tail_of_query) const {
      const D d;
      uint32_t bits = 0;
      NF_UNROLL
      for (int v = 0; v < kRowVectors; ++v) {
        auto x = hn::MulAdd(row[v], hn::Set(d, test.per_row), hn::Set(d, test.fixed));
        x = hn::MulAdd(error[v], hn::Set(d, test.per_error), x);
        if constexpr (Beta) x = rows->add_beta(test, error[v], v * kLanes, x);
        x = hn::MulAdd(tail[v], hn::Set(d, tail_of_query), x);
        const auto scaled = hn::Mul(hn::ConvertTo(d, hn::LoadU(DI(), dots + v * kLanes)), scale[v]);
        x = hn::MulAdd(scaled, hn::Set(d, test.scale), x);
        bits |= bits_of(d, hn::Ge(x, hn::Zero(d))) << (v * kLanes);
      }
      return bits;
    }
  };
  HWY_INLINE Loaded load(const uint8_t* tails) const {
    const D d;
    const hn::Rebind<uint8_t, D> d8;
    Loaded loaded;
    loaded.rows = this;
    NF_UNROLL
    for (int v = 0; v < Loaded::kRowVectors; ++v) {
      loaded.scale[v] = hn::Load(d, scale_ + v * kLanes);
      loaded.error[v] = hn::Load(d, error_ + v * kLanes);
      loaded.row[v] = hn::Load(d, row_ + v * kLanes);
      loaded.tail[v] = hn::Zero(d);
      if (tails != nullptr)
        loaded.tail[v] = hn::Mul(hn::ConvertTo(d, hn::PromoteTo(DI(), hn::LoadU(d8, tails + v * kLanes))),
                                 hn::Load(d, per_tail_ + v * kLanes));
    }
    return loaded;
  }

 private:
  HWY_INLINE hn::Vec<D> add_beta(const ProductTest& test, hn::Vec<D> error, int64_t row, hn::Vec<D> x) const {
    const D d;
    const auto beta = hn::Load(d, beta_ + row);
    auto g = hn::MulAdd(beta, hn::Set(d, test.beta_squared), hn::Set(d, test.per_beta));
    g = hn::MulAdd(error, hn::Set(d, test.per_beta_error), g);
    return hn::MulAdd(beta, g, x);
  }
  uint32_t always_ = 0;
  HWY_ALIGN float scale_[kGroupRows], error_[kGroupRows], row_[kGroupRows], per_tail_[kGroupRows],
      beta_[kGroupRows];
};
