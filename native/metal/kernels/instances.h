// SPDX-License-Identifier: Apache-2.0
// Every kernel instance there is: X(name, metric, query block, list capacity), called like flat_m1_q4_c256.
// Read by kernels.metal, by the host and by the emulator. 1 where a kernel has no use for a constant.
#ifndef NEARFIELD_METAL_INSTANCES_H
#define NEARFIELD_METAL_INSTANCES_H

#define NEARFIELD_METAL_EACH(X, name, query_block, list_capacity) \
  X(name, 1, query_block, list_capacity)                          \
  X(name, 2, query_block, list_capacity)                          \
  X(name, 3, query_block, list_capacity)                          \
  X(name, 4, query_block, list_capacity)                          \
  X(name, 5, query_block, list_capacity)

// Metrics with a product: L2, cosine, dot.
#define NEARFIELD_METAL_PRODUCTS(X, name, query_block, list_capacity) \
  X(name, 1, query_block, list_capacity)                              \
  X(name, 2, query_block, list_capacity)                              \
  X(name, 3, query_block, list_capacity)

// Metrics with codes, and their last step, which the products share.
#define NEARFIELD_METAL_CODES(X, name, query_block, list_capacity) \
  NEARFIELD_METAL_PRODUCTS(X, name, query_block, list_capacity)    \
  X(name, 4, query_block, list_capacity)

#define NEARFIELD_METAL_INSTANCES(X)             \
  NEARFIELD_METAL_EACH(X, flat, 1, 256)          \
  NEARFIELD_METAL_EACH(X, flat, 4, 256)          \
  NEARFIELD_METAL_EACH(X, flat, 8, 256)          \
  NEARFIELD_METAL_EACH(X, flat, 1, 1024)         \
  NEARFIELD_METAL_EACH(X, flat, 1, 2048)         \
  X(merge, 1, 1, 256)                            \
  X(merge, 1, 1, 1024)                           \
  X(merge, 1, 1, 2048)                           \
  NEARFIELD_METAL_EACH(X, histogram, 1, 1)       \
  NEARFIELD_METAL_EACH(X, collect, 1, 1)         \
  NEARFIELD_METAL_EACH(X, score, 1, 1)           \
  X(move, 1, 1, 1)                               \
  X(decode, 1, 1, 1)                             \
  X(transfer, 1, 1, 1)                           \
  X(prune, 1, 1, 1)                              \
  NEARFIELD_METAL_PRODUCTS(X, matrix, 64, 1)     \
  NEARFIELD_METAL_CODES(X, rotate, 1, 1)         \
  NEARFIELD_METAL_CODES(X, code, 1, 1)           \
  NEARFIELD_METAL_CODES(X, levels, 1, 1)         \
  NEARFIELD_METAL_CODES(X, levels, 4, 1)         \
  NEARFIELD_METAL_CODES(X, coded_product, 32, 1) \
  NEARFIELD_METAL_CODES(X, coded_product, 64, 1) \
  NEARFIELD_METAL_CODES(X, rescore, 1, 256)      \
  NEARFIELD_METAL_CODES(X, rescore, 1, 1024)     \
  NEARFIELD_METAL_CODES(X, rescore, 1, 2048)

#endif  // NEARFIELD_METAL_INSTANCES_H
