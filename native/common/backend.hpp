// SPDX-License-Identifier: Apache-2.0
// What a backend implements. Everything above this line (struct sizes, argument checks, ordering of calls,
// filters, row numbers in the ABI's sense, final distances, compaction, stateless knn) is done once, in
// native/common, for all backends.
//
// Contract common to all methods:
//  - the arguments are already checked: no NaN, no infinity, norms within limits (checks.hpp), rows in range,
//  k in [1, rows];
//  - calls on the objects of one Device run one at a time: no locking is needed inside;
//  - on failure nothing observable has changed (all or nothing), and Call::poll() is asked about every 10 ms
//  of work;
//  - a failure is a Status; std::bad_alloc may escape and becomes NF_RESOURCE_EXHAUSTED at the ABI; nothing
//  else may be thrown.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "basis.hpp"
#include "call.hpp"
#include "nearfield/nearfield.h"
#include "status.hpp"

namespace nearfield {

// Row marker of a missing result. Its distance is NaN at the ABI.
inline constexpr int64_t kNoRow = -1;

// One answer of a search, before the metric's final form (metric.hpp): `rank` is what the kernels compare,
// smaller is better.
//   L2_SQUARED |q-v|^2   COSINE 1/2 |q^-v^|^2   DOT -(q.v)   POINCARE |q-v|^2 alpha_v   MANHATTAN sum |q-v|
// Order is total: (rank, row), equal ranks by lower row; rank is never -0 (a kernel adds +0.0 or maps the
// bits), never NaN or infinite.
struct Hit {
  int64_t row = kNoRow;
  float rank = 0;
  int32_t reserved = 0;
};

inline bool better(const Hit& a, const Hit& b) {
  return a.rank < b.rank || (a.rank == b.rank && a.row < b.row);
}

// Host rows on their way to the device: row i starts at data + i * stride (floats, not bytes), `side[i]`
// belongs to it.
struct HostRows {
  const float* data = nullptr;
  int64_t rows = 0;
  int64_t stride = 0;
  const float* side = nullptr;  // one f32 per row, by metric.hpp: row_side()
  bool live = true;             // append: whether searches may return them
};

struct StoreOptions {
  int32_t metric = 0;  // NF_L2SQ ...
  int32_t dim = 0;
  int64_t capacity = 0;  // a hint
  uint64_t memory_limit =
      0;  // bytes on the device for this store; 0: no limit of its own. Exceeded: NF_RESOURCE_EXHAUSTED
  bool coded = false;      // int8 codes beside the rows, for certified scans (scan_dtype NF_I8)
  bool drop_rows = false;  // of a coded store: codes alone (NF_DROP_F32)
};

// What searches read of the codes, and would have without leaving rows early.
struct ScanCount {
  uint64_t read = 0, whole = 0;  // bytes
};

// Groups of 32 rows that lie side by side in a store.
struct GroupRun {
  int64_t first = 0, count = 0;
};

// What a store has made of queries, for searches to come.
class KeptQueries {
 public:
  virtual ~KeptQueries() = default;
};

// A batch of queries over the live rows of a store, all of them or those of some groups.
struct SearchPlan {
  const float* queries = nullptr;  // batch x query_stride floats; prepared by metric.hpp (cosine:
                                   // normalised), zero-padded to padded_dim(dim)
  int64_t query_stride = 0;        // floats, a multiple of 4
  int64_t batch = 0;               // >= 1
  int32_t k = 0;                   // 1 <= k <= rows()
  // Per query: NULL = every live row; else words of 32 rows, groups_of(rows()) of them, ANDed with the live
  // bits in the kernel. The array itself is NULL when no query has a mask. Equal pointers are equal masks.
  const uint32_t* const* mask_of_query = nullptr;
  // NULL, or per query a rank: hits above it are not wanted. They may be among `hits` all the same.
  const float* limits = nullptr;
  Hit* hits = nullptr;          // out: batch x k, best first; unused tail has row kNoRow
  int32_t* rescored = nullptr;  // out, may be NULL: per query, rows whose final form was computed after a
                                // scan that left rows out
  // 0: every answer is exact. Else at least k: a coded scan rescores only the `cap` rows of least (lower
  // bound, row), CodeBound::lower_bound, the same however the search is divided.
  int64_t cap = 0;
  uint8_t* certified =
      nullptr;  // with a cap: out, per query: 1 when no other row can be among the k best; all 1 on entry
  ScanCount* scanned = nullptr;  // may be NULL: a coded scan adds to it
  // NULL, or where the store may keep what it makes of these queries, which have the numbers kept_first and
  // on and are the same whenever they come with it. Of one store alone.
  std::unique_ptr<KeptQueries>* kept = nullptr;
  int64_t kept_first = 0;
  // NULL: every query meets all groups. Else query i meets those of runs[run_offsets[i] .. run_offsets[i + 1]
  // - 1] alone, which are disjoint, the most promising first. Where Device::serves_runs().
  const int64_t* run_offsets = nullptr;  // batch + 1
  const GroupRun* runs = nullptr;
  // NULL: Hit::row is the row's number in the store, its place. Else the number of each place, by which hits
  // are named and equal ranks ordered; and the place of each number. Masks are of places all the same.
  const uint32_t* number_of_place = nullptr;
  const uint32_t* place_of_number = nullptr;
};

// Ranks of chosen rows, in the canonical final form: bit-identical to what search() reports for the same
// query and row.
struct ScorePlan {
  const float* queries = nullptr;  // as in SearchPlan
  int64_t query_stride = 0;
  int64_t batch = 0;
  const int64_t* offsets = nullptr;  // batch + 1
  const int64_t* rows =
      nullptr;             // query i: rows[offsets[i] .. offsets[i+1]-1], each in [0, rows()), live or not
  float* ranks = nullptr;  // out, parallel to `rows`
  // NULL, or out of a store without rows: |w - decoded w| of each, rounded up, w the row as the canonical
  // form sees it (cosine: normalised).
  float* errors = nullptr;
};

// Rows on one device, flat, in slabs of tile32 groups, with a live bit each. Row numbers are dense, in
// insertion order.
//
// With StoreOptions::drop_rows a row is from its append or write on what its codes decode to: read() answers
// that, search() and score() are canonical for it, to the bit what a store of f32 rows would answer after an
// append of what read() gave.
class Store {
 public:
  virtual ~Store() = default;
  virtual int64_t rows() const = 0;
  virtual uint64_t device_bytes() const = 0;  // allocated by this store, side arrays and live bits included
  virtual uint64_t workspace_bytes() const = 0;  // of the context, shared by its stores
  // Appends. All slabs are allocated before anything is copied; dead rows are at no time live.
  virtual Status append(const HostRows& from, const Call& call) = 0;
  // Appends rows of another store of the same device, dim and metric; live bits come along. kNoRow: a dead
  // row of unspecified content. For compaction and lists, device to device.
  virtual Status append_from(Store& from, std::span<const int64_t> rows, const Call& call) = 0;
  // Overwrites rows in place (unique numbers); live bits stay.
  virtual Status write(std::span<const int64_t> rows, const HostRows& from, const Call& call) = 0;
  // Row i of `rows` to out + i * stride floats.
  virtual Status read(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) = 0;
  virtual Status set_live(std::span<const int64_t> rows, bool live, const Call& call) = 0;
  // Of the rows [first, first + count), at least one, word by word.
  virtual Status set_live_range(int64_t first, int64_t count, bool live, const Call& call) = 0;
  virtual Status search(const SearchPlan& plan, const Call& call) = 0;
  // Of a coded store; of one without rows while it is empty. Until the first call rows are coded in
  // identity_basis(). Slabs keep the basis they were coded in; new slabs take this one. At most two bases are
  // alive: not before recode() has come to the end of the last change.
  virtual void set_basis(BasisPtr) {}
  virtual BasisPtr basis() const { return nullptr; }  // of a coded store never NULL
  // Codes about `rows` more rows in basis(), or prepares to, slab by slab into shadow codes that take the
  // place of the old ones once the slab is whole; *left: rows still coded in the old basis. On failure the
  // codes are those before, and the next call goes on or begins the slab anew. Appends, writes and searches
  // in between are fine.
  virtual Status recode(int64_t rows, int64_t* left, const Call&) {
    static_cast<void>(rows);
    *left = 0;
    return {};
  }
  virtual uint64_t code_bytes() const { return 0; }  // of device_bytes()
  virtual Status score(const ScorePlan& plan, const Call& call) = 0;
};

// A device, its queue and its workspace: what an nf_context holds.
class Device {
 public:
  virtual ~Device() = default;
  virtual Status info(nf_device_info* out) = 0;
  // Metrics this device serves for flat f32 search and scoring.
  virtual bool supports(int32_t metric) const = 0;
  // Metrics whose stores may be coded.
  virtual bool supports_codes(int32_t) const { return false; }
  // Metrics whose stores may do without rows.
  virtual bool supports_codes_alone(int32_t) const { return false; }
  // Metrics whose stores search runs of groups, with numbers for places: SearchPlan::runs.
  virtual bool serves_runs(int32_t) const { return false; }
  // Whether the rows of a search without an index are coded, which so many queries then meet.
  virtual bool codes_pay(int32_t, int64_t) const { return false; }
  // Bytes a store would take for options.capacity rows, without allocating: what device_bytes() will answer
  // then.
  virtual uint64_t estimate(const StoreOptions& options) const = 0;
  virtual Status create_store(const StoreOptions& options, std::unique_ptr<Store>* out, const Call& call) = 0;
  // Not NF_OK once the device is lost: NF_DEVICE_LOST with the reason.
  virtual Status health() const { return {}; }
};

// nf_context_desc with its defaults resolved by the backend; a value of 0 still means "the backend's
// default".
struct DeviceOptions {
  int32_t device = 0;
  int32_t threads = 0;
  uint64_t memory_limit = 0;  // bytes for all stores of the context together
  uint64_t workspace_limit = 0;
  uint64_t slab_bytes =
      0;  // upper bound of one slab's vector bytes; at least one group of 32 rows is always allowed
  uint64_t max_binding_bytes = 0;  // upper bound of one buffer binding (GPU backends)
  std::string force_path;  // "" or a path by name; an unknown or absent one: NF_INVALID_ARGUMENT naming those
                           // that exist
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* name() const = 0;   // "cpu", "wgpu"
  virtual const char* build() const = 0;  // "0.1.0 avx512;avx2"; the ABI adds the compiler
  // 0 devices is NF_OK: `why_none` then holds the sentence (driver missing, loader not found).
  virtual Status device_count(int32_t* count, std::string* why_none) = 0;
  // Of 0 devices: NF_UNAVAILABLE when the driver is missing, NF_FAILED_PRECONDITION when it is older than
  // needed, NF_OK when it works and finds no device.
  virtual nf_status why_none_status() { return NF_UNAVAILABLE; }
  virtual Status device_info(int32_t device, nf_device_info* out) = 0;
  virtual Status create_device(const DeviceOptions& options, std::unique_ptr<Device>* out,
                               const Call& call) = 0;
};

// Defined once per library, by its backend.
std::unique_ptr<Backend> make_backend();

}  // namespace nearfield
