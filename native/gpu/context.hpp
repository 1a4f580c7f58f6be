// SPDX-License-Identifier: Apache-2.0
// What the Device and the Stores of one nf_context share: the queue, the workspace, the limits.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>

#include "backend.hpp"
#include "queue.hpp"
#include "slab_storage.hpp"

namespace nearfield::gpu {

// Workspace buffers, grown when needed and kept between calls.
enum Work : uint32_t {
  kUnused,       // bound where a kernel has no use for a read-only buffer
  kUnusedWrite,  // likewise, writable
  kQueries,
  kTileQueries,  // matrix: the queries in tile32
  kBounds,       // matrix: Bound per query; coded_product: ProductQuery
  kMasks,
  kParts,    // flat: lists of the parts of a scan; radix: collected entries; score: keys; matrix,
             // coded_product: candidates
  kCounts,   // matrix: candidates per query
  kBest,     // flat, matrix: the k best so far; radix: bins
  kLimits,   // flat, matrix: per query a key that k rows do not exceed; radix: digits
  kStaging,  // plain rows on their way in or out
  kStagingSide,
  kMoves,    // index pairs of a move or a scoring; targets of a transfer
  kGroups,   // coding: groups of a slab; decoding: rows of one
  kBasis,    // coding: mean and axes
  kRotated,  // coding: rows in the axes
  kCoded,    // codes: CodeQuery and codes per query; coded_product: their codes;
             // matrix_tf32: rounded queries
  kFresh,    // codes alone: codes of new rows
  kDecoded,  // codes alone: rows in tile32, their side values, live words
  kDecodedSide,
  kDecodedLive,
  kQueryResiduals,  // matrix_tf32: Tf32Values per query
  kItems,           // WorkItem
  kReadback,
  kWorkCount
};
using WorkSizes = std::array<uint64_t, kWorkCount>;

// DeviceOptions::force_path of the GPU backends.
enum class Path : uint8_t {
  kAutomatic,
  kSmallGrid,  // "small-grid": 2-D grids occur with a few rows; for tests
  kHardware,   // "hardware": work is divided as on a large GPU with a large store; for tests
  // Where a matrix form is served:
  kDirect,   // "direct": never the matrix form
  kMatrix,   // "matrix": the matrix form for every batch, where the metric has one
  kTf32,     // "tf32": products of TF32 for every batch, where there are any
  kTf32Mma,  // "tf32-mma": the same by single warps, where there are warpgroups
  // Where stores may be coded:
  kCodes,         // "codes": codes for every search of a coded store
  kCodedProduct,  // "coded-product": by products of codes, where there are any
  // Where the device has subgroups and kernels need none:
  kNoSubgroups,  // "no-subgroups": the kernels for devices without; chosen by the queue's maker
};

class Context {
 public:
  // `backend`: for messages.
  static Status create(std::unique_ptr<Queue> queue, const char* backend, const DeviceOptions& options,
                       std::shared_ptr<Context>* out);

  Queue& queue() { return *queue_; }
  const Queue& queue() const { return *queue_; }
  // The queue's, or what the path puts in their place.
  const Limits& limits() const { return limits_; }
  FlatShape flat_shape(int64_t batch, int32_t k) const;
  double units_per_dispatch() const;

  uint64_t slab_bytes() const { return slab_bytes_; }
  uint64_t binding_limit() const { return binding_limit_; }  // bytes of a buffer that a kernel sees
  Path path() const { return path_; }
  MemoryBudget memory;

  // Whether a value is kept beside each row (metric.hpp: row_side).
  bool has_side(int32_t metric) const;
  // Whether Tf32Values are: of rows that are there and have no codes, which serve as many queries.
  bool has_residuals(const StoreOptions& options) const;
  uint64_t bytes_beside_row(const StoreOptions& options) const;

  // Makes every buffer at least `wanted` bytes large, freeing others when the limit asks for it.
  Status reserve(const WorkSizes& wanted, const char* what);
  const Buffer& work(Work which) const { return work_[which]; }
  // The basis that kBasis holds whole; NULL: of none.
  const BasisPtr& loaded_basis() const { return loaded_basis_; }
  void set_loaded_basis(BasisPtr basis) { loaded_basis_ = std::move(basis); }
  uint64_t workspace_bytes() const;
  // What the limit leaves to the buffers whose size an operation chooses.
  uint64_t free_workspace() const;

  // Workgroups in two dimensions; x * y may exceed `workgroups`.
  Grid grid(uint64_t workgroups) const;

  // `params` gets its grid_x from `grid`; `buffers` follow Kernel::access.
  template <typename Params>
  Status dispatch(const Kernel& kernel, const Variant& variant, Params params, Grid grid,
                  std::initializer_list<const Buffer*> buffers) {
    params.grid_x = grid.x;
    return queue_->dispatch(
        {kernel, variant, &params, sizeof(params), {buffers.begin(), buffers.size()}, grid});
  }

 private:
  uint64_t fixed_workspace() const;

  std::unique_ptr<Queue> queue_;
  Limits limits_;
  std::array<Buffer, kWorkCount> work_;
  BasisPtr loaded_basis_;
  uint64_t binding_limit_ = 0, slab_bytes_ = 0, workspace_limit_ = 0;
  Path path_ = Path::kAutomatic;
};

}  // namespace nearfield::gpu
