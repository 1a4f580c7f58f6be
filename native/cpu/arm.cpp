// SPDX-License-Identifier: Apache-2.0
#include "arm.hpp"

#if defined(__aarch64__)
#include <cstddef>
#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#endif

namespace nearfield::cpu {
namespace {

#if defined(__APPLE__)
bool has(const char* feature) {
  int present = 0;
  size_t size = sizeof(present);
  return sysctlbyname(feature, &present, &size, nullptr, 0) == 0 && present != 0;
}
#elif defined(__linux__)
bool has(unsigned long entry, int bit) { return (getauxval(entry) >> bit & 1) != 0; }
#endif

}  // namespace

#if defined(__APPLE__)
bool arm_has_dotprod() { return has("hw.optional.arm.FEAT_DotProd"); }
bool arm_has_i8mm() { return has("hw.optional.arm.FEAT_I8MM"); }
#elif defined(__linux__)
// Bits as Linux numbers them, arch/arm64/include/uapi/asm/hwcap.h; older headers lack the second.
bool arm_has_dotprod() { return has(AT_HWCAP, 20 /* HWCAP_ASIMDDP */); }
bool arm_has_i8mm() { return has(AT_HWCAP2, 13 /* HWCAP2_I8MM */); }
#else
bool arm_has_dotprod() { return false; }
bool arm_has_i8mm() { return false; }
#endif

}  // namespace nearfield::cpu
#endif
