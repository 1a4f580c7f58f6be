// SPDX-License-Identifier: Apache-2.0
#include "x86.hpp"

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace nearfield::cpu {
namespace {

// Bits as the Intel Architectures Software Developer's Manual numbers them, volume 2A, CPUID.
constexpr uint32_t bits() { return 0; }
template <typename... More>
constexpr uint32_t bits(int first, More... more) {
  return 1u << first | bits(more...);
}
constexpr uint32_t kLeaf1Ecx = bits(12 /* FMA */, 27 /* OSXSAVE */, 28 /* AVX */);
constexpr uint32_t kAvx2 = bits(3 /* BMI1 */, 5 /* AVX2 */, 8 /* BMI2 */);  // leaf 7, EBX
constexpr uint32_t kAvx512 =
    bits(16 /* F */, 17 /* DQ */, 28 /* CD */, 30 /* BW */, 31 /* VL */);  // leaf 7, EBX
// XCR0: the registers that the system saves at a change of threads.
constexpr uint32_t kYmmState = bits(1 /* XMM */, 2 /* YMM */);
constexpr uint32_t kZmmState = bits(5 /* masks */, 6 /* upper halves */, 7 /* ZMM16 to 31 */);

bool has(uint32_t word, uint32_t wanted) { return (word & wanted) == wanted; }

bool offers(uint32_t leaf7, uint32_t state) {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || !has(ecx, kLeaf1Ecx)) return false;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || !has(ebx, leaf7)) return false;
  uint32_t saved = 0, upper = 0;
  __asm__("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));  // allowed by OSXSAVE
  return has(saved, state);
}

constexpr uint32_t kAvx512Vnni = bits(11);                                  // leaf 7, ECX
constexpr uint32_t kAvxVnni = bits(4);                                      // leaf 7, subleaf 1, EAX
constexpr uint32_t kAmx = bits(24 /* TILE */, 25 /* INT8 */);               // leaf 7, EDX
constexpr uint32_t kTileState = bits(17 /* TILECFG */, 18 /* TILEDATA */);  // XCR0

// Of the process, all threads; without it the first use ends in SIGILL. For good: nothing takes it back.
bool request_tiles() {
#if defined(__linux__)
  // <asm/prctl.h> of Linux 5.16; the headers that we compile with are older.
  constexpr long kArchReqXcompPerm = 0x1023, kXfeatureXtiledata = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureXtiledata) == 0;
#else
  return false;  // no other system is known to
#endif
}

}  // namespace

bool x86_has_avx2() { return offers(kAvx2, kYmmState); }
bool x86_has_avx512() { return offers(kAvx2 | kAvx512, kYmmState | kZmmState); }
bool x86_has_avxvnni() {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  return x86_has_avx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && has(eax, kAvxVnni);
}
bool x86_has_avx512vnni() {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  return x86_has_avx512() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && has(ecx, kAvx512Vnni);
}
bool x86_has_amx() {
  static const bool has_amx = [] {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    return x86_has_avx512vnni() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && has(edx, kAmx) &&
           offers(0, kTileState) && request_tiles();
  }();
  return has_amx;
}

}  // namespace nearfield::cpu
#endif
