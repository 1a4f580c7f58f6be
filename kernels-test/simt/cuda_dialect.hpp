// SPDX-License-Identifier: Apache-2.0
// The CUDA C++ that our kernels may use, as host C++20: include it, then kernels/*.cuh. What is not here does
// not compile; what is here means what the CUDA C++ programming guide says, for compute capability 7.5 and
// later.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "cuda_async.hpp"
#include "cuda_matrix.hpp"
#include "simt.hpp"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __restrict__ __restrict
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __builtin_assume(condition) static_cast<void>(0)

#define threadIdx (::nearfield::simt::thread().position)
#define blockIdx (::nearfield::simt::block().position)
#define blockDim (::nearfield::simt::block().size)
#define gridDim (::nearfield::simt::block().grid)
#define warpSize (static_cast<int>(::nearfield::simt::block().warp_size))

using dim3 = nearfield::simt::Dim3;
using uint = unsigned;

// ---- Vectors: aligned as on the device, so that a misaligned access is found ----

#define NF_VECTORS(T, name, align2, align4)                          \
  struct alignas(align2) name##2 {                                   \
    T x, y;                                                          \
  };                                                                 \
  struct name##3 {                                                   \
    T x, y, z;                                                       \
  };                                                                 \
  struct alignas(align4) name##4 {                                   \
    T x, y, z, w;                                                    \
  };                                                                 \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }         \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
NF_VECTORS(float, float, 8, 16)
NF_VECTORS(int, int, 8, 16)
NF_VECTORS(unsigned, uint, 8, 16)
#undef NF_VECTORS

// ---- Barriers and memory order ----

inline void __syncthreads(nearfield::simt::Site where = nearfield::simt::Site::current()) {
  nearfield::simt::barrier(nearfield::simt::kOrdersAll, where);
}
inline int __syncthreads_count(int vote, nearfield::simt::Site where = nearfield::simt::Site::current()) {
  return static_cast<int>(nearfield::simt::barrier(nearfield::simt::kOrdersAll, where, vote != 0));
}
inline int __syncthreads_or(int vote, nearfield::simt::Site where = nearfield::simt::Site::current()) {
  return nearfield::simt::barrier(nearfield::simt::kOrdersAll, where, vote != 0) != 0;
}
inline int __syncthreads_and(int vote, nearfield::simt::Site where = nearfield::simt::Site::current()) {
  return nearfield::simt::barrier(nearfield::simt::kOrdersAll, where, vote == 0) == 0;
}
inline void __syncwarp(unsigned mask = ~0u, nearfield::simt::Site where = nearfield::simt::Site::current()) {
  nearfield::simt::exchange(mask, nearfield::simt::Slot{}, nearfield::simt::kOrdersAll, where);
}
// Order within a thread is all that a fence gives; the race check accepts no protocol built on them.
inline void __threadfence() {}
inline void __threadfence_block() {}

// ---- Votes and shuffles: all lanes named by the mask, at one place ----

