// SPDX-License-Identifier: Apache-2.0
// Memory of the emulated device. All of it lies in one reserved range of addresses, with marks beside it: per
// word of four bytes whether it is allocated and which bytes were written, and who wrote and read it last
// (access.hpp). Under ASan and TSan it comes from the heap instead, whose checks are theirs.
// Any thread may call this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "simt.hpp"

namespace nearfield::simt {

// Global memory, aligned to 256 bytes, full of NaN; NULL when there is no room.
void* allocate(size_t bytes);
void release(void* memory);  // NULL is fine
// Whether [p, p + bytes) lies in one live allocation. Of the heap: in one that starts at p or before.
bool allocated(const void* p, size_t bytes);
uint64_t allocated_bytes();
size_t allocation_bytes(const void* start);  // 0: nothing starts there
// What the host copied or set, and what a copy on the device moved, carries marks of having been written.
void mark_written(const void* p, size_t bytes);
// The other way: shared or global memory counts as never written again. Whole words.
void mark_unwritten(const void* p, size_t bytes);
// Nobody has touched these words since they were allocated.
void forget_touches(const void* p, size_t bytes);
void copy_marks(void* to, const void* from, size_t bytes);

// Who touched a word last, for writes and for reads: access.cpp.
struct Touch {
  uint32_t interval = 0;  // of the launch and block, see Accessor; 0: never
  uint16_t thread = 0;
  uint16_t sync = 0;
  uint32_t place = 0;  // in the program, see access.cpp
};
struct WordMarks {
  Touch write, read;
};

// The reserved range. Nothing here is checked: the caller has compared with kArenaBytes.
inline constexpr uint64_t kArenaBytes = uint64_t{1} << 36;
inline constexpr uint8_t kAllocated = 0x10;  // in `states`; the low four bits: bytes that were written
struct Arena {
  char* base = nullptr;
  uint8_t* states = nullptr;     // per word
  WordMarks* touches = nullptr;  // per word
};
const Arena& arena();

inline constexpr size_t kBulkAlign = 128;  // of shared memory, for bulk tensor copies

// What one block declared with NF_SHARED, with a gap between arrays that belongs to none.
class SharedMemory {
 public:
  explicit SharedMemory(size_t limit) : limit_(limit) {}
  ~SharedMemory() { clear(); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // A new block: nothing is declared, and what will be is filled with `pattern`.
  void begin(uint8_t pattern);
  // The array of this key, `*made` if it is new; `*problem` is set instead when it does not fit.
  void* array(const void* key, size_t bytes, size_t align, bool* made, std::string* problem);
  // The address that a device's instructions know: 18 bits, and of an array that asks for less alignment than
  // kBulkAlign no multiple of that. `address` of what lies in no array: ~0u; `at` of such an address: NULL.
  uint32_t address(const void* p) const;
  char* at(uint32_t address, size_t bytes) const;
  static bool owns(const void* p);  // of this thread

 private:
  struct Array {
    const void* key;
    char* memory;
    size_t bytes, align;
    uint32_t address;
  };
  void clear();

  const size_t limit_;
  uint8_t pattern_ = 0xff;
  size_t used_ = 0;    // bytes declared
  size_t offset_ = 0;  // where the next one starts, gaps included
  size_t next_address_ = 0;
  std::vector<Array> arrays_;
};

}  // namespace nearfield::simt
