// SPDX-License-Identifier: Apache-2.0
// What the host logic of the GPU backends (this folder) asks of a GPU: memory, kernels in order, answers. One
// implementation per API: native/wgpu, native/cuda, native/metal.
//
// A Queue is not thread-safe: calls on a context run one at a time. Everything handed over is executed in
// order: a dispatch sees what was written, dispatched and copied before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "kernel_params.h"
#include "status.hpp"

namespace nearfield::gpu {

// An allocation on the device, freed with this object: at once, or when the work in flight that uses it has
// ended.
class Memory {
 public:
  virtual ~Memory() = default;
};

class Buffer {
 public:
  Buffer() = default;
  Buffer(std::unique_ptr<Memory> memory, uint64_t size) : memory_(std::move(memory)), size_(size) {}

  uint64_t size() const { return memory_ == nullptr ? 0 : size_; }  // bytes
  explicit operator bool() const { return memory_ != nullptr; }
  const Memory& memory() const { return *memory_; }

 private:
  std::unique_ptr<Memory> memory_;
  uint64_t size_ = 0;
};

enum class Use : uint8_t {
  kStorage,   // read and written by kernels and copies
  kReadback,  // target of copy(), source of read(), seen by no kernel
};

// A kernel and what it binds after its parameter struct: one buffer per letter of `access`, 'r' read-only or
// 'w' read and write, in this order. The kernel sources say what each buffer holds.
struct Kernel {
  const char* name;
  const char* access;
};
// vectors, sides, live, queries, masks, lists (out), limits, items (WorkItem). Masks: per query an offset in
// words or NEARFIELD_EMPTY, then the words, one per group of the store. Limits: per query a key that at least
// k rows do not exceed.
inline constexpr Kernel kFlat{"flat", "rrrrrwwr"};
// lists, best, limits
inline constexpr Kernel kMerge{"merge", "rww"};
// vectors, sides, live, queries, masks, digits, bins, entries (out)
inline constexpr Kernel kHistogram{"histogram", "rrrrrrww"};
inline constexpr Kernel kCollect{"collect", "rrrrrrww"};
// vectors, sides, queries, pairs, keys (out)
inline constexpr Kernel kScore{"score", "rrrrw"};
// moves, source, destination, source's sides, destination's sides
inline constexpr Kernel kMove{"move", "rrwrw"};
// vectors, sides, live, queries in tile32 (whole query tiles, zero-padded), masks, bounds, limits, counts,
// candidates (out): per query `capacity` row numbers of the store, in any order; a count beyond the capacity
// means that the rest found no room
inline constexpr Kernel kMatrix{"matrix", "rrrrrrrww"};
// vectors, sides, queries, candidates, counts (of this window, set to 0; then, after `batch` of them, the
// sums of the rows rescored so far), best (k entries a query, sorted), limits. Of all metrics that may be
// coded, where Limits::codes says so; else of those with a matrix form.
inline constexpr Kernel kRescore{"rescore", "rrrrwww"};

// int8 codes (code_layout.hpp: the bytes of a slab's codes, as u32 words, lowest byte first).
//
// vectors, sides, basis, groups, rotated (out). Groups: numbers of groups of the slab. Basis: the mean, then
// from axis_begin on the axes of R, each of `chunks` chunks, zero-padded. A row's coordinates in the axes
// [axis_begin, axis_end) go to `rotated`, tile32 of the same chunks, in the order of the list; those beyond
// `chunks` chunks nowhere. With w the row (cosine: fl(v side)) and x = fl(w - mean), mean only if has_mean:
// y = R x, summed in f32 in any order, fused or not. w itself is rounded before the mean is taken away.
inline constexpr Kernel kRotate{"rotate", "rrrrw"};
// vectors, sides, basis, groups, rotated, codes. Codes all 32 rows of the groups of the list: codes, tails,
// side values. Of a row, with y its x, or what `rotated` holds of it, c and y zero beyond:
//   s      max|y| / 127, not less, rounded up to bf16 on the bits, at least kLeastScale
//   c      y / s to the nearest integer, clamped to +-127; an inexact division will do
//   norm   floor(|c| norm_scale), |c|^2 an exact integer
//   error  floor(|y/s - c| error_scale + |x|/s x_scale + error_room): y and x are scaled by powers of 2, so
//          that y/s - c is exact but for what is flushed. Room and scales hold the roundings of the sums, of
//          conversions and products, and errors of 2^-19 of a square root and of a division, here and below
//   tail   ceil(|c from this level on| tail_scale / norm), its square an exact integer
//   beta   Poincare: ceil of side^(-1/2) / kBetaUnit, not less; at most 65535
// Where an error or a tail does not fit, or s (|c| + length_room) > longest: codes 128, scale kLeastScale,
// norm and tails 0, error kAlwaysKeep. Rows that are not in use may hold anything.
// With codes_stay s and c are those that are there, and the errors alone are written; y/s - c is then rounded
// once more.
inline constexpr Kernel kCode{"code", "rrrrrw"};
// codes, sides, basis, rows, vectors (out), their sides (out). Basis as for kRotate, the axes those of whole
// dimensions. v = sum over the axes i, in their order, of fma(R_ij, s c_i, sum), from 0 on, and then the mean
// added; not rotated m_j + s c_j. One lane sums one coordinate: a row has the same bits however many are
// decoded with it. Of metrics with three planes of side values.
inline constexpr Kernel kDecode{"decode", "rrrrww"};
// targets, source, destination, source's sides, destination's sides. Rows that come from nowhere stay.
inline constexpr Kernel kTransfer{"transfer", "rrwrw"};
// codes, live, masks, queries (CodeQuery), limits, counts, candidates (out), items (WorkItem). Per query the
// rows that the test (CodeTest) of no level rules out, as matrix has them; with is_capped
// NEARFIELD_VALUE_WORDS a row. A row is left at the first level that rules it out, one of kAlwaysKeep at
// none. counts: `batch` of this window, as matrix has them; after twice as many, one sum of the levels seen,
// of 32 rows each, once for a block of queries, rounded as it comes: a figure, on which no answer depends.
inline constexpr Kernel kLevels{"levels", "rrrrrwwr"};

// codes, live, masks, queries (their codes), terms (ProductQuery), limits, counts, candidates (out). Bounds
// of the ranks of all pairs by products of one term: per query `capacity` candidates in any order, planes
// [3][batch][capacity] of the row in the store and the keys of its lower and upper bound. Of a sample: keys
// [batch][part_stride] of the least upper bound of each tile's parts.
inline constexpr Kernel kCodedProduct{"coded_product", "rrrrrrww"};
// counts, candidates, limits: limits fall to the k-th upper bound, candidates whose lower bound is beyond
// them go. A count beyond the capacity marks the query (NEARFIELD_CUT_SHORT) among the sums after the counts.
inline constexpr Kernel kPrune{"prune", "www"};

// vectors, sides, groups, values (out, Tf32Values of the slab's rows), rounded (out, of queries)
inline constexpr Kernel kResidual{"residual", "rrrww"};
// vectors, sides, live, masks, queries (as residual rounds them), values of the rows, of the queries
// (Tf32Values), terms (ProductQuery), limits, counts, candidates (out): as of kCodedProduct
inline constexpr Kernel kMatrixTf32{"matrix_tf32", "rrrrrrrrrww"};
// The same by products of warpgroups.
inline constexpr Kernel kMatrixTf32Wgmma{"matrix_tf32_wgmma", "rrrrrrrrrww"};

// Constants a kernel is compiled for; 1 where it has no use for one.
struct Variant {
  int32_t metric = 1;
  uint32_t query_block = 1;    // queries of a workgroup
  uint32_t list_capacity = 1;  // entries of a list in workgroup memory
};

struct Grid {
  uint32_t x, y;  // workgroups; x * y may exceed what is wanted, kernels return early then
};

struct Dispatch {
  Kernel kernel;
  Variant variant;
  const void* params;  // one of kernel_params.h; grid_x is set from `grid`
  size_t params_bytes;
  std::span<const Buffer* const> buffers;  // as Kernel::access
  Grid grid;
};

// What the device allows, and what its kernels are built for.
struct Limits {
  uint64_t binding_bytes = 0;     // of a buffer that a kernel sees
  uint64_t fixed_bytes = 0;       // allocated by the queue itself, counted as workspace
  uint64_t slab_bytes = 0;        // default upper bound of a slab's vectors, at most binding_bytes
  uint32_t grid = 65'535;         // workgroups per dimension
  uint32_t dispatches = 256;      // of one submission
  uint32_t workgroups = 1024;     // of histogram and collect that fill the device
  double least_part_units = 1e5;  // of a part of a scan that is worth its list and the merge
  uint32_t loops = UINT32_MAX;    // iterations of one workgroup, all its loops together
  uint32_t lanes = 0;             // threads of a workgroup of score and move
  uint32_t tile_rows = 0;   // rows of a workgroup's step in flat, histogram and collect: a multiple of 32
  uint32_t most_lists = 1;  // of one query that its workgroup of merge follows
  int32_t most_list_k = 0;  // largest k of flat's lists; beyond it: radix selection
  bool subgroups = false;   // of the device, and there are kernels that do without
  bool sides_of_products =
      false;  // a matrix form is served: norms are kept beside the rows of L2 and dot too
  // rotate, code, decode, transfer, levels (query blocks of 1 and kLevelsQueries) and rescore are there
  bool codes = false;
  bool coded_products = false;   // and coded_product and prune
  bool tf32_products = false;    // residual, matrix_tf32, prune and rescore: Tf32Values are kept beside rows
  bool tf32_warpgroups = false;  // and matrix_tf32_wgmma
  int64_t least_product_batch = 17;  // queries from which on they are faster than the direct form
  bool packed_dots = false;          // of int8, in the language of kernels that do without too
  // Largest k of scans of codes, where those of rows are not asked for. At k = 100 some 600 rows are
  // rescored.
  int32_t most_coded_k = 128;
  uint64_t least_coded_bytes = 0;  // of a store's vectors, from which on scans of codes are faster
};
// Queries of a workgroup of `levels`, where a search has more than one.
inline constexpr uint32_t kLevelsQueries = 4;

// Lists of a workgroup of `flat`: list_capacity >= k + tile_rows. `workgroups` of this shape fill the device.
struct FlatShape {
  uint32_t query_block, list_capacity, workgroups;
};

// Tiles of `matrix` and the list of `rescore`; query_tile 0: the direct form is better, or there is no other.
struct MatrixShape {
  uint32_t query_tile = 0, row_tile = 0, list_capacity = 0;
};

// Tiles of `coded_product` or `matrix_tf32` and the list of `rescore`; query_tile 0: there is none. A tile of
// rows has so many parts in a sample.
struct CodedProductShape {
  uint32_t query_tile = 0, row_tile = 0, parts = 0, list_capacity = 0;
  bool by_warpgroups = false;  // matrix_tf32_wgmma
  uint32_t workgroups = 0;     // of this shape that fill the device; 0: Limits::workgroups
};

class Queue {
 public:
  virtual ~Queue() = default;

