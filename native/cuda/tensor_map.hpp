// SPDX-License-Identifier: Apache-2.0
// Maps for bulk tensor copies (kernels/bulk.cuh).
#pragma once

#include "driver.hpp"
#include "kernels/tensor_map.h"

namespace nearfield::cuda {

// Of `groups` groups of rows in tile32; boxes of `box_groups` groups by kBoxChunks chunks, at coordinates
// (0, group, chunk). What lies beyond the last group or chunk is 0.
Status map_tile32(const Driver& driver, DevicePointer rows, uint64_t groups, uint32_t chunks,
                  uint32_t box_groups, TensorMap* map);

}  // namespace nearfield::cuda
