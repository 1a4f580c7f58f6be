// SPDX-License-Identifier: Apache-2.0
// Runs GPU kernels on the host, one fiber per GPU thread, block by block. For tests only.
//
// By hand, for a CUDA kernel:
//
//   #include "cuda_dialect.hpp"              // first: it gives the CUDA words their host meaning
//   #include "native/cuda/kernels/flat.cuh"
//   namespace simt = nearfield::simt;
//   simt::launch({grid_x, grid_y}, {256}, [&] { flat<...>(params, vectors, ...); }, {.schedule = ...});
//
// The same for MSL with metal_dialect.hpp before and metal_dialect_end.hpp after the kernels; the built-in
// positions are ordinary arguments there (simt::thread(), simt::block()). Or MSL files as they are: the
// folder metal/include has a <metal_stdlib>. Link nearfield_simt, or compile *.cpp of this folder along, with
//   -std=c++20 -ffp-contract=off -Wno-attributes -Wno-unknown-pragmas, and -mfma where the processor has it.
//
// Rules for kernels:
//   - memory of a block: NF_SHARED(T, name, n) instead of `__shared__ T name[n]` and `threadgroup T name[n]`;
//     NF_DYNAMIC_SHARED(T, name) for what the launch sizes (Options::dynamic_shared);
//   - NEARFIELD_SIMT is defined: a wrapper header around asm or a builtin we do not know shows its host form;
//   - a word that is missing from the dialect is a compile error; add it there, with a test.
//
// What it reproduces: positions, shared memory, barriers, warp operations, atomics. What it does not: memory
// order inside a barrier interval, lock-step of a warp, timing, a device's rounding. docs/testing.md says
// what a green run proves. It is stricter than hardware on purpose, and launch() throws simt::Error with file
// and line when
//   - threads of a block, or lanes named in one mask, wait at different places, or some have returned;
//   - a lane is outside its own mask, or a warp operation reads a lane outside the mask;
//   - shared memory exceeds Options::shared_limit;
// and, where the kernels are compiled as CMake's nearfield_simt_checked says (access.hpp), at every load and
// store that lies outside a live allocation, is misaligned, reads what nobody wrote, or races.
// Shared memory starts as a pattern that differs from schedule to schedule. Run every kernel under all three.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#define NEARFIELD_SIMT 1

namespace nearfield::simt {

using Site = std::source_location;
using Lanes = uint64_t;  // one bit per lane

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  unsigned count() const { return x * y * z; }
};

// In which order runnable threads, and blocks, are resumed.
enum class Schedule : uint8_t { kForward, kReverse, kRandom };

struct Options {
  const char* name = "kernel";  // for messages
  Schedule schedule = Schedule::kForward;
  uint64_t seed = 1;                // of kRandom
  unsigned warp_size = 32;          // at most 64
  size_t shared_limit = 48 * 1024;  // bytes of a block; CUDA without opt-in, Metal has 32 KiB
  size_t dynamic_shared = 0;        // bytes behind NF_DYNAMIC_SHARED
  unsigned most_threads = 1024;     // of a block
  // Allocations whose unwritten words may be read: kernels read whole groups of rows, and judge only those
  // that are there. Such words are NaN.
  std::vector<const void*> padded = {};
};

// Runs `body` once per thread of every block, on the calling thread: it calls the kernel with its arguments.
void launch(Dim3 grid, Dim3 block, const std::function<void()>& body, const Options& options = {});

// ---- For the dialects: the running thread ----

struct Thread {
  Dim3 position;   // in the block
  unsigned index;  // the same as one number
  unsigned lane, warp;
};
struct Block {
  Dim3 position, grid, size;
  unsigned warp_size;
};
inline constexpr unsigned kMostLanes = 64;
inline constexpr size_t kSlotBytes = 32;  // the operands of one lane for a matrix product
struct alignas(16) Slot {
  unsigned char bytes[kSlotBytes];
};
struct Current {
  const Thread* thread;
  const Block* block;
  const Slot* handed;     // per lane of the warp: what it handed over in the last exchange
  const Lanes* low_bits;  // of the first byte of each
};
inline constinit thread_local Current current{};
inline const Thread& thread() { return *current.thread; }
inline const Block& block() { return *current.block; }

// Ends the launch: launch() throws Error(message, with the thread and the block). The fiber is abandoned.
[[noreturn]] void fail(const std::string& message);
[[noreturn]] void fail(const std::string& message, Site where);

// What a barrier orders for the race check: accesses to shared memory, to global memory.
enum : unsigned { kOrdersNothing = 0, kOrdersShared = 1, kOrdersGlobal = 2, kOrdersAll = 3 };
// Answers how many threads voted for it.
unsigned barrier(unsigned orders, Site where, bool vote = false);

