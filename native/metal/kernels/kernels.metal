// SPDX-License-Identifier: Apache-2.0
// All kernels, for MSL 3.0 and later. The host compiles this text anew for each instance that it needs, with
// NEARFIELD_METAL_WANTED naming that one; without it all are compiled, as `xcrun metal -c` does.
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

// The host asks for safe arithmetic by its compile options too; older compilers do not know the words.
#if __METAL_VERSION__ >= 320
#pragma METAL fp math_mode(safe)
#pragma METAL fp contract(off)
#endif

#include "code.h"
#include "coded_product.h"
#include "decode.h"
#include "flat.h"
#include "instances.h"
#include "levels.h"
#include "matrix.h"
#include "merge.h"
#include "move.h"
#include "prune.h"
#include "radix.h"
#include "rescore.h"
#include "rotate.h"
#include "score.h"
#include "transfer.h"

#ifndef NEARFIELD_METAL_WANTED
#define NEARFIELD_METAL_WANTED NEARFIELD_METAL_INSTANCES
#endif

namespace nearfield {
namespace kernels {

#define NEARFIELD_METAL_KERNEL(name, metric, query_block, list_capacity)                      \
  template [[host_name(#name "_m" #metric "_q" #query_block "_c" #list_capacity)]] [[kernel]] \
  decltype(name<metric, query_block, list_capacity>)                                          \
  name<metric, query_block, list_capacity>;
NEARFIELD_METAL_WANTED(NEARFIELD_METAL_KERNEL)

}  // namespace kernels
}  // namespace nearfield
