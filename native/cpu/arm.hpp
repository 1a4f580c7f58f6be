// SPDX-License-Identifier: Apache-2.0
// What the arm64 CPU and the system under this process offer beyond NEON.
#pragma once

namespace nearfield::cpu {

bool arm_has_dotprod();  // sdot
bool arm_has_i8mm();     // usdot and usmmla

}  // namespace nearfield::cpu
