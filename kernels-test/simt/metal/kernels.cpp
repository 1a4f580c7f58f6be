// SPDX-License-Identifier: Apache-2.0
#include "kernels.hpp"

#include "metal_dialect.hpp"
using namespace metal;
#include "kernels/code.h"
#include "kernels/coded_product.h"
#include "kernels/decode.h"
#include "kernels/flat.h"
#include "kernels/instances.h"
#include "kernels/levels.h"
#include "kernels/matrix.h"
#include "kernels/merge.h"
#include "kernels/move.h"
#include "kernels/prune.h"
#include "kernels/radix.h"
#include "kernels/rescore.h"
#include "kernels/rotate.h"
#include "kernels/score.h"
#include "kernels/transfer.h"
#include "metal_dialect_end.hpp"

namespace nearfield::simt::metal {
namespace {

// What a kernel function's argument gets. The order of our kernels: the parameters, the buffers, then
// threadgroup_position_in_grid, thread_index_in_threadgroup and simdgroup_index_in_threadgroup as far as it
// has them.
template <size_t I, size_t BUFFERS, class T>
T argument(const void* params, void* const* buffers) {
  if constexpr (I == 0) {
    static_assert(std::is_reference_v<T>, "buffer(0) holds the parameters");
    return *static_cast<std::remove_reference_t<T>*>(params);
  } else if constexpr (I <= BUFFERS) {
    return static_cast<T>(buffers[I - 1]);
  } else if constexpr (I == BUFFERS + 1) {
    const Dim3 at = block().position;
    return T(at.x, at.y, at.z);
  } else {
    static_assert(std::is_same_v<T, uint> && I <= BUFFERS + 3);
    return I == BUFFERS + 2 ? thread().index : thread().warp;
  }
}

template <auto FUNCTION>
struct Bound;

template <class... T, void (*FUNCTION)(T...)>
struct Bound<FUNCTION> {
  static constexpr size_t buffers = (size_t{std::is_pointer_v<T>} + ...);
  using Params = std::remove_reference_t<std::tuple_element_t<0, std::tuple<T...>>>;

  static void run(const void* params, void* const* pointers) {
    [&]<size_t... I>(std::index_sequence<I...>) { FUNCTION(argument<I, buffers, T>(params, pointers)...); }
    (std::index_sequence_for<T...>{});
  }
};

#define NF_ROW(name, metric, query_block, list_capacity)                            \
  Kernel{#name "_m" #metric "_q" #query_block "_c" #list_capacity,                  \
         sizeof(Bound<&kernels::name<metric, query_block, list_capacity>>::Params), \
         Bound<&kernels::name<metric, query_block, list_capacity>>::buffers,        \
         &Bound<&kernels::name<metric, query_block, list_capacity>>::run},
const Kernel kKernels[] = {NEARFIELD_METAL_INSTANCES(NF_ROW)};
#undef NF_ROW

}  // namespace

const Kernel* find_kernel(const std::string& name) {
  for (const Kernel& kernel : kKernels)
    if (name == kernel.name) return &kernel;
  return nullptr;
}

}  // namespace nearfield::simt::metal
