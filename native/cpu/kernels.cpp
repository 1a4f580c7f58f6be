// SPDX-License-Identifier: Apache-2.0
// Compiled once per target by Highway's foreach_target. Dispatch is our own table (compiled_paths), not
// Highway's: a path is chosen per device, and nothing of libhwy is needed at link or run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels.cpp"
#include "kernels.hpp"

#include <algorithm>
#include <type_traits>

#include "nearfield/nearfield.h"
#include "x86.hpp"
// clang-format off
#include "hwy/foreach_target.h"  // before highway.h
#include "canonical-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE {

using Full = hn::ScalableTag<float>;
using Block = hn::FixedTag<float, 4>;

// Queries per pass over the rows: as many as leave their sums (4 vectors each), the rows and two temporaries
// in registers: 16 on AVX2, 32 on AVX-512 and NEON.
#if HWY_TARGET == HWY_AVX2
inline constexpr int kDirectQueries = 2;
inline constexpr int kProductQueries = 3;
#elif HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
inline constexpr int kDirectQueries = 6;
inline constexpr int kProductQueries = 6;
#else
inline constexpr int kDirectQueries = 1;
inline constexpr int kProductQueries = 1;
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
    for (int q = 0; q < Q; ++q) tile.kept[first + q] = 0;
    for (int64_t row = 0; row < kGroupRows; row += lanes) {
      hn::Vec<Full> sums[Q][kVectors];
      const GroupRows<Term, Full> rows{tile.rows + row * kChunkFloats, scale + row * kChunkFloats};
      partial_sums<Term, Q>(d, rows, tile.queries + first, tile.chunks, sums);
      const auto side = hn::LoadU(d, tile.side + row);
      for (int q = 0; q < Q; ++q) {
        const auto ranks = Term::finish(d, join(d, sums[q]), side);
        hn::StoreU(ranks, d, tile.ranks + (first + q) * kGroupRows + row);
        const auto within = hn::Le(ranks, hn::Set(d, tile.limits[first + q]));
        tile.kept[first + q] |= bits_of(d, within) << row;
      }
    }
  }
};

template <class Term>
void direct(const DirectTile& tile) {
  HWY_ALIGN float scale[kGroupRows * kChunkFloats];
  spread_side<Term>(tile.side, scale);
  constexpr int most = std::is_same_v<Term, Dot> ? kProductQueries : kDirectQueries;
  in_passes<most>(tile.count, DirectPass<Term>{tile, scale});
}

// bounds.hpp derives the test: a row is out when h_v - m_v p > cut.
template <class Term>
struct MatrixPass {
  const MatrixTile& tile;

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
    for (int q = 0; q < Q; ++q) tile.kept[first + q] = 0;
    for (int64_t row = 0; row < kGroupRows; row += lanes) {
      hn::Vec<Full> sums[Q][kVectors];
      const GroupRows<Dot, Full> rows{tile.rows + row * kChunkFloats, nullptr};
      partial_sums<Dot, Q>(d, rows, tile.queries + first, tile.chunks, sums);
      const auto side = hn::LoadU(d, tile.side + row);
      const auto half = hn::Set(d, tile.half_shrunk);
      for (int q = 0; q < Q; ++q) {
        const auto product = join(d, sums[q]);
        hn::Vec<Full> lower;
        if constexpr (Term::kScaled) {
          lower = hn::NegMulAdd(product, side, half);
        } else {
          lower = hn::Sub(hn::Mul(side, half), product);
        }
        tile.kept[first + q] |= bits_of(d, hn::Le(lower, hn::Set(d, tile.cuts[first + q]))) << row;
      }
    }
  }
};

template <class Term>
void matrix(const MatrixTile& tile) {
  in_passes<kProductQueries>(tile.count, MatrixPass<Term>{tile});
}

template <class Term>
void row_list(const RowList& list) {
  const Block d;
  for (int64_t first = 0; first < list.count; first += kVectors) {
    const int64_t count = std::min<int64_t>(kVectors, list.count - first);
    const float* at[kVectors];
    HWY_ALIGN float side[kVectors], ranks[kVectors];
    for (int64_t i = 0; i < kVectors; ++i) {
      const int64_t from = first + std::min(i, count - 1);  // the last row again fills up
      at[i] = list.rows[from];
      side[i] = list.side[from];
    }
    hn::Vec<Block> sums[1][kVectors];
    partial_sums<Term, 1>(d, ScatteredRows<Term, Block>{at, side}, &list.query, list.chunks, sums);
    hn::Store(Term::finish(d, join(d, sums[0]), hn::Load(d, side)), d, ranks);
    std::copy_n(ranks, count, list.ranks + first);
  }
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

inline constexpr Kernels kKernels = {
#if HWY_TARGET == HWY_AVX3
    "avx512",
#elif HWY_TARGET == HWY_AVX2
    "avx2",
#elif HWY_TARGET == HWY_NEON
    "neon",
#else
    "emu128",
#endif
    static_cast<int32_t>(hn::MaxLanes(Full())),
    &supported,
    {&direct<SquaredL2>, &direct<Cosine>, &direct<Dot>, &direct<Poincare>, &direct<Manhattan>},
    // The dot product is its own matrix form; Poincaré's loses all order near the boundary; Manhattan has
    // none.
    {&matrix<SquaredL2>, &matrix<Cosine>, nullptr, nullptr, nullptr},
    {&row_list<SquaredL2>, &row_list<Cosine>, &row_list<Dot>, &row_list<Poincare>, &row_list<Manhattan>},
};
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
