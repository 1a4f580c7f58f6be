// SPDX-License-Identifier: Apache-2.0
// Many queries against one group: a small matrix product over rows and queries copied side by side, so that a
// lane is a row and no sum crosses lanes. Its bits are those of canonical-inl.hpp: the four partial sums are
// four products over the dimensions of one residue mod 4. Included once per target by kernels.cpp, after
// canonical-inl.hpp (no include guard on purpose).

HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE {

// Sums in registers: queries x row vectors, with the row vectors and one query beside them. 24 of 32
// registers, 12 of 16; per multiply-add 14/24 and 8/12 loads, below the two a cycle that the cores can do.
#if HWY_TARGET == HWY_AVX3
inline constexpr int kPanelQueries = 12;
inline constexpr int kPanelVectors = 2;
#elif HWY_TARGET == HWY_AVX2
inline constexpr int kPanelQueries = 6;
inline constexpr int kPanelVectors = 2;
#elif HWY_TARGET == HWY_NEON
inline constexpr int kPanelQueries = 6;
inline constexpr int kPanelVectors = 4;
#else
inline constexpr int kPanelQueries = 2;
inline constexpr int kPanelVectors = 2;
#endif

// Place p of a packed group holds row row_of_place(p): transposing four vectors within their 128-bit blocks
// leaves the rows in this order, and setting it right would cost as much again.
constexpr int row_of_place(int place) {
  constexpr int lanes = static_cast<int>(hn::MaxLanes(hn::ScalableTag<float>()));
  constexpr int blocks = lanes / 4;
  const int lane = place % lanes;
  return place / lanes * lanes + lane % 4 * blocks + lane / 4;
}

// Places that one pass covers; they lie side by side, so that a pass reads one stream.
inline constexpr int64_t kPassPlaces = kPanelVectors * hn::MaxLanes(hn::ScalableTag<float>());
static_assert(kGroupRows % kPassPlaces == 0);

// [chunk][32 rows][4] to [pass][dimension mod 4][chunk][places of the pass].
inline void pack(const float* rows, const float* side, int64_t chunks, float* packed, float* packed_side) {
  const hn::ScalableTag<float> d;
  const hn::Repartition<uint64_t, decltype(d)> pair;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const int64_t residue = chunks * kPassPlaces;  // floats
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    for (int64_t row = 0; row < kGroupRows; row += lanes) {
      const float* from = rows + chunk * kChunkStride + row * kChunkFloats;
      float* to =
          packed + row / kPassPlaces * kChunkFloats * residue + chunk * kPassPlaces + row % kPassPlaces;
      const auto a = hn::Load(d, from), b = hn::Load(d, from + lanes);
      const auto c = hn::Load(d, from + 2 * lanes), e = hn::Load(d, from + 3 * lanes);
      const auto ab01 = hn::BitCast(pair, hn::InterleaveLower(d, a, b));
      const auto ab23 = hn::BitCast(pair, hn::InterleaveUpper(d, a, b));
      const auto ce01 = hn::BitCast(pair, hn::InterleaveLower(d, c, e));
      const auto ce23 = hn::BitCast(pair, hn::InterleaveUpper(d, c, e));
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pair, ab01, ce01)), d, to);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pair, ab01, ce01)), d, to + residue);
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pair, ab23, ce23)), d, to + 2 * residue);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pair, ab23, ce23)), d, to + 3 * residue);
    }
  }
  for (int place = 0; place < kGroupRows; ++place) packed_side[place] = side[row_of_place(place)];
}

// bounds.hpp derives the tests: a row is out when h_v - m_v p > cut.
struct LowerOfSquaredL2 {
  template <class D, class V>
  static HWY_INLINE V value(D, V product, V side, V half) {
    return hn::Sub(hn::Mul(side, half), product);
  }
};
struct LowerOfCosine {
  template <class D, class V>
  static HWY_INLINE V value(D, V product, V side, V half) {
    return hn::NegMulAdd(product, side, half);
  }
};
// The product is the canonical form itself.
struct RankOfDot {
  template <class D, class V>
  static HWY_INLINE V value(D d, V product, V, V) {
    return Dot::finish(d, product, product);
  }
};

