// SPDX-License-Identifier: Apache-2.0
// What a driver says of a kernel image: whether it is for this GPU, and not too new for the driver.
#pragma once

#include "driver.hpp"

namespace nearfield::simt::cuda {

// kSuccess, or what cuModuleLoadData answers to machine code (ELF) or PTX that this GPU (90: capability 9.0)
// or this driver (12020: CUDA 12.2) does not take.
nearfield::cuda::Result takes(const void* image, int capability, int driver);

}  // namespace nearfield::simt::cuda
