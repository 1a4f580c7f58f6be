// SPDX-License-Identifier: Apache-2.0
// What this process may use of the machine it runs on.
#pragma once

#include <cstdint>
#include <string>

namespace nearfield::cpu {

std::string cpu_name();
// Cores: the affinity mask, cut to the CPU quota of the process's control group. At least 1.
int32_t usable_cores();
// Bytes of RAM: the machine's, cut to the memory limit of the control group.
uint64_t usable_memory();
// Bytes that could be allocated now without swapping; 0 when unknown.
uint64_t available_memory();

}  // namespace nearfield::cpu
