// SPDX-License-Identifier: Apache-2.0
// The kernels of codes, compiled once per target by Highway's foreach_target, and within a target once for
// each unit of integer dots that its CPUs may have. Dispatch is our own table, as in kernels.cpp.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codes.cpp"
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#include "arm.hpp"
#include "code_kernels.hpp"
#include "code_layout.hpp"
#include "kernels.hpp"
#include "x86.hpp"
#if defined(__x86_64__)
#include <immintrin.h>

#include "tiles.hpp"
#endif
// Builds for tests put something in the place of units that the CPU lacks, under other names
// (test/stand_ins.hpp).
#if !defined(NF_STAND_INS)
#define NF_STAND_IN_SUFFIX ""
#define NF_HAS_AMX x86_has_amx
#define NF_HAS_AVXVNNI x86_has_avxvnni
#define NF_AVXVNNI_PREFIX "vex"
#endif
// clang-format off
#include "hwy/foreach_target.h"  // before highway.h
#include "canonical-inl.hpp"
#include "product-inl.hpp"
#include "rotate-inl.hpp"
#include "encode-inl.hpp"
#include "decode-inl.hpp"
// clang-format on

#define NF_UNIT_PLAIN 0
#define NF_UNIT_AVX2 1
#define NF_UNIT_AVXVNNI 2
#define NF_UNIT_AVX512VNNI 3
#define NF_UNIT_NEON 4
#define NF_UNIT_NEONDOT 5
#define NF_UNIT_NEONI8MM 6

HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE {
using D = hn::ScalableTag<float>;
}
HWY_AFTER_NAMESPACE();

// ---- units ----

#if HWY_TARGET == HWY_AVX3
#define NF_UNIT NF_UNIT_AVX512VNNI
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
namespace nearfield::cpu::HWY_NAMESPACE::avx512vnni {
inline constexpr int kUnitQueries = 12, kUnitVectors = 2;  // 24 sums and 2 rows of 32 registers
#include "codes-inl.hpp"
inline constexpr CodeKernels kKernels = make("avx512vnni", "avx512", &x86_has_avx512vnni, true);
#include "coded_tiles-inl.hpp"
inline constexpr CodeKernels kTileKernels = with_tiles(kKernels, "amx" NF_STAND_IN_SUFFIX, &NF_HAS_AMX);
}  // namespace nearfield::cpu::HWY_NAMESPACE::avx512vnni
HWY_POP_ATTRIBUTES
#undef NF_UNIT

#elif HWY_TARGET == HWY_AVX2
#define NF_UNIT NF_UNIT_AVXVNNI
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avxvnni")
namespace nearfield::cpu::HWY_NAMESPACE::avxvnni {
inline constexpr int kUnitQueries = 6, kUnitVectors = 2;  // 12 sums and 2 rows of 16 registers
#include "codes-inl.hpp"
inline constexpr CodeKernels kKernels = make("avxvnni" NF_STAND_IN_SUFFIX, "avx2", &NF_HAS_AVXVNNI, true);
}  // namespace nearfield::cpu::HWY_NAMESPACE::avxvnni
HWY_POP_ATTRIBUTES
#undef NF_UNIT
#define NF_UNIT NF_UNIT_AVX2
HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE::avx2 {
// 6 sums, a row twice and what a dot needs, of 16 registers.
inline constexpr int kUnitQueries = 6, kUnitVectors = 1;
#include "codes-inl.hpp"
inline constexpr CodeKernels kKernels = make("avx2", "avx2", &x86_has_avx2, true);
}  // namespace nearfield::cpu::HWY_NAMESPACE::avx2
HWY_AFTER_NAMESPACE();
#undef NF_UNIT

#elif HWY_TARGET == HWY_NEON
// gcc takes an extension together with an architecture that may have it, and inlines nothing that has more
// than its caller: Highway's functions have +crypto there. clang takes the extension alone.
#if HWY_COMPILER_GCC_ACTUAL
#define NF_ARM_WITH(extension) "arch=armv8.2-a+crypto+" extension
#else
#define NF_ARM_WITH(extension) "+" extension
#endif

#define NF_UNIT NF_UNIT_NEONI8MM
HWY_PUSH_ATTRIBUTES(NF_ARM_WITH("i8mm"))
namespace nearfield::cpu::HWY_NAMESPACE::neoni8mm {
inline constexpr int kUnitQueries = 6, kUnitVectors = 4;  // as below, queries by twos
#include "codes-inl.hpp"
inline constexpr CodeKernels kKernels = make("neoni8mm", "neon", &arm_has_i8mm, true);
}  // namespace nearfield::cpu::HWY_NAMESPACE::neoni8mm
HWY_POP_ATTRIBUTES
#undef NF_UNIT
#define NF_UNIT NF_UNIT_NEONDOT
HWY_PUSH_ATTRIBUTES(NF_ARM_WITH("dotprod"))
namespace nearfield::cpu::HWY_NAMESPACE::neondot {
inline constexpr int kUnitQueries = 6, kUnitVectors = 4;  // 24 sums and 4 rows of 32 registers
#include "codes-inl.hpp"
inline constexpr CodeKernels kKernels = make("neondot", "neon", &arm_has_dotprod, true);
}  // namespace nearfield::cpu::HWY_NAMESPACE::neondot
HWY_POP_ATTRIBUTES
#undef NF_UNIT
#define NF_UNIT NF_UNIT_NEON
HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE::neon {
// 12 sums, 2 rows and what a dot needs, of 32 registers.
inline constexpr int kUnitQueries = 6, kUnitVectors = 2;
#include "codes-inl.hpp"
inline bool always() { return true; }  // part of arm64
// 0.95 x the product of floats by instructions (docs/benchmarks/notes.md), and more rows to rescore.
inline constexpr CodeKernels kKernels = make("neon", "neon", &always, false);
}  // namespace nearfield::cpu::HWY_NAMESPACE::neon
HWY_AFTER_NAMESPACE();
#undef NF_UNIT

#else
#define NF_UNIT NF_UNIT_PLAIN
HWY_BEFORE_NAMESPACE();
namespace nearfield::cpu::HWY_NAMESPACE::plain {
inline constexpr int kUnitQueries = 2, kUnitVectors = 2;
#include "codes-inl.hpp"
inline bool always() { return true; }
inline constexpr CodeKernels kKernels = make("emu128", "emu128", &always, true);
}  // namespace nearfield::cpu::HWY_NAMESPACE::plain
HWY_AFTER_NAMESPACE();
#undef NF_UNIT
#endif

#if HWY_ONCE
namespace nearfield::cpu {

namespace {
constexpr const CodeKernels* kUnits[] = {
#if HWY_TARGETS & HWY_AVX3
    &N_AVX3::avx512vnni::kTileKernels, &N_AVX3::avx512vnni::kKernels,
#endif
#if HWY_TARGETS & HWY_AVX2
    &N_AVX2::avxvnni::kKernels,        &N_AVX2::avx2::kKernels,
#endif
#if HWY_TARGETS & HWY_NEON
    &N_NEON::neoni8mm::kKernels,       &N_NEON::neondot::kKernels,    &N_NEON::neon::kKernels,
#endif
#if HWY_TARGETS & HWY_EMU128
    &N_EMU128::plain::kKernels,
#endif
};
}  // namespace

std::span<const CodeKernels* const> compiled_code_kernels() { return kUnits; }

}  // namespace nearfield::cpu
#endif  // HWY_ONCE
