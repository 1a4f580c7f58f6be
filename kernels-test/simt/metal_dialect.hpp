// SPDX-License-Identifier: Apache-2.0
// The Metal Shading Language that our kernels may use, as host C++20: include it, then kernels/*.h, then
// metal_dialect_end.hpp. What is not here does not compile; what is here means what the MSL specification
// says. Attributes ([[buffer(0)]] and the like) are ignored: compile with -Wno-attributes. It may be included
// again after metal_dialect_end.hpp.
#ifndef NEARFIELD_SIMT_METAL_DIALECT
#define NEARFIELD_SIMT_METAL_DIALECT

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "metal_matrix.hpp"
#include "metal_vectors.hpp"
#include "simt.hpp"

namespace metal {

using nearfield::simt::Site;

// ---- Barriers: each orders only the memory it names ----

enum class mem_flags : unsigned {
  mem_none = nearfield::simt::kOrdersNothing,
  mem_threadgroup = nearfield::simt::kOrdersShared,
  mem_device = nearfield::simt::kOrdersGlobal,
};
constexpr mem_flags operator|(mem_flags a, mem_flags b) {
  return static_cast<mem_flags>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

inline void threadgroup_barrier(mem_flags flags, Site where = Site::current()) {
  nearfield::simt::barrier(static_cast<unsigned>(flags), where);
}
inline void simdgroup_barrier(mem_flags flags, Site where = Site::current()) {
  nearfield::simt::exchange(0, nearfield::simt::Slot{}, static_cast<unsigned>(flags), where);
}

// ---- SIMD-group functions: of the lanes that have not returned, which must all come to the same place ----

inline unsigned lane_in_simdgroup() { return nearfield::simt::thread().lane; }

template <class T>
T simd_shuffle(T value, ushort lane, Site where = Site::current()) {
  return nearfield::simt::shuffle(0, value, lane, where);
}
template <class T>
T simd_broadcast(T value, ushort lane, Site where = Site::current()) {
  return nearfield::simt::shuffle(0, value, lane, where);
}
template <class T>
T simd_broadcast_first(T value, Site where = Site::current()) {
  const nearfield::simt::Lanes group = nearfield::simt::exchange(0, value, where);
  return nearfield::simt::exchanged<T>(static_cast<unsigned>(std::countr_zero(group)));
}
template <class T>
T simd_shuffle_xor(T value, ushort bits, Site where = Site::current()) {
  return nearfield::simt::shuffle(0, value, lane_in_simdgroup() ^ bits, where);
}
// Lanes that would read beyond the simdgroup are undefined in MSL; here they read nobody, which is an error.
template <class T>
T simd_shuffle_down(T value, ushort by, Site where = Site::current()) {
  return nearfield::simt::shuffle(0, value, lane_in_simdgroup() + by, where);
}
template <class T>
T simd_shuffle_up(T value, ushort by, Site where = Site::current()) {
  return nearfield::simt::shuffle(0, value, lane_in_simdgroup() - by, where);
}
template <class T>
T simd_sum(T value, Site where = Site::current()) {
  return nearfield::simt::reduce(
      0, value, [](T a, T b) { return static_cast<T>(a + b); }, where);
}
template <class T>
T simd_min(T value, Site where = Site::current()) {
  return nearfield::simt::reduce(
      0, value, [](T a, T b) { return b < a ? b : a; }, where);
}
template <class T>
T simd_max(T value, Site where = Site::current()) {
  return nearfield::simt::reduce(
      0, value, [](T a, T b) { return a < b ? b : a; }, where);
}
template <class T>
T simd_and(T value, Site where = Site::current()) {
  return nearfield::simt::reduce(
      0, value, [](T a, T b) { return static_cast<T>(a & b); }, where);
}
template <class T>
T simd_or(T value, Site where = Site::current()) {
  return nearfield::simt::reduce(
      0, value, [](T a, T b) { return static_cast<T>(a | b); }, where);
}
template <class T>
T simd_prefix_exclusive_sum(T value, Site where = Site::current()) {
  const nearfield::simt::Lanes group = nearfield::simt::exchange(0, value, where);
  T sum{};
  for (unsigned lane = 0; lane < lane_in_simdgroup(); ++lane)
    if (group >> lane & 1) sum = static_cast<T>(sum + nearfield::simt::exchanged<T>(lane));
  return sum;
}
template <class T>
T simd_prefix_inclusive_sum(T value, Site where = Site::current()) {
  return static_cast<T>(simd_prefix_exclusive_sum(value, where) + value);
}
inline bool simd_any(bool vote, Site where = Site::current()) {
  return nearfield::simt::ballot(0, vote, where) != 0;
}
inline bool simd_all(bool vote, Site where = Site::current()) {
  return nearfield::simt::ballot(0, !vote, where) == 0;
}
inline bool simd_is_first(Site where = Site::current()) {
  const nearfield::simt::Lanes group = nearfield::simt::exchange(0, true, where);
  return static_cast<unsigned>(std::countr_zero(group)) == lane_in_simdgroup();
}

class simd_vote {
 public:
  using vote_t = uint64_t;
  explicit simd_vote(vote_t votes) : votes_(votes) {}
  explicit operator vote_t() const { return votes_; }

 private:
  vote_t votes_;
};
inline simd_vote simd_ballot(bool vote, Site where = Site::current()) {
  return simd_vote(nearfield::simt::ballot(0, vote, where));
}

// ---- Atomics, in either address space ----

enum memory_order { memory_order_relaxed };

template <class T>
struct Atomic {
  T value;
};
using atomic_uint = Atomic<uint>;
using atomic_int = Atomic<int>;

template <class T>
T atomic_load_explicit(const Atomic<T>* p, memory_order) {
  return nearfield::simt::atomic_update<nearfield::simt::kRead>(&const_cast<Atomic<T>*>(p)->value,
                                                                [](T old) { return old; });
}
template <class T>
void atomic_store_explicit(Atomic<T>* p, std::type_identity_t<T> value, memory_order) {
  nearfield::simt::atomic_update<nearfield::simt::kWrite>(&p->value, [value](T) { return value; });
}
template <class T>
T atomic_exchange_explicit(Atomic<T>* p, std::type_identity_t<T> value, memory_order) {
  return nearfield::simt::atomic_update(&p->value, [value](T) { return value; });
}
#define NF_ATOMIC(name, expression)                                                                    \
  template <class T>                                                                                   \
  T atomic_fetch_##name##_explicit(Atomic<T>* p, std::type_identity_t<T> b, memory_order) {            \
    return nearfield::simt::atomic_update(&p->value, [b](T a) { return static_cast<T>(expression); }); \
  }
NF_ATOMIC(add, a + b)
NF_ATOMIC(sub, a - b)
NF_ATOMIC(min, b < a ? b : a)
NF_ATOMIC(max, a < b ? b : a)
NF_ATOMIC(and, a& b)
NF_ATOMIC(or, a | b)
#undef NF_ATOMIC

}  // namespace metal

#endif  // NEARFIELD_SIMT_METAL_DIALECT

// Address spaces are words of the language; arrays in threadgroup memory are declared by NF_SHARED.
#define device
#define constant const
#define thread
#define threadgroup
