// SPDX-License-Identifier: Apache-2.0
// The calling thread's floating-point mode. Callers may have set another one (a library of the host built
// with -ffast-math sets flush-to-zero, a thread inherits it), and then the same search would have other bits.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#elif !defined(__aarch64__)
#include <cfenv>
#endif

namespace nearfield {

#if defined(__x86_64__) || defined(_M_X64)
// MXCSR.
using FloatMode = uint32_t;
constexpr FloatMode kModeBits = ~0x3Fu;          // without the sticky exception flags
constexpr FloatMode kDefaultFloatMode = 0x1F80;  // to nearest, subnormals kept, no traps
inline FloatMode float_mode() { return _mm_getcsr(); }
inline void set_float_mode(FloatMode mode) { _mm_setcsr(mode); }
#elif defined(__aarch64__)
// FPCR, which holds no flags.
using FloatMode = uint64_t;
constexpr FloatMode kModeBits = ~FloatMode{0};
constexpr FloatMode kDefaultFloatMode = 0;
inline FloatMode float_mode() {
  FloatMode mode;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
inline void set_float_mode(FloatMode mode) { __asm__ __volatile__("msr fpcr, %0" : : "r"(mode) : "memory"); }
#else
// All that C++ knows.
using FloatMode = int;
constexpr FloatMode kModeBits = ~0;
constexpr FloatMode kDefaultFloatMode = FE_TONEAREST;
inline FloatMode float_mode() { return std::fegetround(); }
inline void set_float_mode(FloatMode mode) { std::fesetround(mode); }
#endif

// The default mode while it lives, then the one before. Reading costs nanoseconds, writing happens only where
// they differ.
class DefaultFloatMode {
 public:
  DefaultFloatMode() : before_(float_mode()) {
    if (differs()) set_float_mode(kDefaultFloatMode);
  }
  ~DefaultFloatMode() {
    if (differs()) set_float_mode(before_);
  }
  DefaultFloatMode(const DefaultFloatMode&) = delete;
  DefaultFloatMode& operator=(const DefaultFloatMode&) = delete;

 private:
  bool differs() const { return (before_ & kModeBits) != (kDefaultFloatMode & kModeBits); }

  const FloatMode before_;
};

}  // namespace nearfield
