// SPDX-License-Identifier: Apache-2.0
// What the backend says when there is no driver, one that is too old or one that finds nothing, and what
// driver errors become. Arguments: the stand-ins `old`, `bare`, `empty`, `broken` (CMakeLists.txt).
#include "driver.hpp"

#include <cstdio>
#include <initializer_list>
#include <set>
#include <string>

#include "kernels/shapes.h"
#include "module.hpp"
#include "shapes.hpp"

using namespace nearfield;
using cuda::kTileRows;

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

// The shared memory of one GPU of each kind (NVIDIA's programming guide, by compute capability).
cuda::Gpu gpu_of(int capability) {
  cuda::Gpu gpu;
  gpu.capability = capability;
  gpu.multiprocessors = 10;
  const uint32_t kib = capability == 80 ? 164 : capability == 86 ? 100 : capability == 90 ? 228 : 64;
  gpu.shared_of_multiprocessor = kib << 10;
  gpu.shared_reserved = capability == 75 ? 0 : 1 << 10;
  gpu.shared_of_block = gpu.shared_of_multiprocessor - gpu.shared_reserved;
  return gpu;
}

// Queries of a block, and blocks of a multiprocessor, by the shared memory that there is.
void expect_shapes() {
  struct Wanted {
    int capability;
    int64_t batch;
    int32_t k;
    uint32_t queries, capacity, blocks;
  };
  for (const Wanted& w : std::initializer_list<Wanted>{{75, 1, 10, 1, 256, 6},
                                                       {75, 16, 10, 8, 256, 3},
                                                       {75, 16, 500, 1, 1024, 6},
                                                       {75, 16, 1000, 1, 2048, 3},
                                                       {75, 16, 2048, 1, 4096, 1},
                                                       {80, 16, 10, 16, 256, 3},
                                                       {80, 16, 1000, 4, 2048, 2},
                                                       {80, 4, 2048, 2, 4096, 2},
                                                       {86, 16, 10, 16, 256, 2},
                                                       {86, 16, 1000, 1, 2048, 5},
                                                       {86, 1, 2048, 1, 4096, 3},
                                                       {90, 16, 1000, 4, 2048, 3},
                                                       {90, 16, 2048, 2, 4096, 3},
                                                       {90, 1, 2048, 1, 4096, 6}}) {
    const gpu::FlatShape got = cuda::flat_shape(gpu_of(w.capability), w.batch, w.k);
    expect(got.query_block == w.queries && got.list_capacity == w.capacity && got.workgroups == 20 * w.blocks,
           ("the shape of capability " + std::to_string(w.capability) + ", batch " + std::to_string(w.batch) +
            ", k " + std::to_string(w.k))
               .c_str(),
           std::to_string(got.query_block) + " queries, lists of " + std::to_string(got.list_capacity) +
               ", " + std::to_string(got.workgroups) + " blocks");
  }
  // A launch gives what a kernel may not declare.
  expect(cuda::given_bytes(gpu::kFlat, {1, 4, 1024}) == 0 &&
             cuda::given_bytes(gpu::kFlat, {1, 4, 2048}) == 64 << 10 &&
             cuda::given_bytes(gpu::kRescore, {1, 1, 4096}) == 0,
         "the shared memory of launches", "");
}