inline unsigned __ballot_sync(unsigned mask, int vote,
                              nearfield::simt::Site where = nearfield::simt::Site::current()) {
  return static_cast<unsigned>(nearfield::simt::ballot(mask, vote != 0, where));
}
inline int __any_sync(unsigned mask, int vote,
                      nearfield::simt::Site where = nearfield::simt::Site::current()) {
  return nearfield::simt::ballot(mask, vote != 0, where) != 0;
}
inline int __all_sync(unsigned mask, int vote,
                      nearfield::simt::Site where = nearfield::simt::Site::current()) {
  return nearfield::simt::ballot(mask, vote == 0, where) == 0;
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value,
                          nearfield::simt::Site where = nearfield::simt::Site::current()) {
  const nearfield::simt::Lanes group = nearfield::simt::exchange(mask, value, where);
  unsigned same = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((group >> lane & 1) && nearfield::simt::exchanged<T>(lane) == value) same |= 1u << lane;
  return same;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32,
              nearfield::simt::Site where = nearfield::simt::Site::current()) {
  const auto lane = static_cast<int>(nearfield::simt::thread().lane);
  const int source = (lane & ~(width - 1)) | (from & (width - 1));
  return nearfield::simt::shuffle(mask, value, static_cast<unsigned>(source), where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  nearfield::simt::Site where = nearfield::simt::Site::current()) {
  const auto lane = static_cast<int>(nearfield::simt::thread().lane);
  const int source = (lane ^ bits) / width > lane / width ? lane : lane ^ bits;
  return nearfield::simt::shuffle(mask, value, static_cast<unsigned>(source), where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32,
                   nearfield::simt::Site where = nearfield::simt::Site::current()) {
  const unsigned lane = nearfield::simt::thread().lane;
  const bool inside = lane % static_cast<unsigned>(width) + by < static_cast<unsigned>(width);
  return nearfield::simt::shuffle(mask, value, inside ? lane + by : lane, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32,
                 nearfield::simt::Site where = nearfield::simt::Site::current()) {
  const unsigned lane = nearfield::simt::thread().lane;
  const bool inside = lane % static_cast<unsigned>(width) >= by;
  return nearfield::simt::shuffle(mask, value, inside ? lane - by : lane, where);
}
// Compute capability 8.0 and later.
inline unsigned __reduce_min_sync(unsigned mask, unsigned value,
                                  nearfield::simt::Site where = nearfield::simt::Site::current()) {
  return nearfield::simt::reduce(
      mask, value, [](unsigned a, unsigned b) { return std::min(a, b); }, where);
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value,
                                  nearfield::simt::Site where = nearfield::simt::Site::current()) {
  return nearfield::simt::reduce(
      mask, value, [](unsigned a, unsigned b) { return std::max(a, b); }, where);
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value,
                                  nearfield::simt::Site where = nearfield::simt::Site::current()) {
  return nearfield::simt::reduce(
      mask, value, [](unsigned a, unsigned b) { return a + b; }, where);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value,
                                 nearfield::simt::Site where = nearfield::simt::Site::current()) {
  return nearfield::simt::reduce(
      mask, value, [](unsigned a, unsigned b) { return a | b; }, where);
}

// ---- Atomics ----

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> value) {
  return nearfield::simt::atomic_update(p, [value](T old) { return static_cast<T>(old + value); });
}
template <class T>
T atomicSub(T* p, std::type_identity_t<T> value) {
  return nearfield::simt::atomic_update(p, [value](T old) { return static_cast<T>(old - value); });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> value) {
  return nearfield::simt::atomic_update(p, [value](T old) { return std::min(old, value); });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> value) {
  return nearfield::simt::atomic_update(p, [value](T old) { return std::max(old, value); });
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> value) {
  return nearfield::simt::atomic_update(p, [value](T old) { return static_cast<T>(old & value); });
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> value) {
  return nearfield::simt::atomic_update(p, [value](T old) { return static_cast<T>(old | value); });
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> value) {
  return nearfield::simt::atomic_update(p, [value](T) { return value; });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return nearfield::simt::atomic_update(p, [=](T old) { return old == expected ? value : old; });
}

// ---- Loads through other caches ----

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}

// ---- Arithmetic ----

inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
// To the nearest integer, ties to even; what does not fit to the nearest that does, NaN to 0.
inline int __float2int_rn(float a) {
  if (std::isnan(a)) return 0;
  return static_cast<int>(std::clamp(std::nearbyint(static_cast<double>(a)), -2147483648.0, 2147483647.0));
}
inline float __int2float_rn(int a) { return static_cast<float>(a); }
inline float __uint2float_rn(unsigned a) { return static_cast<float>(a); }
inline unsigned __float_as_uint(float a) { return std::bit_cast<unsigned>(a); }
inline int __float_as_int(float a) { return std::bit_cast<int>(a); }
inline float __uint_as_float(unsigned a) { return std::bit_cast<float>(a); }
inline float __int_as_float(int a) { return std::bit_cast<float>(a); }
inline int __clz(int a) { return std::countl_zero(static_cast<unsigned>(a)); }
inline int __popc(unsigned a) { return std::popcount(a); }
inline int __popcll(unsigned long long a) { return std::popcount(a); }
inline int __ffs(int a) { return a == 0 ? 0 : std::countr_zero(static_cast<unsigned>(a)) + 1; }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
inline unsigned __brev(unsigned a) {
  unsigned reversed = 0;
  for (int bit = 0; bit < 32; ++bit) reversed |= (a >> bit & 1) << (31 - bit);
  return reversed;
}
// Compute capability 6.1 and later. Four products of signed bytes, with 32-bit words.
inline int __dp4a(int a, int b, int c) {
  for (int byte = 0; byte < 4; ++byte)
    c += static_cast<int8_t>(static_cast<unsigned>(a) >> (8 * byte)) *
         static_cast<int8_t>(static_cast<unsigned>(b) >> (8 * byte));
  return c;
}
// CUDA's integer overloads mix signed and unsigned; ours must not, so that nothing is converted silently.
template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}