template <class Test>
struct PanelPass {
  const ProductTile& tile;
  Prefetcher& ahead;

  template <int Q>
  void run(int32_t queries, int32_t first, const float* panel, int64_t place) const {
    if constexpr (Q > 1) {
      if (queries < Q) return run<Q - 1>(queries, first, panel, place);
    }
    body<Q>(first, panel, place);
  }

 private:
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;
  static constexpr int kR = kPanelVectors;
  static constexpr int kUnroll = 2;
  static constexpr int64_t kLanes = hn::MaxLanes(D());

  // The partial sums of one residue mod 4: `rows` [chunk][places], `panel` [chunk][Q], to [Q][kR] vectors.
  template <int Q>
  HWY_INLINE void chain(const float* rows, const float* panel, float* to) const {
    const D d;
    Prefetcher next = ahead;
    V sums[Q][kR];
    for (int q = 0; q < Q; ++q)
      for (int i = 0; i < kR; ++i) sums[q][i] = hn::Zero(d);
    const auto dimension = [&](const float* row, const float* query) HWY_ATTR {
      V v[kR];
      for (int i = 0; i < kR; ++i) v[i] = hn::Load(d, row + i * kLanes);
      for (int q = 0; q < Q; ++q) {
        const V x = hn::Set(d, query[q]);
        for (int i = 0; i < kR; ++i) sums[q][i] = Dot::add(d, x, v[i], sums[q][i]);
      }
    };
    int64_t left = tile.chunks;
    for (; left >= kUnroll; left -= kUnroll, rows += kUnroll * kPassPlaces, panel += kUnroll * Q) {
      next.step<kUnroll>();
      for (int i = 0; i < kUnroll; ++i) dimension(rows + i * kPassPlaces, panel + i * Q);
    }
    for (; left != 0; --left, rows += kPassPlaces, panel += Q) dimension(rows, panel);
    for (int q = 0; q < Q; ++q)
      for (int i = 0; i < kR; ++i) hn::Store(sums[q][i], d, to + (q * kR + i) * kLanes);
    ahead = next;
  }

  template <int Q>
  HWY_NOINLINE void body(int32_t first, const float* panel, int64_t place) const {
    const D d;
    HWY_ALIGN float sums[kChunkFloats][Q * kPassPlaces];
    for (int64_t residue = 0; residue < kChunkFloats; ++residue)
      chain<Q>(tile.rows + (place * kChunkFloats + residue * kPassPlaces) * tile.chunks,
               panel + residue * tile.chunks * Q, sums[residue]);
    const V half = hn::Set(d, tile.half_shrunk);
    for (int i = 0; i < kR; ++i) {
      const int64_t at = place + i * kLanes;
      const V side = hn::Load(d, tile.side + at);
      for (int q = 0; q < Q; ++q) {
        const auto sum = [&](int residue) { return hn::Load(d, sums[residue] + (q * kR + i) * kLanes); };
        const V product = hn::Add(hn::Add(sum(0), sum(2)), hn::Add(sum(1), sum(3)));
        const V value = Test::value(d, product, side, half);
        if constexpr (std::is_same_v<Test, RankOfDot>)
          hn::StoreU(value, d, tile.ranks + (first + q) * kGroupRows + at);
        tile.kept[first + q] |= bits_of(d, hn::Le(value, hn::Set(d, tile.cuts[first + q]))) << at;
      }
    }
  }
};

template <class Test>
void product(const ProductTile& tile) {
  Prefetcher ahead{tile.ahead, tile.ahead_end};
  const PanelPass<Test> pass{tile, ahead};
  std::fill_n(tile.kept, tile.panel_count * tile.panel_queries + tile.wider_panels, 0u);
  for (int64_t place = 0; place < kGroupRows; place += kPassPlaces) {
    const float* panel = tile.panels;
    int32_t first = 0;
    for (int32_t i = 0; i < tile.panel_count; ++i) {
      const int32_t queries = tile.panel_queries + (i < tile.wider_panels ? 1 : 0);
      pass.template run<kPanelQueries>(queries, first, panel, place);
      first += queries;
      panel += queries * tile.chunks * kChunkFloats;
    }
  }
}

}  // namespace nearfield::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
