// SPDX-License-Identifier: Apache-2.0
#include "shapes.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/shapes.h"

namespace nearfield::cuda {
namespace {

// Blocks of a scan in whole waves: with two of them the multiprocessors that end first find more to do.
constexpr uint32_t kWaves = 2;
// One pass of the direct form serves this many queries; for more, the matrix form does half of the
// arithmetic.
constexpr int64_t kMostDirectBatch = 16;
// Up to here tiles of 32 queries waste less than tiles of 128.
constexpr int64_t kMostSmallTileBatch = 96;
// A list that holds little more than k is sorted at every tile: one query can afford a longer one.
constexpr int32_t kShortListK = 32;
// One block of a multiprocessor waits at its barriers, or sorts, while another reads.
constexpr uint32_t kLeastBlocks = 2;

// A kernel `flat`, and how many of its blocks the registers of a multiprocessor hold (instances.cu).
struct Form {
  uint32_t query_block, capacity, blocks, bytes, given_bytes;
};
template <uint32_t QUERIES, uint32_t CAPACITY>
constexpr Form form(uint32_t blocks) {
  return {QUERIES, CAPACITY, blocks, kFlatBytes<QUERIES, CAPACITY>, kFlatGivenBytes<QUERIES, CAPACITY>};
}
// Of each capacity the largest block of queries first.
constexpr Form kForms[] = {
    form<16, 256>(3), form<8, 256>(3),  form<4, 256>(4),  form<1, 256>(6),  form<4, 1024>(4),
    form<1, 1024>(6), form<4, 2048>(4), form<1, 2048>(6), form<2, 4096>(3), form<1, 4096>(6),
};

uint32_t list_capacity(int32_t k, int32_t most_short_k) {
  return k <= most_short_k ? 256 : k <= 512 ? 1024 : k <= 1024 ? 2048 : 4096;
}

uint32_t resident_blocks(const Gpu& gpu, const Form& form) {
  return form.bytes > gpu.shared_of_block
             ? 0
             : std::min(form.blocks, gpu.shared_of_multiprocessor / (form.bytes + gpu.shared_reserved));
}

uint32_t whole_waves(const Gpu& gpu, uint32_t blocks) {
  return kWaves * blocks * static_cast<uint32_t>(std::max(1, gpu.multiprocessors));
}

}  // namespace

gpu::FlatShape flat_shape(const Gpu& gpu, int64_t batch, int32_t k) {
  const uint32_t capacity = list_capacity(k, batch == 1 ? kShortListK : 128);
  const uint32_t queries = batch == 1 ? 1 : batch <= 4 ? 4 : batch <= 8 ? 8 : 16;
  for (const Form& form : kForms) {
    if (form.capacity != capacity || form.query_block > queries) continue;
    const uint32_t blocks = resident_blocks(gpu, form);
    // One query a block is always possible: at most 33 KB.
    if (blocks >= kLeastBlocks || form.query_block == 1)
      return {form.query_block, form.capacity, whole_waves(gpu, std::max(1u, blocks))};
  }
  return {};
}

gpu::MatrixShape matrix_shape(int32_t metric, int64_t batch, int32_t k) {
  if ((metric != NF_L2SQ && metric != NF_COSINE && metric != NF_DOT) || batch <= kMostDirectBatch ||
      k > kMostListK)
    return {};
  const uint32_t capacity = list_capacity(k, 128);
  if (batch <= kMostSmallTileBatch) return {32, kMatrixRowTile<32>, capacity};
  return {128, kMatrixRowTile<128>, capacity};
}

gpu::CodedProductShape coded_product_shape(int64_t batch, int32_t k) {
  if (k > kMostListK) return {};
  const uint32_t query_tile = batch <= 64 ? 64 : 128;
  return {query_tile, kProductRowTile, kProductRowTile / 64, list_capacity(k, 128)};
}

gpu::CodedProductShape tf32_shape(const Gpu& gpu, int32_t k, bool by_warpgroups) {
  if (gpu.capability < kTf32Capability || k > kMostListK) return {};
  return {kTf32QueryTile,        kTf32RowTile,  kTf32RowTile / 64,
          list_capacity(k, 128), by_warpgroups, by_warpgroups ? whole_waves(gpu, 1) : 0};
}

uint32_t given_bytes(const gpu::Kernel& kernel, const gpu::Variant& variant) {
  if (std::strcmp(kernel.name, gpu::kMatrixTf32.name) == 0) return kTf32GivenBytes;
  if (std::strcmp(kernel.name, gpu::kMatrixTf32Wgmma.name) == 0) return kWgmmaGivenBytes;
  if (std::strcmp(kernel.name, gpu::kFlat.name) != 0) return 0;
  for (const Form& form : kForms)
    if (form.query_block == variant.query_block && form.capacity == variant.list_capacity)
      return form.given_bytes;
  return 0;
}

uint32_t radix_workgroups(const Gpu& gpu) { return whole_waves(gpu, 6); }

}  // namespace nearfield::cuda
