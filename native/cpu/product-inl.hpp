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

// bounds.hpp derives the tests: a row is out when h_v - m_v p > cut. `row` is what row() made of its side
// value.
struct LowerOfSquaredL2 {
  static constexpr bool kCanonical = false;
  template <class V>
  static HWY_INLINE V row(V side, V half) {
    return hn::Mul(side, half);
  }
  template <class D, class V>
  static HWY_INLINE V value(D, V product, V row, V) {
    return hn::Sub(row, product);
  }
};
struct LowerOfCosine {
  static constexpr bool kCanonical = false;
  template <class V>
  static HWY_INLINE V row(V side, V) {
    return side;
  }
  template <class D, class V>
  static HWY_INLINE V value(D, V product, V row, V half) {
    return hn::NegMulAdd(product, row, half);
  }
};
// The product is the canonical form itself.
struct RankOfDot {
  static constexpr bool kCanonical = true;
  template <class V>
  static HWY_INLINE V row(V side, V) {
    return side;
  }
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
  static constexpr int64_t kLanes = hn::MaxLanes(D());
  // Two dimensions per round of the loop: 3% faster than one at 96 dimensions; four gain nothing more.
  static constexpr int kUnroll = 2;

  template <int Q>
  using Sums = V[Q][kR];

  // Chains of multiply-adds over `length` dimensions: `rows` [dimension][places], `panel` [dimension][Q].
  template <int Q>
  HWY_INLINE void chain(const float* rows, const float* panel, int64_t length, Sums<Q>& sums) const {
    const D d;
    Prefetcher next = ahead;
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      NF_UNROLL
      for (int i = 0; i < kR; ++i) sums[q][i] = hn::Zero(d);
    }
    for (; length >= kUnroll; length -= kUnroll, rows += kUnroll * kPassPlaces, panel += kUnroll * Q) {
      next.step<kUnroll>();
      NF_UNROLL
      for (int i = 0; i < kUnroll; ++i) dimension<Q>(rows + i * kPassPlaces, panel + i * Q, sums);
    }
    for (; length != 0; --length, rows += kPassPlaces, panel += Q) dimension<Q>(rows, panel, sums);
    ahead = next;
  }
  template <int Q>
  static HWY_INLINE void dimension(const float* rows, const float* panel, Sums<Q>& sums) {
    const D d;
    V v[kR];
    NF_UNROLL
    for (int i = 0; i < kR; ++i) v[i] = hn::Load(d, rows + i * kLanes);
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      const V x = hn::Set(d, panel[q]);
      NF_UNROLL
      for (int i = 0; i < kR; ++i) sums[q][i] = Dot::add(d, x, v[i], sums[q][i]);
    }
  }
  template <int Q>
  static HWY_INLINE void add(const float* from, Sums<Q>& sums) {
    const D d;
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      NF_UNROLL
      for (int i = 0; i < kR; ++i)
        sums[q][i] = hn::Add(hn::Load(d, from + (q * kR + i) * kLanes), sums[q][i]);
    }
  }
  template <int Q>
  static HWY_INLINE void store(const Sums<Q>& sums, float* to) {
    const D d;
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      NF_UNROLL
      for (int i = 0; i < kR; ++i) hn::Store(sums[q][i], d, to + (q * kR + i) * kLanes);
    }
  }

  // Residues 0 and 2, then 1 and 3, then their sum.
  template <int Q>
  HWY_INLINE void canonical(const float* rows, const float* panel, Sums<Q>& sums) const {
    constexpr int64_t order[] = {0, 2, 1, 3};
    HWY_ALIGN float halves[2][Q * kPassPlaces];
    for (int i = 0; i < 4; ++i) {
      chain<Q>(rows + order[i] * tile.chunks * kPassPlaces, panel + order[i] * tile.chunks * Q, tile.chunks,
               sums);
      if (i % 2 != 0) add<Q>(halves[i / 2], sums);
      if (i != 3) store<Q>(sums, halves[i / 2]);
    }
    add<Q>(halves[0], sums);
  }

  // Any order will do: longer chains, fewer sums in between.
  template <int Q>
  HWY_INLINE void in_segments(const float* rows, const float* panel, Sums<Q>& sums) const {
    const Segments segments(tile.chunks);
    HWY_ALIGN float total[Q * kPassPlaces];
    int64_t from = 0;
    do {
      const int64_t length = std::min(segments.length, segments.dims - from);
      chain<Q>(rows + from * kPassPlaces, panel + from * Q, length, sums);
      if (from != 0) add<Q>(total, sums);
      from += length;
      if (from < segments.dims) store<Q>(sums, total);
    } while (from < segments.dims);
  }

  template <int Q>
  HWY_NOINLINE void body(int32_t first, const float* panel, int64_t place) const {
    const D d;
    const float* rows = tile.rows + place * kChunkFloats * tile.chunks;
    Sums<Q> sums;
    if constexpr (Test::kCanonical)
      canonical<Q>(rows, panel, sums);
    else
      in_segments<Q>(rows, panel, sums);
    const V half = hn::Set(d, tile.half_shrunk);
    V row[kR];
    NF_UNROLL
    for (int i = 0; i < kR; ++i) row[i] = Test::row(hn::Load(d, tile.side + place + i * kLanes), half);
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      const V cut = hn::Set(d, tile.cuts[first + q]);
      uint32_t kept = 0;
      NF_UNROLL
      for (int i = 0; i < kR; ++i) {
        const V value = Test::value(d, sums[q][i], row[i], half);
        if constexpr (Test::kCanonical)
          hn::StoreU(value, d, tile.ranks + (first + q) * kGroupRows + place + i * kLanes);
        kept |= bits_of(d, hn::Le(value, cut)) << (i * kLanes);
      }
      tile.kept[first + q] |= kept << place;
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
