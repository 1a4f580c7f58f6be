// SPDX-License-Identifier: Apache-2.0
// Compiled once per target by Highway's foreach_target. Dispatch is our own table (compiled_paths), not
// Highway's: a path is chosen per device, and nothing of libhwy is needed at link or run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels.cpp"
#include "kernels.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "nearfield/nearfield.h"
#include "x86.hpp"
// clang-format off
#include "hwy/foreach_target.h"  // before highway.h
#include "canonical-inl.hpp"
#include "product-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE {

using Full = hn::ScalableTag<float>;
using Block = hn::FixedTag<float, 4>;

// Queries per pass over 16 rows (AVX-512, NEON: 4 vectors of 4 rows or of 1) or 8 (AVX2): as many as leave
// their sums, the rows and two temporaries in registers. Few queries take all 32 rows at once on AVX-512:
// lines then come in the order of memory.
#if HWY_TARGET == HWY_AVX2
inline constexpr int kDirectQueries = 2;
inline constexpr int kWideQueries = 1;
#elif HWY_TARGET == HWY_AVX3
inline constexpr int kDirectQueries = 6;
inline constexpr int kWideQueries = 3;
#elif HWY_TARGET == HWY_NEON
inline constexpr int kDirectQueries = 4;  // of 5 or 6 clang puts two of the sums on the stack
inline constexpr int kWideQueries = 0;
#else
inline constexpr int kDirectQueries = 1;
inline constexpr int kWideQueries = 0;
#endif

template <class Term>
HWY_INLINE void spread_side(const float* side, float* scale) {
  if constexpr (Term::kScaled)
    for (int64_t row = 0; row < kGroupRows; ++row)
      std::fill_n(scale + row * kChunkFloats, kChunkFloats, side[row]);
}

// Calls pass<q>(first) over `count` queries in passes of nearly equal size, at most Max.
template <int Max, class Pass>
HWY_INLINE void in_passes(int32_t count, const Pass& pass) {
  for (int32_t first = 0; first < count;) {
    const int32_t left = count - first;
    const int32_t passes = (left + Max - 1) / Max;
    const int32_t take = (left + passes - 1) / passes;
    pass.template run<Max>(take, first);
    first += take;
  }
}

template <class Term>
struct DirectPass {
  const DirectTile& tile;
  const float* scale;
  Prefetcher& ahead;

  template <int Q>
  HWY_INLINE void run(int32_t queries, int32_t first) const {
    if constexpr (Q > 1) {
      if (queries < Q) return run<Q - 1>(queries, first);
    }
    body<Q>(first);
  }
  template <int Q>
  HWY_NOINLINE void body(int32_t first) const {
    const Full d;
    constexpr int64_t lanes = hn::MaxLanes(d);
    constexpr int vectors = Q <= kWideQueries ? 2 * kVectors : kVectors;
    // A chunk's 8 lines by a pass that is likely the only one over its rows, enough to keep ahead otherwise.
    constexpr int lines = Q <= 3 ? 8 : 4;
    for (int q = 0; q < Q; ++q) tile.kept[first + q] = 0;
    for (int64_t row = 0; row < kGroupRows; row += lanes * vectors / kVectors) {
      hn::Vec<Full> sums[Q][vectors];
      const GroupRows<Term, Full> rows{tile.rows + row * kChunkFloats, scale + row * kChunkFloats};
      partial_sums<Term, lines, Q, vectors>(d, rows, tile.queries + first, tile.chunks, ahead, sums);
      NF_UNROLL
      for (int v = 0; v < vectors; v += kVectors) {
        const int64_t at = row + v / kVectors * lanes;
        const auto side = hn::LoadU(d, tile.side + at);
        NF_UNROLL
        for (int q = 0; q < Q; ++q) {
          const auto ranks = Term::finish(d, join(d, sums[q] + v), side);
          hn::StoreU(ranks, d, tile.ranks + (first + q) * kGroupRows + at);
          const auto within = hn::Le(ranks, hn::Set(d, tile.limits[first + q]));
          tile.kept[first + q] |= bits_of(d, within) << at;
        }
      }
    }
  }
};

