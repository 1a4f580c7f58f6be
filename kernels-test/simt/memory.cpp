// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

namespace nearfield::simt {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(NEARFIELD_SIMT_TSAN)
constexpr bool kHeapMemory = true;
#else
constexpr bool kHeapMemory = false;
#endif

constexpr size_t kAlignment = 256;            // what cuMemAlloc promises
constexpr size_t kGap = 4096;                 // after an allocation, before the next one; also whole pages
constexpr size_t kWindowBytes = 1024 * 1024;  // shared memory of one host thread; a block has 227 KiB at most
constexpr size_t kSharedGap = 256;

size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }

char* reserve(uint64_t bytes) {
  void* const p =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(p);
}

class Memory {
 public:
  Memory() {
    if (kHeapMemory) return;
    arena_.base = reserve(kArenaBytes);
    arena_.states = reinterpret_cast<uint8_t*>(reserve(kArenaBytes / 4));
    arena_.touches = reinterpret_cast<WordMarks*>(reserve(kArenaBytes / 4 * sizeof(WordMarks)));
  }

  const Arena& arena() const { return arena_; }

  void* allocate(size_t bytes) {
    const size_t size = std::max<size_t>(bytes, 1);
    const std::lock_guard<std::mutex> lock(mutex_);
    char* const p = kHeapMemory
                        ? static_cast<char*>(operator new(size, std::align_val_t(kAlignment), std::nothrow))
                        : place(size);
    if (p == nullptr) return nullptr;
    live_[p] = size;
    sum_ += size;
    std::memset(p, 0xff, size);
    if (!kHeapMemory) std::memset(states(p), kAllocated, up(size, 4) / 4);
    return p;
  }

  void release(void* memory) {
    if (memory == nullptr) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = live_.find(static_cast<char*>(memory));
    if (found == live_.end()) return;
    const auto [p, size] = *found;
    live_.erase(found);
    sum_ -= size;
    if (kHeapMemory) {
      operator delete(memory, std::align_val_t(kAlignment));
      return;
    }
    // Back to zeros, which say "not allocated" and "never touched", and to the system.
    const size_t pages = up(size, kGap);
    madvise(p, pages, MADV_DONTNEED);
    std::memset(states(p), 0, pages / 4);
    madvise(arena_.touches + (p - arena_.base) / 4, pages / 4 * sizeof(WordMarks), MADV_DONTNEED);
  }

  bool allocated(const void* p, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto next = live_.upper_bound(const_cast<char*>(static_cast<const char*>(p)));
    if (next == live_.begin()) return false;
    --next;
    const auto offset = static_cast<size_t>(static_cast<const char*>(p) - next->first);
    return offset <= next->second && bytes <= next->second - offset;
  }

  size_t size_of(const void* start) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = live_.find(const_cast<char*>(static_cast<const char*>(start)));
    return found == live_.end() ? 0 : found->second;
  }

  uint64_t sum() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return sum_;
  }

  uint8_t* states(const void* p) const {
    return arena_.states + (static_cast<const char*>(p) - arena_.base) / 4;
  }

 private:
  // Next fit: a range that was freed is used again as late as possible, so that its use after that is found.
  char* place(size_t size) {
    const size_t pages = up(size, kGap) + kGap;
    for (int round = 0; round < 2; ++round, cursor_ = 0) {
      while (cursor_ + pages <= kArenaBytes) {
        char* const p = arena_.base + cursor_;
        const auto next = live_.lower_bound(p);
        if (next != live_.begin()) {
          const auto& [before, length] = *std::prev(next);
          if (before + up(length, kGap) + kGap > p) {
            cursor_ = static_cast<size_t>(before + up(length, kGap) + kGap - arena_.base);
            continue;
          }
        }
        if (next == live_.end() || next->first >= p + pages) {
          cursor_ += pages;
          return p;
        }
        cursor_ = static_cast<size_t>(next->first - arena_.base);
      }
    }
    return nullptr;
  }

  std::mutex mutex_;
  Arena arena_;
  std::map<char*, size_t> live_;
  size_t cursor_ = 0;
  uint64_t sum_ = 0;
};

// Never destroyed: kernels may run while the process ends.
Memory& memory() {
  static Memory* const the = new Memory;
  return *the;
}

bool in_arena(const void* p) {
  return !kHeapMemory && static_cast<uint64_t>(static_cast<const char*>(p) - arena().base) < kArenaBytes;
}

