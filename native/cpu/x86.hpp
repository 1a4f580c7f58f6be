// SPDX-License-Identifier: Apache-2.0
// What the x86-64 CPU and the system under this process offer. Asked of the CPU itself: the compilers'
// __builtin_cpu_supports needs a run-time part that not every tool set has (zig's answers "nothing" to
// everything).
#pragma once

namespace nearfield::cpu {

bool x86_has_avx2();        // with FMA, BMI1 and BMI2
bool x86_has_avx512();      // F, CD, BW, DQ and VL, and all of the above
bool x86_has_avxvnni();     // and AVX2
bool x86_has_avx512vnni();  // and AVX-512 as above
// AMX with products of int8, beside AVX-512 VNNI. Asks the system once for the use of its registers by this
// process, which Linux grants from 5.16 on, unless a sandbox refuses.
bool x86_has_amx();

}  // namespace nearfield::cpu
