// SPDX-License-Identifier: Apache-2.0
// The canonical final form, written once for every path, metric and kernel (docs/numerics.md): per row four
// partial sums by dimension mod 4, each a chain of fused multiply-adds over the chunks in ascending order
// from 0, then (s0+s2)+(s1+s3). A tile32 chunk is one 128-bit block, so each block of a vector holds the four
// partial sums of one row, whatever the vector's width: the bits cannot depend on the path.
// Included once per target by kernels.cpp (no include guard on purpose).

#include <cmath>

#include "hwy/highway.h"
#include "tile32.hpp"

// Before a loop over an array of vectors: only unrolled to its end does such an array live in registers.
// clang leaves nine rounds and more rolled unless told, and then stores a sum after every multiply-add.
#ifndef NF_UNROLL  // this file is included once per target
#if HWY_COMPILER_CLANG
#define NF_UNROLL _Pragma("clang loop unroll(full)")
#else
#define NF_UNROLL _Pragma("GCC unroll 16")  // the panel's 12 queries and some
#endif
#endif

HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// a * b + c with one rounding. Targets without the instruction take the C library's correctly rounded fmaf:
// slow, same bits.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V fused(D d, V a, V b, V c) {
#if HWY_NATIVE_FMA
  (void)d;
  return hn::MulAdd(a, b, c);
#else
  constexpr size_t n = hn::MaxLanes(d);
  HWY_ALIGN float x[n], y[n], z[n];
  hn::Store(a, d, x);
  hn::Store(b, d, y);
  hn::Store(c, d, z);
  for (size_t i = 0; i < n; ++i) z[i] = std::fma(x[i], y[i], z[i]);
  return hn::Load(d, z);
#endif
}

// a * a + c, likewise.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V fused_square(D d, V a, V c) {
#if HWY_COMPILER_CLANG && HWY_ARCH_X86 && HWY_NATIVE_FMA
  // Of a * a + c clang takes the instruction that overwrites a, gives every sum a second register for that,
  // and runs out of them: 32 accesses to the stack among 24 multiply-adds (DirectPass of three queries,
  // AVX-512).
  (void)d;
  asm("vfmadd231ps %1, %1, %0" : "+v"(c.raw) : "v"(a.raw));
  return c;
#else
  return fused(d, a, a, c);
#endif
}

// What a metric adds per dimension and does with the finished sum. kScaled: rows are multiplied by their side
// value first.
struct SquaredL2 {
  static constexpr bool kScaled = false;
  template <class D, class V>
  static HWY_INLINE V add(D d, V q, V v, V s) {
    const V difference = hn::Sub(q, v);
    return fused_square(d, difference, s);
  }
  template <class D, class V>
  static HWY_INLINE V finish(D, V sum, V) {
    return sum;
  }
};
struct Cosine : SquaredL2 {
  static constexpr bool kScaled = true;
  template <class D, class V>
  static HWY_INLINE V finish(D d, V sum, V) {
    return hn::Mul(hn::Set(d, 0.5f), sum);
  }
};
struct Poincare : SquaredL2 {
  template <class D, class V>
  static HWY_INLINE V finish(D, V sum, V side) {
    return hn::Mul(sum, side);
  }
};
struct Dot {
  static constexpr bool kScaled = false;
  template <class D, class V>
  static HWY_INLINE V add(D d, V q, V v, V s) {
    return fused(d, q, v, s);
  }
  template <class D, class V>
  static HWY_INLINE V finish(D d, V sum, V) {
    return hn::Sub(hn::Zero(d), sum);  // never -0
  }
};
struct Manhattan {
  static constexpr bool kScaled = false;
  template <class D, class V>
  static HWY_INLINE V add(D, V q, V v, V s) {
    return hn::Add(s, hn::Abs(hn::Sub(q, v)));
  }
  template <class D, class V>
  static HWY_INLINE V finish(D, V sum, V) {
    return sum;
  }
};

// Rows are taken four vectors at a time, or eight: the sums of four then fill exactly one vector (see
// join()).
inline constexpr int kVectors = 4;

// Rows lying side by side in a group: vector i holds the rows from i * lanes / 4 on.
template <class Term, class D>
struct GroupRows {
  using V = hn::Vec<D>;
  const float* first;
  const float* scale;  // 4 copies of each row's side value, in the rows' order; only if Term::kScaled