// Marks of the bytes [p, p + bytes), at least one: whole words between the first and the last, each of which
// may be partly there.
void mark(const void* p, size_t bytes) {
  uint8_t* const states = memory().states(p);
  const auto first = static_cast<size_t>(static_cast<const char*>(p) - arena().base) % 4;
  const size_t last = (first + bytes - 1) / 4;
  const auto of_first = static_cast<uint8_t>(0xf << first & 0xf);
  const auto of_last = static_cast<uint8_t>(0xf >> (3 - (first + bytes - 1) % 4));
  if (last == 0) {
    states[0] |= of_first & of_last;
    return;
  }
  states[0] |= of_first;
  for (size_t word = 1; word < last; ++word) states[word] |= 0xf;
  states[last] |= of_last;
}

char* window() {
  struct Window {
    Window() : base(static_cast<char*>(allocate(kWindowBytes))) {
      if (base == nullptr) throw std::bad_alloc();
      std::memset(memory().states(base), 0, kWindowBytes / 4);  // only its arrays may be touched
    }
    ~Window() { release(base); }
    char* base;
  };
  thread_local const Window own;
  return own.base;
}

}  // namespace

void* allocate(size_t bytes) { return memory().allocate(bytes); }
void release(void* p) { memory().release(p); }
bool allocated(const void* p, size_t bytes) { return memory().allocated(p, bytes); }
size_t allocation_bytes(const void* start) { return memory().size_of(start); }
uint64_t allocated_bytes() { return memory().sum(); }
const Arena& arena() {
  static const Arena& the = memory().arena();
  return the;
}

void mark_written(const void* p, size_t bytes) {
  if (in_arena(p) && bytes != 0) mark(p, bytes);
}

void mark_unwritten(const void* p, size_t bytes) {
  if (!in_arena(p)) return;
  uint8_t* const states = memory().states(p);
  for (size_t word = 0; word * 4 < bytes; ++word) states[word] &= kAllocated;
}

void forget_touches(const void* p, size_t bytes) {
  if (!in_arena(p)) return;
  const auto first = static_cast<size_t>(static_cast<const char*>(p) - arena().base) / 4;
  std::fill_n(arena().touches + first, up(bytes, 4) / 4, WordMarks{});
}

void copy_marks(void* to, const void* from, size_t bytes) {
  if (!in_arena(to) || !in_arena(from)) return;
  for (size_t i = 0; i < bytes; i += 4) {
    uint8_t& state = *memory().states(static_cast<char*>(to) + i);
    state = static_cast<uint8_t>((state & kAllocated) |
                                 (*memory().states(static_cast<const char*>(from) + i) & 0xf));
  }
}

void SharedMemory::begin(uint8_t pattern) {
  clear();
  pattern_ = pattern;
}

void SharedMemory::clear() {
  for (const Array& array : arrays_) {
    if (kHeapMemory) {
      operator delete(array.memory, std::align_val_t(array.align));
    } else {
      std::memset(memory().states(array.memory), 0, up(array.bytes, 4) / 4);
    }
  }
  arrays_.clear();
  used_ = 0;
  offset_ = kSharedGap;
  next_address_ = 0;
}

void* SharedMemory::array(const void* key, size_t bytes, size_t align, bool* made, std::string* problem) {
  for (const Array& array : arrays_)
    if (array.key == key) return array.memory;
  align = std::max<size_t>(align, 16);
  used_ = up(used_, align) + up(bytes, 16);
  offset_ = up(offset_, align);
  if (used_ > limit_ || offset_ + bytes + kSharedGap > kWindowBytes) {
    *problem = "shared memory: " + std::to_string(used_) + " bytes, the limit is " + std::to_string(limit_);
    return nullptr;
  }
  Array array{key, nullptr, bytes, align, 0};
  array.address = static_cast<uint32_t>(up(next_address_, kBulkAlign) + (align < kBulkAlign ? 16 : 0));
  next_address_ = array.address + bytes;
  if (kHeapMemory) {
    array.memory = static_cast<char*>(operator new(bytes, std::align_val_t(align)));
  } else {
    array.memory = window() + offset_;
    std::memset(memory().states(array.memory), kAllocated, up(bytes, 4) / 4);
    offset_ += up(bytes, 16) + kSharedGap;
  }
  std::memset(array.memory, pattern_, bytes);
  arrays_.push_back(array);
  *made = true;
  return array.memory;
}

uint32_t SharedMemory::address(const void* p) const {
  for (const Array& array : arrays_)
    if (p >= array.memory && p < array.memory + array.bytes)
      return array.address + static_cast<uint32_t>(static_cast<const char*>(p) - array.memory);
  return ~0u;
}

char* SharedMemory::at(uint32_t address, size_t bytes) const {
  for (const Array& array : arrays_)
    if (address >= array.address && address + bytes <= array.address + array.bytes)
      return array.memory + (address - array.address);
  return nullptr;
}

bool SharedMemory::owns(const void* p) {
  return !kHeapMemory && static_cast<uint64_t>(static_cast<const char*>(p) - window()) < kWindowBytes;
}

}  // namespace nearfield::simt