// Hands `value` to the lanes of `mask` (0: all that have not returned); returns who took part.
Lanes exchange(Lanes mask, const Slot& value, unsigned orders, Site where);

// One object per `key` and block. `where`: its declaration.
void* shared_array(const void* key, size_t bytes, size_t align, Site where);
void* dynamic_shared(size_t align, Site where);

// Whether this file's loads and stores are checked (access.hpp).
#if defined(NEARFIELD_SIMT_CHECKED)
inline constexpr bool kChecked = true;
#else
inline constexpr bool kChecked = false;
#endif

// cp.async of CUDA: nothing arrives before the wait. Until then `to` is NaN, and for checked kernels nobody
// has written it, so that a missing wait shows even where the array held something before. `from` NULL:
// zeros.
void copy_async(void* to, const void* from, size_t bytes, bool checked = kChecked);
void copy_async_commit();
void copy_async_wait(unsigned groups_left);

// What an access does.
enum Access : unsigned { kRead = 1, kWrite = 2, kAtomic = 4, kUpdate = kRead | kWrite | kAtomic };

// An access of the running thread by the code at `place`, for the checks of access.hpp.
void note_access(const void* p, size_t bytes, Access access, const void* place);

// ---- Warp operations common to both dialects ----

template <class T>
Lanes exchange(Lanes mask, const T& value, Site where) {
  static_assert(sizeof(T) <= kSlotBytes && std::is_trivially_copyable_v<T>);
  Slot slot{};
  __builtin_memcpy(slot.bytes, &value, sizeof(T));
  return exchange(mask, slot, kOrdersNothing, where);
}

// What `lane` handed over in this thread's last exchange.
template <class T>
T exchanged(unsigned lane) {
  T value;
  __builtin_memcpy(&value, current.handed[lane].bytes, sizeof(T));
  return value;
}

template <class T>
T shuffle(Lanes mask, T value, unsigned from, Site where) {
  const Lanes group = exchange(mask, value, where);
  if (from >= kMostLanes || !(group >> from & 1))
    fail("reads lane " + std::to_string(from) + ", which takes no part", where);
  return exchanged<T>(from);
}

inline Lanes ballot(Lanes mask, bool vote, Site where) {
  return exchange(mask, vote, where) & *current.low_bits;
}

// In lane order, which no device promises: floating-point sums differ there.
template <class T, class Op>
T reduce(Lanes mask, T value, Op op, Site where) {
  Lanes group = exchange(mask, value, where);
  T result = exchanged<T>(static_cast<unsigned>(std::countr_zero(group)));
  while ((group &= group - 1) != 0)
    result = op(result, exchanged<T>(static_cast<unsigned>(std::countr_zero(group))));
  return result;
}

// Read-modify-write: *p = op(*p), answers what was there. Fibers of a launch share one host thread, so only
// TSan needs it to be atomic.
#if defined(NEARFIELD_SIMT_CHECKED)
template <Access ACCESS = kUpdate, class T, class Op>
__attribute__((no_sanitize("thread"), noinline)) T atomic_update(T* p, Op op) {
  note_access(p, sizeof(T), static_cast<Access>(ACCESS | kAtomic), __builtin_return_address(0));
  const T old = *p;
  if (ACCESS & kWrite) *p = op(old);
  return old;
}
#elif defined(__SANITIZE_THREAD__)
template <Access ACCESS = kUpdate, class T, class Op>
T atomic_update(T* p, Op op) {
  T old, next;
  __atomic_load(p, &old, __ATOMIC_RELAXED);
  if (!(ACCESS & kWrite)) return old;
  do {
    next = op(old);
  } while (!__atomic_compare_exchange(p, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}
#else
template <Access ACCESS = kUpdate, class T, class Op>
T atomic_update(T* p, Op op) {
  const T old = *p;
  if (ACCESS & kWrite) *p = op(old);
  return old;
}
#endif

}  // namespace nearfield::simt

// `auto&` has the array's size, as on a device. The lambda makes one key per declaration and instantiation.
#define NF_SHARED(T, name, n)                                  \
  T(&name)                                                     \
  [n] = *static_cast<T(*)[n]>(::nearfield::simt::shared_array( \
      [] {                                                     \
        static char key;                                       \
        return &key;                                           \
      }(),                                                     \
      sizeof(T) * (n), alignof(T), ::nearfield::simt::Site::current()))
#define NF_DYNAMIC_SHARED(T, name) \
  T* const name =                  \
      static_cast<T*>(::nearfield::simt::dynamic_shared(alignof(T), ::nearfield::simt::Site::current()))