  HWY_INLINE V load(D d, int i, int64_t chunk) const {
    const size_t lane = static_cast<size_t>(i) * hn::MaxLanes(d);
    const V v = hn::Load(d, first + chunk * kChunkStride + lane);
    if constexpr (Term::kScaled) return hn::Mul(v, hn::Load(d, scale + lane));
    return v;
  }
};

// Asks for rows before they are needed: some cache lines per step of a kernel's inner loop, from `at` to
// `end`. Highway's Prefetch has no choice of level; L2 is the one that a group ahead fits into.
struct Prefetcher {
  const char* at = nullptr;
  const char* end = nullptr;

  template <int Lines>
  HWY_INLINE void step() {
    if (at >= end) return;
    for (int i = 0; i < Lines; ++i) __builtin_prefetch(at + i * kCacheLine, 0, 2);
    at += Lines * kCacheLine;
  }
};

// sums[q][i] = the partial sums of query q and row vector i.
template <class Term, int Lines, int Q, int R, class D, class V = hn::Vec<D>>
HWY_INLINE void partial_sums(D d, const GroupRows<Term, D>& rows, const float* const* queries, int64_t chunks,
                             Prefetcher& ahead, V (&sums)[Q][R]) {
  NF_UNROLL
  for (int q = 0; q < Q; ++q) {
    NF_UNROLL
    for (int i = 0; i < R; ++i) sums[q][i] = hn::Zero(d);
  }
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    ahead.template step<Lines>();
    if constexpr (Q < R) {  // fewer registers for queries than for rows
      V x[Q];
      NF_UNROLL
      for (int q = 0; q < Q; ++q) x[q] = hn::LoadDup128(d, queries[q] + chunk * kChunkFloats);
      NF_UNROLL
      for (int i = 0; i < R; ++i) {
        const V v = rows.load(d, i, chunk);
        NF_UNROLL
        for (int q = 0; q < Q; ++q) sums[q][i] = Term::add(d, x[q], v, sums[q][i]);
      }
    } else {
      V v[R];
      NF_UNROLL
      for (int i = 0; i < R; ++i) v[i] = rows.load(d, i, chunk);
      NF_UNROLL
      for (int q = 0; q < Q; ++q) {
        const V x = hn::LoadDup128(d, queries[q] + chunk * kChunkFloats);
        NF_UNROLL
        for (int i = 0; i < R; ++i) sums[q][i] = Term::add(d, x, v[i], sums[q][i]);
      }
    }
  }
}

// (s0+s2)+(s1+s3) of every block of four vectors, as one vector in row order.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V join(D d, const V* s) {
  const V ab = hn::Add(hn::InterleaveLower(d, s[0], s[1]), hn::InterleaveUpper(d, s[0], s[1]));
  const V cd = hn::Add(hn::InterleaveLower(d, s[2], s[3]), hn::InterleaveUpper(d, s[2], s[3]));
  // ab = a0+a2 b0+b2 a1+a3 b1+b3 in each block, cd alike.
  const hn::Repartition<uint64_t, D> wide;
  const V low = hn::BitCast(d, hn::InterleaveLower(wide, hn::BitCast(wide, ab), hn::BitCast(wide, cd)));
  const V high = hn::BitCast(d, hn::InterleaveUpper(wide, hn::BitCast(wide, ab), hn::BitCast(wide, cd)));
  const V joined = hn::Add(low, high);
  constexpr size_t blocks = hn::MaxLanes(d) / kChunkFloats;
  if constexpr (blocks == 1) return joined;
  // Block b holds row b of each of the four vectors; vector i starts at row i * blocks.
  HWY_ALIGN int32_t lane_of_row[hn::MaxLanes(d)];
  for (size_t row = 0; row < hn::MaxLanes(d); ++row)
    lane_of_row[row] = static_cast<int32_t>(row % blocks * kChunkFloats + row / blocks);
  return hn::TableLookupLanes(joined, hn::SetTableIndices(d, lane_of_row));
}

// Bit i = lane i of the mask.
template <class D, class M>
HWY_INLINE uint32_t bits_of(D d, M mask) {
  uint32_t bits = 0;
  hn::StoreMaskBits(d, mask, reinterpret_cast<uint8_t*>(&bits));
  return bits;
}

}  // namespace nearfield::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
