// SPDX-License-Identifier: Apache-2.0
// Many queries of one term against one group: an integer product whose sums stay in registers, then the test
// (ProductTest). Included by codes.cpp once for each unit, after levels-inl.hpp (no include guard on
// purpose).

template <class U, bool Beta>
class CodedPanels {
  static constexpr bool kByPairs = requires { &U::add_pairs; };

 public:
  static constexpr int32_t kPackedDims = kByPairs ? 8 : 4;

  explicit CodedPanels(const CodedProductTile& tile)
      : tile_(tile), chunks_(tile.shape->coded_dim() / kChunkFloats), ahead_{tile.ahead, tile.ahead_end} {
    const D d;
    for (int v = 0; v < kRowVectors; ++v) {
      const SideVector side = load_side(*tile.shape, tile.sides, v * kLanes);
      hn::Store(side.scale, d, scale_ + v * kLanes);
      hn::Store(side.error, d, error_ + v * kLanes);
      hn::Store(tile.dot ? side.norm
                         : hn::NegMulAdd(hn::Mul(side.error, side.error), hn::Set(d, tile.widen),
                                         hn::Mul(hn::Mul(side.norm, side.norm), hn::Set(d, tile.shrink))),
                d, row_ + v * kLanes);
      if constexpr (Beta)
        hn::Store(hn::Mul(from_u16(tile.sides + 3 * kGroupRows + v * kLanes), hn::Set(d, kBetaUnit)), d,
                  beta_ + v * kLanes);
      always_ |= bits_of(d, side.always) << (v * kLanes);
    }
  }

  void run() {
    const int8_t* panel = tile_.panels;
    int32_t first = 0;
    for (int32_t i = 0; i < tile_.panel_count; ++i) {
      const int32_t queries = tile_.panel_queries + (i < tile_.wider_panels ? 1 : 0);
      some<kUnitQueries>(queries, first, panel);
      first += queries;
      panel += queries * chunks_ * kChunkFloats;
    }
  }

 private:
  static constexpr int64_t kLanes = hn::MaxLanes(D());
  static constexpr int kRowVectors = static_cast<int>(kGroupRows / kLanes);

  template <int Q>
  HWY_INLINE void some(int32_t queries, int32_t first, const int8_t* panel) {
    if constexpr (Q > 1) {
      if (queries < Q) return some<Q - 1>(queries, first, panel);
    }
    for (int32_t q = 0; q < Q; ++q) tile_.kept[first + q] = always_;
    for (int v = 0; v < kRowVectors; v += kUnitVectors) body<Q>(first, panel, v);
  }

  template <int Q>
  using Sums = VI[Q][kUnitVectors];

