// SPDX-License-Identifier: Apache-2.0
// Every load and store of a kernel, looked at. Kernels compiled with -fsanitize=thread call a function of
// that sanitizer's interface at each of them; we define these functions ourselves (access.cpp), so that a
// kernel's accesses to emulated memory are checked
//   - to lie in a live allocation, or in one array of the block,
//   - to be aligned as their type says,
//   - to read only bytes that somebody wrote,
//   - not to race: two accesses of different threads, one of them a write and not both atomic, must be
//   ordered
//     by a barrier of the block, by __syncwarp or simdgroup_barrier, or by belonging to different launches.
// The race check looks at what orders two accesses, not at what happened first: it finds the same races under
// every schedule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory.hpp"
#include "simt.hpp"

namespace nearfield::simt {

// Where the threads of a launch stand in the order that barriers make. Time is counted in intervals, numbered
// through all launches: a block begins one, each barrier begins one for the memory that it orders.
class Accessor {
 public:
  // `padded`: Options::padded.
  Accessor(unsigned warp_size, const std::vector<const void*>& padded);
  void begin_block(unsigned warps);
  void at_barrier(unsigned orders);
  // All running lanes of the warp have met.
  void at_warp(unsigned warp, unsigned orders);
  void resume(const Thread& thread) {
    thread_ = static_cast<uint16_t>(thread.index);
    warp_ = thread.warp;
  }

  // `place`: an address in the program. Calls fail() on a fault.
  void check(const void* p, size_t bytes, Access access, const void* place);

 private:
  struct Syncs {
    uint16_t shared = 0, global = 0;
  };
  struct Range {
    const char *begin, *end;
  };
  bool is_padded(const void* p) const;
  bool concurrent(const Touch& before, bool shared) const;
  void check_race(WordMarks& marks, bool shared, Access access, const void* place);
  void note_read(Touch& read, bool shared, const Touch& now) const;

  uint32_t launch_ = 0, block_ = 0;   // first intervals of each
  uint32_t shared_ = 0, global_ = 0;  // the current ones
  uint16_t thread_ = 0;
  unsigned warp_ = 0, warp_size_;
  std::vector<Syncs> syncs_;  // per warp
  std::vector<Range> padded_;
};

}  // namespace nearfield::simt
