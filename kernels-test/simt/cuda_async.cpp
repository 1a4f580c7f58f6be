// SPDX-License-Identifier: Apache-2.0
#include "cuda_async.hpp"

#include <algorithm>
#include <cstring>

#include "engine.hpp"
#include "memory.hpp"

namespace nearfield::simt {
namespace {

constexpr uint32_t kMostArrivals = (1u << 20) - 1;  // PTX ISA, "Contents of the mbarrier object"
constexpr int64_t kMostBytes = (1 << 20) - 1;

void note(const uint64_t* barrier, Access access, const void* place, bool checked) {
  if (checked) note_access(barrier, sizeof(*barrier), access, place);
}

size_t box_bytes(const TensorMap& map) {
  return size_t{map.box[0]} * map.box[1] * map.box[2] * map.element_bytes;
}

}  // namespace

std::string problem_of(const TensorMap& map) {
  const auto says = [](const char* what, uint64_t value, const char* limit) {
    return "a tensor map's " + std::string(what) + " is " + std::to_string(value) + ", " + limit;
  };
  if (reinterpret_cast<uintptr_t>(map.address) % 16 != 0)
    return says("address", reinterpret_cast<uintptr_t>(map.address), "no multiple of 16");
  for (const uint64_t size : map.sizes)
    if (size == 0 || size > uint64_t{1} << 32) return says("size", size, "from 1 to 2^32 are possible");
  for (const uint64_t stride : map.strides)
    if (stride % 16 != 0 || stride >= uint64_t{1} << 40)
      return says("stride", stride, "it must be a multiple of 16 below 2^40");
  for (const uint32_t size : map.box)
    if (size == 0 || size > 256) return says("box", size, "from 1 to 256 are possible");
  if (map.box[0] * map.element_bytes % 16 != 0)
    return says("box in bytes", map.box[0] * map.element_bytes, "no multiple of 16");
  return "";
}

void Async::begin_block(unsigned threads) {
  phases_.clear();
  copies_.clear();
  issued_.assign(threads / kWarpgroup, {});
  issued_by_warp_.assign(threads / 32, 0);
}

std::string Async::unfinished() const {
  if (!copies_.empty())
    return "the block ends before " + std::to_string(copies_.size()) + " of its bulk copies";
  for (size_t warp = 0; warp / 4 < issued_.size(); ++warp)
    if (issued_by_warp_[warp] != issued_[warp / 4].size())
      return "warp " + std::to_string(warp) + " took part in " + std::to_string(issued_by_warp_[warp]) +
             " of " + std::to_string(issued_[warp / 4].size()) + " products of its warpgroup";
  return "";
}

// ---- cp.async ----

void copy_async(void* to, const void* from, size_t bytes, bool checked) {
  const void* const place = checked ? __builtin_return_address(0) : nullptr;
  if (checked) {
    // From here on the destination belongs to the copy: who still reads it races.
    note_access(to, bytes, kWrite, place);
    mark_unwritten(to, bytes);
  }
  std::memset(to, 0xff, bytes);
  engine->self().copies.push_back({to, from, bytes, place});
}

void copy_async_commit() {
  Fiber& self = engine->self();
  self.copy_groups.push_back(self.copies.size());
}

void copy_async_wait(unsigned groups_left) {
  Fiber& self = engine->self();
  if (self.copy_groups.size() <= groups_left) return;
  const size_t groups = self.copy_groups.size() - groups_left;
  const size_t end = self.copy_groups[groups - 1];
  for (size_t i = 0; i < end; ++i) {
    const Fiber::AsyncCopy& copy = self.copies[i];
    if (copy.place != nullptr) {
      if (copy.from != nullptr) note_access(copy.from, copy.bytes, kRead, copy.place);
      note_access(copy.to, copy.bytes, kWrite, copy.place);
    }
    if (copy.from != nullptr)
      std::memcpy(copy.to, copy.from, copy.bytes);
    else
      std::memset(copy.to, 0, copy.bytes);
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + static_cast<ptrdiff_t>(end));
  self.copy_groups.erase(self.copy_groups.begin(), self.copy_groups.begin() + static_cast<ptrdiff_t>(groups));
  for (size_t& group : self.copy_groups) group -= end;
}

// ---- mbarriers ----

void Async::Phase::try_end() {
  if (pending != 0 || bytes != 0) return;
  parity ^= 1;
  pending = arrivals;
}

Async::Phase& Async::phase_of(const uint64_t* barrier, Site where) {
  const auto found = phases_.find(barrier);
  if (found == phases_.end()) fail("no mbarrier was made there", where);
  return found->second;
}

bool Async::has_ended(const void* barrier, unsigned parity) const {
  return phases_.at(barrier).parity != parity;
}

void mbarrier_init(uint64_t* barrier, uint32_t arrivals, Site where, bool checked) {
  note(barrier, kWrite, __builtin_return_address(0), checked);
  if (engine->shared().address(barrier) == ~0u) fail("an mbarrier lies in shared memory", where);
  if (arrivals == 0 || arrivals > kMostArrivals)
    fail("an mbarrier of " + std::to_string(arrivals) + " arrivals", where);
  engine->async().phases_[barrier] = {arrivals, arrivals, 0, 0};
}

void mbarrier_arrive(uint64_t* barrier, uint32_t bytes, Site where, bool checked) {
  note(barrier, static_cast<Access>(kUpdate | kAtomic), __builtin_return_address(0), checked);
  Async::Phase& phase = engine->async().phase_of(barrier, where);
  phase.bytes += bytes;
  if (phase.bytes > kMostBytes)
    fail(std::to_string(phase.bytes) + " bytes expected by an mbarrier, the limit is " +
             std::to_string(kMostBytes),
         where);
  if (phase.pending == 0) fail("more than " + std::to_string(phase.arrivals) + " arrivals in a phase", where);
  --phase.pending;
  tsan_release(engine->phase_token());
  phase.try_end();
}

void mbarrier_wait(uint64_t* barrier, uint32_t parity, Site where, bool checked) {
  note(barrier, static_cast<Access>(kRead | kAtomic), __builtin_return_address(0), checked);
  engine->async().phase_of(barrier, where);
  engine->await_phase(barrier, parity, where);
}

// ---- Bulk tensor copies ----

void bulk_tensor_copy(void* to, const void* map, const int32_t (&first)[3], uint64_t* barrier, Site where,
                      bool checked) {
  Async& async = engine->async();
  Async::Copy copy{static_cast<char*>(to), {}, {first[0], first[1], first[2]}, barrier};
  std::memcpy(&copy.map, map, sizeof(copy.map));
  if (copy.map.mark != kTensorMapMark) fail("no tensor map is there", where);
  async.phase_of(barrier, where);
  const size_t bytes = box_bytes(copy.map);
  const uint32_t address = engine->shared().address(to);
  if (address == ~0u || engine->shared().at(address, bytes) == nullptr)
    fail("a box of " + std::to_string(bytes) + " bytes does not fit its shared array", where);
  if (address % kBulkAlign != 0)
    fail("a box goes to an address of shared memory that is no multiple of " + std::to_string(kBulkAlign),
         where);
  for (const Async::Copy& other : async.copies_)
    if (copy.to < other.to + box_bytes(other.map) && other.to < copy.to + bytes)
      fail("two boxes are copied to one place at once", where);
  // Who reads it from here on finds nothing there. What orders the copy and reads before it, an mbarrier, the
  // race check does not know.
  if (checked) mark_unwritten(to, bytes);
  forget_touches(to, bytes);
  std::memset(to, 0xff, bytes);
  async.copies_.push_back(copy);
}

bool Async::land(uint64_t pick) {
  if (copies_.empty()) return false;
  const auto at = copies_.begin() +
                  static_cast<ptrdiff_t>(pick == ~uint64_t{0} ? copies_.size() - 1 : pick % copies_.size());
  const Copy copy = *at;
  copies_.erase(at);
  const TensorMap& map = copy.map;
  const size_t line = size_t{map.box[0]} * map.element_bytes;
  char* to = copy.to;
  const auto inside = [&](int dimension, int64_t i) {
    return i >= 0 && static_cast<uint64_t>(i) < map.sizes[dimension];
  };
  for (uint32_t z = 0; z < map.box[2]; ++z)
    for (uint32_t y = 0; y < map.box[1]; ++y, to += line) {
      std::memset(to, 0, line);
      const int64_t row = int64_t{copy.first[1]} + y, plane = int64_t{copy.first[2]} + z;
      if (!inside(1, row) || !inside(2, plane)) continue;
      const char* const from = map.address + row * static_cast<int64_t>(map.strides[0]) +
                               plane * static_cast<int64_t>(map.strides[1]);
      if (!allocated(from, line)) throw Error("a bulk copy reads outside of device memory");
      for (uint32_t x = 0; x < map.box[0]; ++x) {
        const int64_t column = int64_t{copy.first[0]} + x;
        if (inside(0, column))
          std::memcpy(to + size_t{x} * map.element_bytes, from + column * map.element_bytes,
                      map.element_bytes);
      }
    }
  mark_written(copy.to, box_bytes(map));
  Phase& phase = phases_.at(copy.barrier);
  phase.bytes -= static_cast<int64_t>(box_bytes(map));
  phase.try_end();
  return true;
}

}  // namespace nearfield::simt