template <class Term>
void direct(const DirectTile& tile) {
  HWY_ALIGN float scale[kGroupRows * kChunkFloats];
  spread_side<Term>(tile.side, scale);
  Prefetcher ahead{tile.ahead, tile.ahead_end};
  in_passes<kDirectQueries>(tile.count, DirectPass<Term>{tile, scale, ahead});
}

// N pairs side by side: a single chain of multiply-adds would wait for each to finish.
template <class Term, int N>
HWY_INLINE void some_pairs(const PairList& list, int64_t first) {
  const Block d;
  const float *query[N], *row[N];
  HWY_ALIGN float side[N], ranks[N];
  const int64_t count = std::min<int64_t>(N, list.count - first);
  for (int64_t i = 0; i < N; ++i) {
    const int64_t from = first + std::min(i, count - 1);  // the last pair again fills up
    query[i] = list.queries[from];
    row[i] = list.rows[from];
    side[i] = list.side[from];
  }
  hn::Vec<Block> sums[N];
  NF_UNROLL
  for (int i = 0; i < N; ++i) sums[i] = hn::Zero(d);
  for (int64_t chunk = 0; chunk < list.chunks; ++chunk) {
    NF_UNROLL
    for (int i = 0; i < N; ++i) {
      auto v = hn::Load(d, row[i] + chunk * kChunkStride);
      if constexpr (Term::kScaled) v = hn::Mul(v, hn::Set(d, side[i]));
      sums[i] = Term::add(d, hn::Load(d, query[i] + chunk * kChunkFloats), v, sums[i]);
    }
  }
  NF_UNROLL
  for (int i = 0; i < N; i += kVectors)
    hn::Store(Term::finish(d, join(d, sums + i), hn::Load(d, side + i)), d, ranks + i);
  std::copy_n(ranks, count, list.ranks + first);
}

template <class Term>
void pairs(const PairList& list) {
  int64_t first = 0;
  for (; list.count - first > kVectors; first += 2 * kVectors) some_pairs<Term, 2 * kVectors>(list, first);
  if (first < list.count) some_pairs<Term, kVectors>(list, first);
}

bool supported() {
#if HWY_TARGET == HWY_AVX3
  return x86_has_avx512();
#elif HWY_TARGET == HWY_AVX2
  return x86_has_avx2();
#else
  return true;  // NEON is part of arm64; the emulated target is plain C++
#endif
}

template <int... Place>
constexpr Kernels make_kernels(const char* name, std::integer_sequence<int, Place...>) {
  return {
      name,
      static_cast<int32_t>(hn::MaxLanes(Full())),
      &supported,
      kPanelQueries,
      {static_cast<uint8_t>(row_of_place(Place))...},
      &pack,
      {&direct<SquaredL2>, &direct<Cosine>, &direct<Dot>, &direct<Poincare>, &direct<Manhattan>},
      // Poincaré's product form loses all order near the boundary; Manhattan has none.
      {&product<LowerOfSquaredL2>, &product<LowerOfCosine>, &product<RankOfDot>, nullptr, nullptr},
      {&pairs<SquaredL2>, &pairs<Cosine>, &pairs<Dot>, &pairs<Poincare>, &pairs<Manhattan>},
  };
}

inline constexpr Kernels kKernels = make_kernels(
#if HWY_TARGET == HWY_AVX3
    "avx512",
#elif HWY_TARGET == HWY_AVX2
    "avx2",
#elif HWY_TARGET == HWY_NEON
    "neon",
#else
    "emu128",
#endif
    std::make_integer_sequence<int, kGroupRows>());
static_assert(NF_L2SQ == 1 && NF_COSINE == 2 && NF_DOT == 3 && NF_POINCARE == 4 && NF_MANHATTAN == 5);

}  // namespace nearfield::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nearfield::cpu {

namespace {
constexpr const Kernels* kPaths[] = {
#if HWY_TARGETS & HWY_AVX3
    &N_AVX3::kKernels,
#endif
#if HWY_TARGETS & HWY_AVX2
    &N_AVX2::kKernels,
#endif
#if HWY_TARGETS & HWY_NEON
    &N_NEON::kKernels,
#endif
#if HWY_TARGETS & HWY_EMU128
    &N_EMU128::kKernels,
#endif
};
}  // namespace

std::span<const Kernels* const> compiled_paths() { return kPaths; }

}  // namespace nearfield::cpu
#endif  // HWY_ONCE
