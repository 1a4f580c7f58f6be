// SPDX-License-Identifier: Apache-2.0
// The matrix units behind native/cuda/kernels/mma.cuh: fragments as PTX ISA documents them, and all 32 lanes
// must call, at one place. Not compiled with the kernels: in checked ones the arithmetic would take most of
// the time.
#pragma once

#include "simt.hpp"

namespace nearfield::simt {

// d[4] += a[4] b[2] of mma.m16n8k32, s8 and s32.
void mma_s8(int32_t* d, const uint32_t* a, const uint32_t* b, Site where);

// d[4] += a[4] b[2] of mma.m16n8k8, tf32 and f32. The sums lose as much as common/tf32.hpp allows for.
void mma_tf32(float* d, const uint32_t* a, const uint32_t* b, Site where);

// An operand as the unit reads it.
float tf32_of(uint32_t bits);

// Two rows of A, or two columns of B, along k.
inline constexpr unsigned kTf32Depth = 8;
using Tf32Corner = float[2][kTf32Depth];

// d[2 * row + column] += the product, in blocks of kTf32Block.
void add_tf32(const Tf32Corner& rows, const Tf32Corner& columns, float* d);

}  // namespace nearfield::simt
