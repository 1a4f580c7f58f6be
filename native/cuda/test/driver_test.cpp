// SPDX-License-Identifier: Apache-2.0
// What the backend says when there is no driver, one that is too old or one that finds nothing, and what
// driver errors become. Arguments: the stand-ins `old`, `bare`, `empty`, `broken` (CMakeLists.txt).
#include "driver.hpp"

#include <cstdio>
#include <set>
#include <string>

#include "kernels/shapes.h"
#include "module.hpp"

using namespace nearfield;

namespace {

int failed = 0, passed = 0;

void expect(bool ok, const char* what, const std::string& got) {
  if (ok) {
    ++passed;
    return;
  }
  ++failed;
  std::printf("FAIL %s; got: %s\n", what, got.c_str());
}

void expect_none(const char* file, nf_status status, const std::string& wanted) {
  const auto driver = cuda::Driver::open(file);
  expect(driver->gpus().empty() && driver->why_none().find(wanted) != std::string::npos &&
             driver->why_none_status() == status,
         wanted.c_str(), driver->why_none());
}

void expect_status(const cuda::Driver& driver, cuda::Result result, nf_status wanted, bool sticky) {
  const Status status = driver.status(result, "search", "cuLaunchKernel");
  expect(status.code() == wanted && cuda::Driver::is_sticky(result) == sticky &&
             (result == 0 || (status.native_code() == result &&
                              status.message().find("search: cuLaunchKernel: CUDA_ERROR") == 0)),
         ("the status of " + std::to_string(result)).c_str(),
         std::to_string(status.code()) + " " + status.message());
}

// Every shape that the host chooses has an instance, and every instance a number of threads.
void expect_instances() {
  std::set<std::string> names;
#define NF_KERNEL(operation, m, q, c)                                  \
  names.insert(#operation "_m" #m "_q" #q "_c" #c);                    \
  expect(cuda::block_threads({#operation, ""}, {m, q, c}) % 32 == 0 && \
             cuda::block_threads({#operation, ""}, {m, q, c}) > 0,     \
         "a whole number of warps", #operation);
#include "kernels/instances.inc"
#undef NF_KERNEL
  const auto has = [&](const gpu::Kernel& kernel, const gpu::Variant& variant) {
    const std::string name = cuda::entry_name(kernel, variant);
    expect(names.count(name) == 1, "an instance", name);
  };
  for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) {
    for (const uint32_t q : {1u, 4u, 8u, 16u}) has(gpu::kFlat, {metric, q, 256});
    for (const uint32_t q : {1u, 4u}) has(gpu::kFlat, {metric, q, 1024});
    for (const gpu::Kernel& kernel : {gpu::kHistogram, gpu::kCollect, gpu::kScore})
      has(kernel, {metric, 1, 1});
  }
  for (const int32_t metric : {NF_L2SQ, NF_COSINE, NF_DOT}) {
    for (const uint32_t q : {32u, 128u}) has(gpu::kMatrix, {metric, q, 1});
    for (const uint32_t c : {256u, 1024u}) has(gpu::kRescore, {metric, 1, c});
  }
  for (const uint32_t c : {256u, 1024u}) has(gpu::kMerge, {1, 1, c});
  has(gpu::kMove, {1, 1, 1});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  expect_none("libnearfield_no_such_driver.so.1", NF_UNAVAILABLE,
              "the NVIDIA driver was not found: libnearfield_no_such_driver.so.1");
  expect_none("libm.so.6", NF_UNAVAILABLE, "libm.so.6 is no CUDA driver");
  expect_none(argv[1], NF_FAILED_PRECONDITION,
              "the NVIDIA driver is too old: it serves CUDA 10.2, this library needs CUDA ");
  expect_none(argv[2], NF_UNAVAILABLE, "the NVIDIA driver, CUDA 99.1, has no function cuInit");
  expect_none(argv[3], NF_OK, "the NVIDIA driver, CUDA 99.1, found no GPU");
  expect_none(argv[4], NF_UNAVAILABLE,
              "could not be initialised: CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE (a text)");
  if (failed != 0) return 1;
  const auto driver = cuda::Driver::open(argv[3]);
  expect_status(*driver, 0, NF_OK, false);
  expect_status(*driver, 1, NF_INTERNAL, false);
  expect_status(*driver, 2, NF_RESOURCE_EXHAUSTED, false);
  for (const cuda::Result result : {214, 700, 702, 719, 999})
    expect_status(*driver, result, NF_DEVICE_LOST, true);
  expect_instances();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
