// SPDX-License-Identifier: Apache-2.0
// ProductTest over the rows of a group: what it needs of them, read once for all queries. Included by
// codes.cpp once for each unit, after levels-inl.hpp (no include guard on purpose).

template <bool Beta>
class TestedRows {
 public:
  static constexpr int64_t kLanes = hn::MaxLanes(D());

  explicit TestedRows(const CodedProductTile& tile) {
    const D d;
    for (int64_t row = 0; row < kGroupRows; row += kLanes) {
      const SideVector side = load_side(*tile.shape, tile.sides, row);
      hn::Store(side.scale, d, scale_ + row);
      hn::Store(side.error, d, error_ + row);
      hn::Store(tile.dot ? side.norm
                         : hn::NegMulAdd(hn::Mul(side.error, side.error), hn::Set(d, tile.widen),
                                         hn::Mul(hn::Mul(side.norm, side.norm), hn::Set(d, tile.shrink))),
                d, row_ + row);
      if constexpr (Beta)
        hn::Store(hn::Mul(from_u16(tile.sides + 3 * kGroupRows + row), hn::Set(d, kBetaUnit)), d,
                  beta_ + row);
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
    if constexpr (Beta) {
      const auto beta = hn::Load(d, beta_ + row);
      auto g = hn::MulAdd(beta, hn::Set(d, test.beta_squared), hn::Set(d, test.per_beta));
      g = hn::MulAdd(error, hn::Set(d, test.per_beta_error), g);
      x = hn::MulAdd(beta, g, x);
    }
    const auto scaled = hn::Mul(hn::ConvertTo(d, dots), hn::Load(d, scale_ + row));
    x = hn::MulAdd(scaled, hn::Set(d, test.scale), x);
    return bits_of(d, hn::Ge(x, hn::Zero(d)));
  }

 private:
  uint32_t always_ = 0;
  HWY_ALIGN float scale_[kGroupRows], error_[kGroupRows], row_[kGroupRows], beta_[kGroupRows];
};
