// SPDX-License-Identifier: Apache-2.0
#include "access.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cstdio>
#include <string>

#include "engine.hpp"

namespace nearfield::simt {
namespace {

// Touch::thread: the thread's index (at most 1023), or that there were several, and flags.
constexpr uint16_t kIndex = 0x07ff;
constexpr uint16_t kSeveralOfBlock = 0x07ff;
constexpr uint16_t kSeveralOfWarp = 0x0400;  // + the warp
constexpr uint16_t kSeveralBlocks = 0x2000;
constexpr uint16_t kAtomicTouch = 0x4000;

std::atomic<uint32_t> last_interval{0};

const char anchor = 0;  // places are counted from here: they fit 32 bits inside one program or library

uint32_t to_place(const void* pc) { return static_cast<uint32_t>(static_cast<const char*>(pc) - &anchor); }
const void* from_place(uint32_t place) { return &anchor + static_cast<int32_t>(place); }

// Files of ours that are inlined into kernels: the line that called them is the one to name.
bool of_dialect(const std::string& line) {
  for (const char* file : {"_dialect.hpp:", "simt.hpp:", "metal_vectors.hpp:", "metal_matrix.hpp:",
                           "/device.cuh:", "/bulk.cuh:", "/wgmma.cuh:"})
    if (line.find(file) != std::string::npos) return true;
  return false;
}

// "flat.cuh:88" of an address in a program, as binutils' addr2line knows it.
std::string describe_place(const void* pc) {
  Dl_info info{};
  if (dladdr(pc, &info) == 0 || info.dli_fname == nullptr) return "an unknown place";
  const auto offset = static_cast<size_t>(static_cast<const char*>(pc) - static_cast<char*>(info.dli_fbase));
  char command[4200];
  // The address is where the call returns to.
  std::snprintf(command, sizeof(command), "addr2line -is -e '%s' 0x%zx 2>/dev/null", info.dli_fname,
                offset - 1);
  std::string found;
  if (FILE* const pipe = popen(command, "r")) {
    char text[4096];
    while (std::fgets(text, sizeof(text), pipe) != nullptr) {
      std::string line = text;
      line = line.substr(0, line.find_first_of(" \n"));
      if (line.empty() || line[0] == '?') continue;
      if (found.empty() || of_dialect(found)) found = line;
    }
    pclose(pipe);
  }
  if (!found.empty()) return found;
  std::snprintf(command, sizeof(command), "%s+0x%zx", info.dli_fname, offset);
  return command;
}

const char* word(unsigned access) {
  return access & kAtomic ? "atomic operation" : access & kWrite ? "write" : "read";
}

std::string describe_access(const void* p, size_t bytes, Access access) {
  char text[120];
  std::snprintf(text, sizeof(text), "%s of %zu bytes at %p in %s memory", word(access), bytes, p,
                SharedMemory::owns(p) ? "shared" : "global");
  return text;
}

}  // namespace

Accessor::Accessor(unsigned warp_size, const std::vector<const void*>& padded)
    : launch_(++last_interval), warp_size_(warp_size) {
  for (const void* start : padded) {
    const auto* const begin = static_cast<const char*>(start);
    padded_.push_back({begin, begin + allocation_bytes(start)});
  }
}

bool Accessor::is_padded(const void* p) const {
  for (const Range& range : padded_)
    if (p >= range.begin && p < range.end) return true;
  return false;
}

void Accessor::begin_block(unsigned warps) {
  block_ = shared_ = global_ = ++last_interval;
  syncs_.assign(warps, {});
}

void Accessor::at_barrier(unsigned orders) {
  const uint32_t next = ++last_interval;
  if (orders & kOrdersShared) shared_ = next;
  if (orders & kOrdersGlobal) global_ = next;
}

void Accessor::at_warp(unsigned warp, unsigned orders) {
  if (orders & kOrdersShared) ++syncs_[warp].shared;
  if (orders & kOrdersGlobal) ++syncs_[warp].global;
}

bool Accessor::concurrent(const Touch& before, bool shared) const {
  if (before.interval < launch_) return false;
  if (before.interval < block_) return !shared;
  if (before.interval != (shared ? shared_ : global_)) return false;
  const uint16_t index = before.thread & kIndex;
  if (index == kSeveralOfBlock) return true;
  const uint16_t syncs = shared ? syncs_[warp_].shared : syncs_[warp_].global;
  if (index & kSeveralOfWarp) return (index & ~kSeveralOfWarp) != warp_ || before.sync == syncs;
  if (index == thread_) return false;
  return index / warp_size_ != warp_ || before.sync == syncs;
}

// Readers that nothing orders are remembered together, as coarsely as the check of a later write can bear;
// one that came after all others stands for them.
void Accessor::note_read(Touch& read, bool shared, const Touch& now) const {
  const bool several_blocks =
      !shared && read.interval >= launch_ && (read.interval < block_ || (read.thread & kSeveralBlocks));
  uint16_t index = now.thread & kIndex;
  if (read.interval >= block_ && concurrent(read, shared)) {
    const uint16_t before = read.thread & kIndex;
    const unsigned warp = before & kSeveralOfWarp ? before & ~kSeveralOfWarp : before / warp_size_;
    index = before != kSeveralOfBlock && warp == warp_ ? static_cast<uint16_t>(kSeveralOfWarp | warp_)
                                                       : kSeveralOfBlock;
  }
  read = now;
  read.thread =
      static_cast<uint16_t>(index | (now.thread & kAtomicTouch) | (several_blocks ? kSeveralBlocks : 0));
}

void Accessor::check_race(WordMarks& marks, bool shared, Access access, const void* place) {
  const uint16_t sync = shared ? syncs_[warp_].shared : syncs_[warp_].global;
  const auto flag = static_cast<uint16_t>(access & kAtomic ? kAtomicTouch : 0);
  const Touch now{shared ? shared_ : global_, static_cast<uint16_t>(thread_ | flag), sync, to_place(place)};
  const auto conflicts = [&](const Touch& before) {
    return !(access & kAtomic && before.thread & kAtomicTouch) && concurrent(before, shared);
  };
  const Touch* other = conflicts(marks.write) ? &marks.write : nullptr;
  if (access & kWrite && other == nullptr) {
    const bool elsewhere = (marks.read.thread & kSeveralBlocks) && marks.read.interval >= launch_;
    if (conflicts(marks.read) || (elsewhere && !(access & kAtomic && marks.read.thread & kAtomicTouch)))
      other = &marks.read;
  }
  if (other != nullptr) {
    const bool block = other->interval < block_ || (other->thread & kSeveralBlocks);
    fail(std::string("race in ") + (shared ? "shared" : "global") + " memory: " + word(access) + " at " +
         describe_place(place) + ", and " + (other == &marks.write ? "write" : "read") + " at " +
         describe_place(from_place(other->place)) + " by " +
         (block ? "another block" : "another thread, with no barrier between"));
  }
  if (access & kWrite) {
    marks.write = now;
  } else {
    note_read(marks.read, shared, now);
  }
}

void Accessor::check(const void* p, size_t bytes, Access access, const void* place) {
  const auto offset = static_cast<uint64_t>(static_cast<const char*>(p) - arena().base);
  if (offset >= kArenaBytes) return;  // the thread's own stack, parameters, tables
  if ((bytes & (bytes - 1)) == 0 && bytes <= 16 && offset % bytes != 0)
    fail("misaligned " + describe_access(p, bytes, access) + ", at " + describe_place(place));
  const bool shared = SharedMemory::owns(p);
  const uint64_t first = offset / 4, last = (offset + bytes - 1) / 4;
  const auto bits = static_cast<uint8_t>(bytes < 4 ? ((1u << bytes) - 1) << offset % 4 : 0xf);
  for (uint64_t word = first; word <= last; ++word) {
    uint8_t& state = arena().states[word];
    if (!(state & kAllocated))
      fail("outside of every " + std::string(shared ? "array" : "allocation") + ": " +
           describe_access(p, bytes, access) + ", at " + describe_place(place));
    if (access & kRead && (state & bits) != bits) {
      if (is_padded(p)) continue;
      fail("never written: " + describe_access(p, bytes, access) + ", at " + describe_place(place));
    }
    state |= bits;
    check_race(arena().touches[word], shared, access, place);
  }
}

void note_access(const void* p, size_t bytes, Access access, const void* place) {
  if (engine != nullptr) engine->accessor().check(p, bytes, access, place);
}

}  // namespace nearfield::simt

