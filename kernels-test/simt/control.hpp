// SPDX-License-Identifier: Apache-2.0
// How tests steer the emulated devices, whose libraries they reach through the C ABI only: by the
// environment.
//
//   NEARFIELD_SIMT_SCHEDULE=forward|reverse|random[:SEED]     how threads and blocks take turns (forward)
//   NEARFIELD_SIMT_FAULT=NAME=VALUE[,NAME=VALUE]...           what goes wrong, counted from when it was set:
//     no-device=1      there is no device
//     driver=VERSION   CUDA: what cuDriverGetVersion answers, 11020 for 11.2
//     capability=MM    CUDA: compute capability, 90 for 9.0
//     no-code=1        CUDA: the module has no code for this device
//     no-maps=1        CUDA: the driver makes no tensor maps
//     memory=BYTES     of the device altogether
//     allocation=N     the N-th allocation fails, the first is 1
//     launch=N         the N-th kernel fails
//     copy=N           CUDA: the N-th copy fails
//     lost=N           the device is lost at the N-th kernel, for good
//     hang=N           CUDA, Metal: the device ends nothing from the N-th kernel on, and says nothing
//     silence=MS       how long a backend waits for a device that ends nothing, instead of gpu::kMostSilence
//     slow=MS          every submission takes MS milliseconds
//     unified=0        Metal: the CPU does not see the GPU's memory
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simt.hpp"

namespace nearfield::simt {

// The value of a fault, or `none`. Read anew when the variable has changed.
int64_t fault(const char* name, int64_t none);
// Counts an event ("allocation", "launch", "lost"); true when it is the one that the fault names.
bool fault_strikes(const char* name);

// How a kernel of the backends is launched: schedule and seed by the environment, and which of its `buffers`,
// in the order of gpu::Kernel::access, hold rows of which the last group may be a part.
Options options_of(const char* kernel, const std::vector<void*>& buffers);

}  // namespace nearfield::simt
