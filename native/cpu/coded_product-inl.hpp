// SPDX-License-Identifier: Apache-2.0
// Many queries of one term against one group: an integer product whose sums stay in registers, then the test
// (ProductTest). Included by codes.cpp once for each unit, after product_test-inl.hpp (no include
// guard on purpose).

template <class U, bool Beta>
class CodedPanels {
  static constexpr bool kByPairs = requires { &U::add_pairs; };

 public:
  static constexpr int32_t kPackedDims = kByPairs ? 8 : 4;

  explicit CodedPanels(const CodedProductTile& tile)
      : tile_(tile),
        chunks_(tile.shape->coded_dim() / kChunkFloats),
        ahead_{tile.ahead, tile.ahead_end},
        rows_(tile) {}

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
    for (int32_t q = 0; q < Q; ++q) tile_.kept[first + q] = rows_.always();
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
      for (int v = 0; v < kUnitVectors; ++v)
        kept |= rows_.kept(test, sums[q][v], at + v * kLanes) << (v * kLanes);
      tile_.kept[first + q] |= kept << at;
    }
  }

  const CodedProductTile& tile_;
  const int64_t chunks_;
  Prefetcher ahead_;
  const TestedRows<Beta> rows_;
};

inline void coded_product(const CodedProductTile& tile) {
  if (tile.shape->has_beta)
    CodedPanels<Unit, true>(tile).run();
  else
    CodedPanels<Unit, false>(tile).run();
}
