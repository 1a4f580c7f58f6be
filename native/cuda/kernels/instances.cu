// SPDX-License-Identifier: Apache-2.0
// The entry points. Arguments: the parameter struct by value, then one pointer per buffer in the order of
// gpu/queue.hpp.
#include "code.cuh"
#include "coded_product.cuh"
#include "decode.cuh"
#include "flat.cuh"
#include "levels.cuh"
#include "matrix.cuh"
#include "matrix_tf32.cuh"
#include "matrix_tf32_wgmma.cuh"
#include "merge.cuh"
#include "move.cuh"
#include "prune.cuh"
#include "radix.cuh"
#include "rescore.cuh"
#include "residual.cuh"
#include "rotate.cuh"
#include "score.cuh"
#include "transfer.cuh"

namespace nearfield::cuda {

// Launch bounds: threads, and the blocks of a multiprocessor that the registers must leave room for: as many
// as the kernels fit into without spilling.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000  // pairs of registers there
#define NF_FLAT_BLOCKS(q) (q == 1 ? 6 : q == 4 || q == 8 ? 3 : 2)
#else
#define NF_FLAT_BLOCKS(q) (q == 1 ? 6 : q == 4 ? 4 : 3)
#endif
#define NF_SCAN_ARGUMENTS                                                                 \
  const float4 *vectors, const float *sides, const uint32_t *live, const float4 *queries, \
      const uint32_t *masks

#define NF_ENTRY_flat(name, m, q, c)                                                                       \
  extern "C" __global__ void __launch_bounds__(kScanThreads, NF_FLAT_BLOCKS(q))                            \
      name(const ScanParams p, NF_SCAN_ARGUMENTS, Entry* lists, uint32_t* limits, const WorkItem* items) { \
    flat<m, q, c>(p, vectors, sides, live, queries, masks, lists, limits, items);                          \
  }
#define NF_ENTRY_histogram(name, m, q, c)                                                         \
  extern "C" __global__ void __launch_bounds__(kScanThreads, 6)                                   \
      name(const ScanParams p, NF_SCAN_ARGUMENTS, const Digits* digits, uint32_t* bins, Entry*) { \
    histogram<m>(p, vectors, sides, live, queries, masks, digits, bins);                          \
  }
#define NF_ENTRY_collect(name, m, q, c)                                                                 \
  extern "C" __global__ void __launch_bounds__(kScanThreads, 6)                                         \
      name(const ScanParams p, NF_SCAN_ARGUMENTS, const Digits* digits, uint32_t* counts, Entry* out) { \
    collect<m>(p, vectors, sides, live, queries, masks, digits, counts, out);                           \
  }
#define NF_ENTRY_score(name, m, q, c)                                                             \
  extern "C" __global__ void __launch_bounds__(kLaneThreads, 4)                                   \
      name(const ScoreParams p, const float4* vectors, const float* sides, const float4* queries, \
           const Pair* pairs, uint32_t* keys) {                                                   \
    score<m>(p, vectors, sides, queries, pairs, keys);                                            \
  }
#define NF_ENTRY_matrix(name, m, q, c)                                                           \
  extern "C" __global__ void __launch_bounds__(kMatrixThreads<q>, 512 / kMatrixThreads<q>)       \
      name(const MatrixParams p, NF_SCAN_ARGUMENTS, const Bound* bounds, const uint32_t* limits, \
           uint32_t* counts, uint32_t* candidates) {                                             \
    matrix<m, q>(p, vectors, sides, live, queries, masks, bounds, limits, counts, candidates);   \
  }
#define NF_ENTRY_rescore(name, m, q, c)                                                            \
  extern "C" __global__ void __launch_bounds__(kScanThreads, 5)                                    \
      name(const MatrixParams p, const float4* vectors, const float* sides, const float4* queries, \
           const uint32_t* candidates, uint32_t* counts, Entry* best, uint32_t* limits) {          \
    rescore<m, c>(p, vectors, sides, queries, candidates, counts, best, limits);                   \
  }
#define NF_ENTRY_rotate(name, m, q, c)                                                           \
  extern "C" __global__ void __launch_bounds__(kLaneThreads, 3)                                  \
      name(const CodingParams p, const float4* vectors, const float* sides, const float4* basis, \
           const uint32_t* groups, float4* rotated) {                                            \
    rotate<m>(p, vectors, sides, basis, groups, rotated);                                        \
  }
#define NF_ENTRY_code(name, m, q, c)                                                             \
  extern "C" __global__ void __launch_bounds__(kLaneThreads, 3)                                  \
      name(const CodingParams p, const float4* vectors, const float* sides, const float4* basis, \
           const uint32_t* groups, const float4* rotated, uint8_t* codes) {                      \
    code<m>(p, vectors, sides, basis, groups, rotated, codes);                                   \
  }
#define NF_ENTRY_decode(name, m, q, c)                                                            \
  extern "C" __global__ void __launch_bounds__(kLaneThreads, 4)                                   \
      name(const DecodingParams p, const uint8_t* codes, const float* sides, const float4* basis, \
           const uint32_t* rows, float4* vectors, float* vector_sides) {                          \
    decode(p, codes, sides, basis, rows, vectors, vector_sides);                                  \
  }
#define NF_ENTRY_transfer(name, m, q, c)                                                                 \
  extern "C" __global__ void __launch_bounds__(kLaneThreads)                                             \
      name(const TransferParams p, const uint32_t* targets, const uint8_t* source, uint8_t* destination, \
           const float* source_sides, float* destination_sides) {                                        \
    transfer(p, targets, source, destination, source_sides, destination_sides);                          \
  }
#define NF_ENTRY_levels(name, m, q, c)                                                              \
  extern "C" __global__ void __launch_bounds__(kScanThreads, q == 1 ? 10 : 6)                       \
      name(const LevelsParams p, const uint8_t* codes, const uint32_t* live, const uint32_t* masks, \
           const uint32_t* queries, const uint32_t* limits, uint32_t* counts, uint32_t* candidates, \
           const WorkItem* items) {                                                                 \
    levels<m, q>(p, codes, live, masks, queries, limits, counts, candidates, items);                \
  }
#define NF_ENTRY_coded_product(name, m, q, c)                                                             \
  extern "C" __global__ void __launch_bounds__(kProductThreads<q>, 256 / kProductThreads<q>)              \
      name(const CodedProductParams p, const uint8_t* codes, const uint32_t* live, const uint32_t* masks, \
           const uint8_t* queries, const ProductQuery* terms, const uint32_t* limits, uint32_t* counts,   \
           uint32_t* candidates) {                                                                        \
    coded_product<m, q>(p, codes, live, masks, queries, terms, limits, counts, candidates);               \
  }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define NF_TF32(call)  // never launched there
#else
#define NF_TF32(call) call
#endif
#define NF_ENTRY_residual(name, m, q, c)                                                              \
  extern "C" __global__ void __launch_bounds__(kLaneThreads)                                          \
      name(const ResidualParams p, const float4* vectors, const float* sides, const uint32_t* groups, \
           Tf32Values* values, float* rounded) {                                                      \
    NF_TF32(residual(p, vectors, sides, groups, values, rounded));                                    \
  }
#define NF_ENTRY_matrix_tf32(name, m, q, c)                                                                  \
  extern "C" __global__ void __launch_bounds__(kTf32Threads, 1)                                              \
      name(const CodedProductParams p, const float4* vectors, const float* sides, const uint32_t* live,      \
           const uint32_t* masks, const float4* queries, const Tf32Values* row_values,                       \
           const Tf32Values* query_values, const ProductQuery* terms, const uint32_t* limits,                \
           uint32_t* counts, uint32_t* candidates) {                                                         \
    NF_TF32(matrix_tf32<m>(p, vectors, sides, live, masks, queries, row_values, query_values, terms, limits, \
                           counts, candidates));                                                             \
  }
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define NF_WGMMA(call) call
#else
#define NF_WGMMA(call)  // never launched there
#endif
#define NF_ENTRY_matrix_tf32_wgmma(name, m, q, c)                                                            \
  extern "C" __global__ void __launch_bounds__(kWgmmaThreads, 1)                                             \
      name(const CodedProductParams p, const __grid_constant__ TensorMap row_map,                            \
           const __grid_constant__ TensorMap query_map, const float4* vectors, const float* sides,           \
           const uint32_t* live, const uint32_t* masks, const float4*, const Tf32Values* row_values,         \
           const Tf32Values* query_values, const ProductQuery* terms, const uint32_t* limits,                \
           uint32_t* counts, uint32_t* candidates) {                                                         \
    NF_WGMMA(matrix_tf32_wgmma<m>(p, row_map, query_map, vectors, sides, live, masks, row_values,            \
                                  query_values, terms, limits, counts, candidates));                         \
  }
#define NF_ENTRY_prune(name, m, q, c)                                                       \
  extern "C" __global__ void __launch_bounds__(kScanThreads)                                \
      name(const PruneParams p, uint32_t* counts, uint32_t* candidates, uint32_t* limits) { \
    prune(p, counts, candidates, limits);                                                   \
  }
#define NF_ENTRY_merge(name, m, q, c)                                                \
  extern "C" __global__ void __launch_bounds__(kMergeThreads)                        \
      name(const MergeParams p, const Entry* lists, Entry* best, uint32_t* limits) { \
    merge<c>(p, lists, best, limits);                                                \
  }
#define NF_ENTRY_move(name, m, q, c)                                                         \
  extern "C" __global__ void __launch_bounds__(kLaneThreads)                                 \
      name(const MoveParams p, const Move* moves, const float4* source, float4* destination, \
           const float* source_sides, float* destination_sides) {                            \
    move(p, moves, source, destination, source_sides, destination_sides);                    \
  }

#define NF_KERNEL(operation, m, q, c) NF_ENTRY_##operation(operation##_m##m##_q##q##_c##c, m, q, c)
#include "instances.inc"
#undef NF_KERNEL

}  // namespace nearfield::cuda
