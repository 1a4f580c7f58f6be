// SPDX-License-Identifier: Apache-2.0
// What gpu::Buffers of this backend are.
#pragma once

#include "device.hpp"

namespace nearfield::metal {

inline const Block& block_of(const gpu::Buffer& buffer) { return static_cast<const Block&>(buffer.memory()); }

}  // namespace nearfield::metal