  template <int Q>
  HWY_INLINE void dots(int32_t first, const int8_t* panel, const uint8_t* codes, Sums<Q>& sums) {
    const DI di;
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      NF_UNROLL
      for (int v = 0; v < kUnitVectors; ++v)
        sums[q][v] = hn::Set(di, U::kBiased ? -tile_.bias[first + q] : 0);
    }
    Prefetcher ahead = ahead_;
    for (int64_t chunk = 0; chunk < chunks_; ++chunk, codes += kChunkStride, panel += Q * 4) {
      ahead.step<1>();
      typename U::Rows rows[kUnitVectors];
      NF_UNROLL
      for (int v = 0; v < kUnitVectors; ++v) rows[v] = U::load(codes + v * kLanes * 4);
      NF_UNROLL
      for (int q = 0; q < Q; ++q) {
        NF_UNROLL
        for (int v = 0; v < kUnitVectors; ++v) sums[q][v] = U::add(sums[q][v], rows[v], panel + q * 4);
      }
    }
    ahead_ = ahead;
  }

  // Units of add_pairs(): a vector of sums has two rows and two queries, the last one with none beside it if
  // their number is odd. Sorted at the end.
  template <int Q>
  HWY_INLINE void dots_by_pairs(int32_t first, const int8_t* panel, const uint8_t* codes, Sums<Q>& sums) {
    const DI di;
    constexpr int kPairs = (Q + 1) / 2, kVectors = 2 * kUnitVectors;
    VI pairs[kPairs][kVectors];
    NF_UNROLL
    for (int p = 0; p < kPairs; ++p) {
      NF_UNROLL
      for (int v = 0; v < kVectors; ++v) pairs[p][v] = hn::Zero(di);
    }
    Prefetcher ahead = ahead_;
    for (int64_t step = 0; step < chunks_ / 2; ++step, codes += 2 * kChunkStride, panel += Q * 8) {
      ahead.step<2>();
      typename U::Queries queries[kPairs];
      NF_UNROLL
      for (int p = 0; p < kPairs; ++p)
        queries[p] = 2 * p + 1 < Q ? U::load_two(panel + p * 16) : U::load_one(panel + p * 16);
      NF_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const auto rows = U::load(codes + v * 16);
        NF_UNROLL
        for (int p = 0; p < kPairs; ++p) pairs[p][v] = U::add_pairs(pairs[p][v], rows, queries[p]);
      }
    }
    ahead_ = ahead;
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      const VI bias = hn::Set(di, U::kBiased ? tile_.bias[first + q] : 0);
      NF_UNROLL
      for (int v = 0; v < kUnitVectors; ++v) {
        const VI low = pairs[q / 2][2 * v], high = pairs[q / 2][2 * v + 1];
        sums[q][v] = hn::Sub(q % 2 == 0 ? hn::ConcatEven(di, high, low) : hn::ConcatOdd(di, high, low), bias);
      }
    }
  }

  template <int Q>
  HWY_NOINLINE void body(int32_t first, const int8_t* panel, int from) {
    const D d;
    Sums<Q> sums;
    const int64_t at = from * kLanes;
    const uint8_t* codes = tile_.codes + at * kPackedDims;
    if constexpr (kByPairs)
      dots_by_pairs<Q>(first, panel, codes, sums);
    else
      dots<Q>(first, panel, codes, sums);
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      const ProductTest& test = tile_.tests[first + q];
      uint32_t kept = 0;
      NF_UNROLL
      for (int v = 0; v < kUnitVectors; ++v) {
        const auto error = hn::Load(d, error_ + at + v * kLanes);
        auto x =
            hn::MulAdd(hn::Load(d, row_ + at + v * kLanes), hn::Set(d, test.per_row), hn::Set(d, test.fixed));
        x = hn::MulAdd(error, hn::Set(d, test.per_error), x);
        if constexpr (Beta) {
          const auto beta = hn::Load(d, beta_ + at + v * kLanes);
          auto g = hn::MulAdd(beta, hn::Set(d, test.beta_squared), hn::Set(d, test.per_beta));
          g = hn::MulAdd(error, hn::Set(d, test.per_beta_error), g);
          x = hn::MulAdd(beta, g, x);
        }
        const auto dots = hn::Mul(hn::ConvertTo(d, sums[q][v]), hn::Load(d, scale_ + at + v * kLanes));
        x = hn::MulAdd(dots, hn::Set(d, test.scale), x);
        kept |= bits_of(d, hn::Ge(x, hn::Zero(d))) << (v * kLanes);
      }
      tile_.kept[first + q] |= kept << at;
    }
  }

  const CodedProductTile& tile_;
  const int64_t chunks_;
  Prefetcher ahead_;
  uint32_t always_ = 0;
  HWY_ALIGN float scale_[kGroupRows], error_[kGroupRows], row_[kGroupRows], beta_[kGroupRows];
};

inline void coded_product(const CodedProductTile& tile) {
  if (tile.shape->has_beta)
    CodedPanels<Unit, true>(tile).run();
  else
    CodedPanels<Unit, false>(tile).run();
}
