// SPDX-License-Identifier: Apache-2.0
#include "tensor_map.hpp"

namespace nearfield::cuda {

Status map_tile32(const Driver& driver, DevicePointer rows, uint64_t groups, uint32_t chunks,
                  uint32_t box_groups, TensorMap* map) {
  if (driver.symbols().cuTensorMapEncodeTiled == nullptr)
    return error(NF_UNAVAILABLE, "the NVIDIA driver, %s, makes no tensor maps, which came with CUDA 12.0",
                 driver.text().c_str());
  constexpr int float32 = 7, l2_256_bytes = 3;  // CUtensorMapDataType, CUtensorMapL2promotion
  constexpr uint32_t chunk_bytes = 512;         // of a group
  const uint64_t sizes[] = {chunk_bytes / sizeof(float), groups, chunks};
  const uint64_t strides[] = {uint64_t{chunks} * chunk_bytes, chunk_bytes};
  const uint32_t box[] = {chunk_bytes / sizeof(float), box_groups, kBoxChunks};
  const uint32_t every[] = {1, 1, 1};
  const Result result = driver.symbols().cuTensorMapEncodeTiled(
      map, float32, 3, reinterpret_cast<void*>(rows), sizes, strides, box, every, 0, 0, l2_256_bytes, 0);
  return driver.status(result, "a map of rows", "cuTensorMapEncodeTiled");
}

}  // namespace nearfield::cuda
