// SPDX-License-Identifier: Apache-2.0
// One row's codes, as nearfield.h describes them at nf_quantize. `error`: |x - decoded|, rounded up.
#pragma once

#include <cstdint>

namespace nearfield {

float quantize_i8(const float* x, int64_t dim, int8_t* codes, float* error);  // the scale
void quantize_bf16(const float* x, int64_t dim, uint16_t* codes, float* error);

}  // namespace nearfield
