// SPDX-License-Identifier: Apache-2.0
#include "kernels.hpp"

#include "cuda_dialect.hpp"
// The entry points, as nvcc compiles them.
#include "kernels/instances.cu"
#include "test/unit_sums.cu"
#include "test/unit_sums_90a.cu"

namespace nearfield::simt::cuda {
namespace {

template <auto FUNCTION>
struct Bound;

template <class... T, void (*FUNCTION)(T...)>
struct Bound<FUNCTION> {
  static void run(void* const* arguments) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      FUNCTION(*static_cast<std::remove_reference_t<T>*>(arguments[I])...);
    }
    (std::index_sequence_for<T...>{});
  }
  static Kernel kernel(const char* name) { return {name, {sizeof(T)...}, {std::is_pointer_v<T>...}, &run}; }
};

#define NF_KERNEL(operation, m, q, c) \
  Bound<&nearfield::cuda::operation##_m##m##_q##q##_c##c>::kernel(#operation "_m" #m "_q" #q "_c" #c),
const std::vector<Kernel> kKernels = {
#include "kernels/instances.inc"
    // Of ./nearfield prove, whose images have no others.
    Bound<&nearfield::cuda::unit_sums_tf32>::kernel("unit_sums_tf32"),
    Bound<&nearfield::cuda::unit_sums_s8>::kernel("unit_sums_s8"),
    Bound<&nearfield::cuda::unit_sums_assumed>::kernel("unit_sums_assumed"),
    Bound<&nearfield::cuda::unit_sums_wgmma>::kernel("unit_sums_wgmma"),
};
#undef NF_KERNEL

}  // namespace

const Kernel* find_kernel(const std::string& name) {
  for (const Kernel& kernel : kKernels)
    if (name == kernel.name) return &kernel;
  return nullptr;
}

}  // namespace nearfield::simt::cuda