  virtual const Limits& limits() const = 0;
  virtual FlatShape flat_shape(int64_t batch, int32_t k) const = 0;
  virtual MatrixShape matrix_shape(int32_t metric, int32_t dim, int64_t batch, int32_t k) const = 0;

  virtual CodedProductShape coded_product_shape(int32_t, int32_t, int64_t, int32_t) const { return {}; }
  // Where Limits::tf32_products. `by_warps`: of matrix_tf32, even where there are warpgroups.
  virtual CodedProductShape tf32_shape(int32_t /*k*/, bool /*by_warps*/) const { return {}; }

  // What nf_device_info tells; struct_size is set.
  virtual void info(nf_device_info* out) const = 0;
  // NF_DEVICE_LOST once the device is lost.
  virtual Status health() const = 0;
  // The first error since the last call, as a status naming `what`: APIs that report late report here.
  virtual Status take_error(const char* what) = 0;

  virtual Status allocate(uint64_t bytes, Use use, const char* what, Buffer* out) = 0;
  // `data` is copied before this returns. Offset and bytes: multiples of 4. Not while dispatches are
  // gathered: some APIs would execute it before them.
  virtual void write(const Buffer& to, uint64_t offset, const void* data, uint64_t bytes) = 0;

  // Dispatches and copies gather until submit().
  virtual Status dispatch(const Dispatch& dispatch) = 0;
  virtual void copy(const Buffer& from, uint64_t from_offset, const Buffer& to, uint64_t to_offset,
                    uint64_t bytes) = 0;
  // Hands over what was gathered; waits for the oldest submission when two are in flight. `units` of work
  // (four dimensions of one row for one query each), for the pacing of what follows; 0: not to be measured.
  virtual Status submit(double units, const char* what) = 0;
  // Drops what was gathered, as far as the API has not begun it.
  virtual void discard() = 0;
  // Waits for everything submitted. Never fails: a device that is lost has nothing in flight, or, when it
  // hangs, keeps what it may still write.
  virtual void drain() = 0;
  // Copies the first `bytes` of `from` (Use::kReadback) to `to`, once everything submitted is done.
  virtual Status read(const Buffer& from, uint64_t bytes, void* to, const char* what) = 0;

  // Work that takes about kDispatchTargetNs on this device, by what was measured so far (pace.hpp).
  virtual double units_per_dispatch() const = 0;

  static constexpr int64_t kDispatchTargetNs = 10'000'000;

 protected:
  // health(), as the failure of an operation.
  Status lost_in(const char* what) const {
    const Status lost = health();
    return lost.ok() ? lost : error(lost.code(), "%s: %s", what, lost.message().c_str());
  }
};

// Whatever happens, nothing of a call is still running when it returns, but on a device that hangs.
class Drain {
 public:
  explicit Drain(Queue& queue) : queue_(queue) {}
  ~Drain() {
    queue_.discard();
    queue_.drain();
  }
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;

 private:
  Queue& queue_;
};

}  // namespace nearfield::gpu