// Which image a GPU and a driver get. The images: as a build has them.
void expect_images() {
  const cuda::Image all[] = {{75, false, false, 12000, 0, 1},  {80, false, false, 12000, 1, 1},
                             {86, false, false, 12000, 2, 1},  {90, true, false, 12000, 3, 1},
                             {100, false, false, 13000, 4, 1}, {120, false, false, 13000, 5, 1},
                             {80, false, true, 12000, 6, 1}};
  struct Wanted {
    int capability, driver;
    const char* images;  // by their offsets, best first, or what is missing
  };
  for (const Wanted& w : std::initializer_list<Wanted>{
           {75, 12000, "0"},
           {80, 12020, "16"},
           {87, 12020, "216"},
           {89, 13010, "216"},
           {90, 12000, "36"},
           {92, 12000, "6"},
           {100, 12080, "6"},
           {103, 13000, "46"},
           {110, 13000, "6"},
           {121, 13000, "56"},
           {61, 13000, "it has compute capability 6.1, this library needs 7.5 or later"},
           {90, 11080,
            "it has compute capability 9.0, for which this library needs a driver of CUDA 12.0 or later, and "
            "the driver is of CUDA 11.8"}}) {
    std::string why, got;
    for (const cuda::Image& image : cuda::images_for(all, w.capability, w.driver, &why))
      got += std::to_string(image.offset);
    expect((got.empty() ? why : got) == w.images,
           ("the images of " + std::to_string(w.capability) + " with " + std::to_string(w.driver)).c_str(),
           got + why);
  }
  std::string why;
  const std::span<const cuda::Image> one(all + 3, 1);
  expect(cuda::images_for(one, 120, 13000, &why).empty() &&
             why.find("it has compute capability 12.0, this library has code for sm_") == 0,
         "a build for one architecture", why);
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
    for (const cuda::Gpu& gpu : {gpu_of(75), gpu_of(80), gpu_of(86), gpu_of(90)})
      for (const int64_t batch : {1, 2, 4, 5, 8, 9, 16, 10'000})
        for (const int32_t k : {1, 32, 33, 128, 129, 512, 513, 1024, 1025, 2048}) {
          const gpu::FlatShape flat = cuda::flat_shape(gpu, batch, k);
          has(gpu::kFlat, {metric, flat.query_block, flat.list_capacity});
          has(gpu::kMerge, {1, 1, flat.list_capacity});
          expect(flat.list_capacity >= static_cast<uint32_t>(k) + kTileRows, "a tile beside the k best",
                 std::to_string(flat.list_capacity) + " for " + std::to_string(k));
          const gpu::MatrixShape matrix = cuda::matrix_shape(metric, batch, k);
          if (matrix.query_tile == 0) continue;
          has(gpu::kMatrix, {metric, matrix.query_tile, 1});
          has(gpu::kRescore, {metric, 1, matrix.list_capacity});
        }
    for (const gpu::Kernel& kernel : {gpu::kHistogram, gpu::kCollect, gpu::kScore})
      has(kernel, {metric, 1, 1});
  }
  expect(cuda::tf32_shape(gpu_of(75), 10, false).query_tile == 0, "no TF32 on 7.5", "");
  for (int32_t metric = NF_L2SQ; metric <= NF_DOT; ++metric)
    for (const bool by_warpgroups : {false, true}) {
      const gpu::CodedProductShape shape = cuda::tf32_shape(gpu_of(90), 10, by_warpgroups);
      const gpu::Kernel kernel = shape.by_warpgroups ? gpu::kMatrixTf32Wgmma : gpu::kMatrixTf32;
      const gpu::Variant variant{metric, shape.query_tile, 1};
      has(kernel, variant);
      expect(cuda::given_bytes(kernel, variant) > 48 << 10 &&
                 cuda::given_bytes(kernel, variant) < gpu_of(by_warpgroups ? 90 : 86).shared_of_block,
             "shared memory of every GPU that runs it", kernel.name);
    }
  for (int32_t metric = NF_L2SQ; metric <= NF_POINCARE; ++metric) {
    for (const gpu::Kernel& kernel : {gpu::kRotate, gpu::kCode}) has(kernel, {metric, 1, 1});
    for (const uint32_t queries : {1u, gpu::kLevelsQueries}) has(gpu::kLevels, {metric, queries, 1});
    for (const int32_t k : {32, 512, 1024, 2048})
      has(gpu::kRescore, {metric, 1, cuda::flat_shape(gpu_of(90), 1, k).list_capacity});
  }
  for (const gpu::Kernel& kernel : {gpu::kMove, gpu::kDecode, gpu::kTransfer}) has(kernel, {1, 1, 1});
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
  expect_images();
  expect_shapes();
  expect_instances();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