// The functions that -fsanitize=thread calls. Not defined where the sanitizer itself runs.
#if !defined(NEARFIELD_SIMT_TSAN)
using nearfield::simt::Access;
using nearfield::simt::kRead;
using nearfield::simt::kUpdate;
using nearfield::simt::kWrite;
using nearfield::simt::note_access;
extern "C" {
#define NF_HOOK(name, bytes, access) \
  void __tsan_##name(void* p) { note_access(p, bytes, access, __builtin_return_address(0)); }
#define NF_HOOKS(bytes)                        \
  NF_HOOK(read##bytes, bytes, kRead)           \
  NF_HOOK(write##bytes, bytes, kWrite)         \
  NF_HOOK(unaligned_read##bytes, bytes, kRead) \
  NF_HOOK(unaligned_write##bytes, bytes, kWrite)
NF_HOOKS(1)
NF_HOOKS(2)
NF_HOOKS(4)
NF_HOOKS(8)
NF_HOOKS(16)
void __tsan_read_range(void* p, size_t bytes) { note_access(p, bytes, kRead, __builtin_return_address(0)); }
void __tsan_write_range(void* p, size_t bytes) { note_access(p, bytes, kWrite, __builtin_return_address(0)); }
uint32_t __tsan_atomic32_load(const volatile uint32_t* p, int) {
  const auto access = static_cast<Access>(kRead | nearfield::simt::kAtomic);
  note_access(const_cast<const uint32_t*>(p), sizeof(*p), access, __builtin_return_address(0));
  return *p;
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
}
#endif
