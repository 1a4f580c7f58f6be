// SPDX-License-Identifier: Apache-2.0
// Compiled alone: the header needs nothing before it.
#include "nearfield/nearfield.h"

extern const nf_api* (*nearfield_get_api_of_c)(uint32_t);
const nf_api* (*nearfield_get_api_of_c)(uint32_t) = nf_get_api;

_Static_assert(sizeof(nf_error) == 512, "callers allocate nf_error by this size");
