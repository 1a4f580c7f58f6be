// SPDX-License-Identifier: Apache-2.0
#include "fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

#if defined(__aarch64__)
// AAPCS64: x19 to x30 and the low halves of v8 to v15 belong to the caller.
asm(R"(
.text
.globl nearfield_simt_switch
nearfield_simt_switch:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x2, sp
  str x2, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
)");
#elif !defined(__x86_64__)
#error "kernels-test/simt: no fiber switch for this processor; see the one above and that of fiber.hpp"
#endif

namespace nearfield::simt {
namespace {

size_t guard_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

Stack::Stack() {
  const size_t guard = guard_bytes();
  void* const memory =
      mmap(nullptr, guard + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, guard, PROT_NONE);  // an overflow is a crash, not a wrong answer
  base_ = static_cast<char*>(memory) + guard;
#if defined(NEARFIELD_SIMT_TSAN)
  tsan_ = __tsan_create_fiber(0);
#endif
}

Stack::~Stack() {
#if defined(NEARFIELD_SIMT_TSAN)
  __tsan_destroy_fiber(tsan_);
#endif
  munmap(base_ - guard_bytes(), guard_bytes() + kStackBytes);
}

void Stack::start(void (*entry)(), size_t shift) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(base_, kStackBytes);  // what an abandoned fiber's frames left
#endif
  const uintptr_t top = (reinterpret_cast<uintptr_t>(base_) + kStackBytes - shift) & ~uintptr_t{15};
#if defined(__x86_64__)
  // The switch jumps to entry, which starts with rsp % 16 == 8, as after a call.
  auto* const sp = reinterpret_cast<void**>(top) - 2;
  sp[0] = reinterpret_cast<void*>(entry);
  sp[1] = nullptr;
  sp_ = sp;
#else
  auto* const sp = reinterpret_cast<void**>(top) - 20;
  sp[10] = nullptr;                         // x29: end of the chain of frames
  sp[11] = reinterpret_cast<void*>(entry);  // x30
  sp_ = sp;
#endif
  fake_ = nullptr;
}

}  // namespace nearfield::simt
