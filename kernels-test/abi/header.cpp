// SPDX-License-Identifier: Apache-2.0
// Compiled alone: the header needs nothing before it.
#include <type_traits>

#include "nearfield/nearfield.h"

static_assert(std::is_same_v<decltype(&nf_get_api), const nf_api* (*)(uint32_t)>);
static_assert(std::is_standard_layout_v<nf_api> && std::is_trivially_copyable_v<nf_search>);
