// SPDX-License-Identifier: Apache-2.0
// nearfield_simt_tensor_map_test DRIVER: what the backend asks the driver for when it maps rows in tile32.
#include "tensor_map.hpp"

#include <cstring>

#include "check.hpp"
#include "cuda_async.hpp"

int main(int, char** arguments) {
  using namespace nearfield;
  simt::test::Report report;
  const auto driver = cuda::Driver::open(arguments[1]);
  report.check(!driver->gpus().empty(), "an emulated GPU: " + driver->why_none());
  constexpr cuda::DevicePointer rows = 0x10000;
  constexpr uint64_t groups = 1000;
  constexpr uint32_t chunks = 33;
  cuda::TensorMap map{};
  const Status made = cuda::map_tile32(*driver, rows, groups, chunks, cuda::kBoxGroups, &map);
  report.check(made.ok(), "a map of rows: " + made.message());
  simt::TensorMap kept;
  std::memcpy(&kept, &map, sizeof(kept));
  report.check(kept.mark == simt::kTensorMapMark && kept.address == reinterpret_cast<char*>(rows) &&
                   kept.element_bytes == 4,
               "of floats at its address");
  // Element (x, y, z) is x floats into chunk z of group y.
  report.check(kept.sizes[0] == 128 && kept.sizes[1] == groups && kept.sizes[2] == chunks &&
                   kept.strides[0] == uint64_t{chunks} * 512 && kept.strides[1] == 512,
               "by (float of a chunk, group, chunk)");
  report.check(size_t{kept.box[0]} * kept.box[1] * kept.box[2] * 4 == cuda::kBoxBytes &&
                   kept.box[1] == cuda::kBoxGroups,
               "in boxes as the kernels have them");
  const Status refused = cuda::map_tile32(*driver, rows + 4, groups, chunks, cuda::kBoxGroups, &map);
  report.check(!refused.ok() &&
                   simt::test::contains(refused.message(), "a map of rows: cuTensorMapEncodeTiled:") &&
                   refused.native_code() == 1,
               "rows at a multiple of 4 bytes: " + refused.message());
  return report.finish();
}
