// SPDX-License-Identifier: Apache-2.0
// A stack to run on, and the switch between two: registers and a stack pointer, no system call.
// The sanitizers are told about every switch; TSan is told that it orders nothing. This folder's own
// bookkeeping, shared by fibers that it resumes one by one, is compiled without TSan: NEARFIELD_SIMT_TSAN
// says that it runs.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(NEARFIELD_SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace nearfield::simt {

// Sanitizers make frames several times larger.
#if defined(__SANITIZE_ADDRESS__) || defined(NEARFIELD_SIMT_TSAN)
inline constexpr size_t kStackBytes = 512 * 1024;
#else
inline constexpr size_t kStackBytes = 64 * 1024;
#endif

// Keeps the stack pointer in *save and goes on where `load` was kept.
#if defined(__x86_64__)
// In line, and by a jump: after a call, or by `ret`, the processor would predict the return of another fiber,
// here and at the next returns. The compiler keeps what it needs of the clobbered registers; 128 bytes below
// the stack pointer are its own.
[[gnu::always_inline]] inline void switch_stacks(void** save, void* load) {
  asm volatile(
      "leaq -128(%%rsp), %%rsp\n\t"
      "pushq %%rbp\n\t"
      "pushq %%rbx\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "movq %%rsp, (%[save])\n\t"
      "movq %[load], %%rsp\n\t"
      "popq %%rax\n\t"
      "jmpq *%%rax\n"
      "1:\n\t"
      "popq %%rbx\n\t"
      "popq %%rbp\n\t"
      "leaq 128(%%rsp), %%rsp"
      : [save] "+D"(save), [load] "+S"(load)
      :
      : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2",
        "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
        "xmm15", "memory", "cc");
}
#else
extern "C" void nearfield_simt_switch(void** save, void* load) asm("nearfield_simt_switch");
inline void switch_stacks(void** save, void* load) { nearfield_simt_switch(save, load); }
#endif

class Stack {
 public:
  Stack();  // throws std::bad_alloc
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // The next switch to this stack calls entry(), which must not return. `shift`: bytes left out at the top,
  // so that a thousand stacks do not share the same cache sets.
  void start(void (*entry)(), size_t shift);

 private:
  friend class Switch;
  char* base_;
  void* sp_ = nullptr;
  void* fake_ = nullptr;  // ASan's
  void* tsan_ = nullptr;
};

// Between the caller of launch() and its fibers.
class Switch {
 public:
  // From one fiber to another, past the caller: the sanitizers know of no such switch.
#if defined(__SANITIZE_ADDRESS__) || defined(NEARFIELD_SIMT_TSAN)
  static constexpr bool kHasAcross = false;
#else
  static constexpr bool kHasAcross = true;
#endif
  [[gnu::always_inline]] void across(Stack& from, Stack& to) { switch_stacks(&from.sp_, to.sp_); }

  [[gnu::always_inline]] void to_fiber(Stack& fiber) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake_, fiber.base_, kStackBytes);
#elif defined(NEARFIELD_SIMT_TSAN)
    tsan_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber.tsan_, __tsan_switch_to_fiber_no_sync);
#endif
    switch_stacks(&sp_, fiber.sp_);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_, nullptr, nullptr);
#endif
  }

  // From a fiber. `last`: it will not be resumed.
  [[gnu::always_inline]] void back(Stack& fiber, bool last) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(last ? nullptr : &fiber.fake_, caller_stack_, caller_bytes_);
#elif defined(NEARFIELD_SIMT_TSAN)
    __tsan_switch_to_fiber(tsan_, __tsan_switch_to_fiber_no_sync);
#endif
    static_cast<void>(last);
    switch_stacks(&fiber.sp_, sp_);
    arrived(fiber.fake_);
  }

  // First thing on a fiber.
  void arrived([[maybe_unused]] void* fake) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, &caller_stack_, &caller_bytes_);
#endif
  }

 private:
  void* sp_ = nullptr;
  [[maybe_unused]] void* fake_ = nullptr;
  [[maybe_unused]] void* tsan_ = nullptr;
  [[maybe_unused]] const void* caller_stack_ = nullptr;
  [[maybe_unused]] size_t caller_bytes_ = 0;
};

// Happens-before edges for TSan: what a barrier orders. Nothing elsewhere.
inline void tsan_release([[maybe_unused]] void* at) {
#if defined(NEARFIELD_SIMT_TSAN)
  __tsan_release(at);
#endif
}
inline void tsan_acquire([[maybe_unused]] void* at) {
#if defined(NEARFIELD_SIMT_TSAN)
  __tsan_acquire(at);
#endif
}

}  // namespace nearfield::simt
