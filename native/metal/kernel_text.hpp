// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace nearfield::metal {

// kernels/kernels.metal with its includes in place (embed.py). NEARFIELD_METAL_WANTED, defined before it,
// names the instances that it is compiled for.
extern const char kKernelText[];

}  // namespace nearfield::metal
