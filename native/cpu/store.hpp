// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend.hpp"
#include "coded_basis.hpp"
#include "pages.hpp"
#include "shared_state.hpp"
#include "slab_storage.hpp"

namespace nearfield::cpu {

// Rows, side values and live bits of one slab, in one block of memory, all zero at first; and the codes of a
// coded store.
struct Slab {
  Pages pages;
  SlabCodes codes;
  float* vectors = nullptr;  // tile32; NULL: codes alone
  float* side = nullptr;
  float* errors = nullptr;   // with codes alone: ScorePlan::errors
  uint32_t* live = nullptr;  // a word per group
  int64_t first = 0;         // row number of its first row
  int64_t groups = 0;

  static uint64_t bytes(int64_t rows, const StoreOptions& options);
  // False when the system has no memory left. `basis`: of a coded store.
  bool allocate(const SlabMap::Slab& place, const StoreOptions& options, const CodedBasisPtr& basis);
};

class CpuStore final : public Store {
 public:
  CpuStore(std::shared_ptr<SharedState> shared, const StoreOptions& options);
  ~CpuStore() override;

  // What device_bytes() is after the first append to a store made with `options`, if all rows fit its
  // capacity.
  static uint64_t estimate(const StoreOptions& options, uint64_t slab_bytes);

  int64_t rows() const override { return rows_; }
  uint64_t device_bytes() const override { return slabs_.bytes(); }
  uint64_t workspace_bytes() const override { return state_->workspace.bytes(); }
  Status append(const HostRows& from, const Call& call) override;
  Status append_from(Store& from, std::span<const int64_t> rows, const Call& call) override;
  Status write(std::span<const int64_t> rows, const HostRows& from, const Call& call) override;
  Status read(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) override;
  Status set_live(std::span<const int64_t> rows, bool live, const Call& call) override;
  Status set_live_range(int64_t first, int64_t count, bool live, const Call& call) override;
  Status search(const SearchPlan& plan, const Call& call) override;
  void set_basis(BasisPtr basis) override;
  BasisPtr basis() const override { return basis_ == nullptr ? nullptr : basis_->basis(); }
  Status recode(int64_t rows, int64_t* left, const Call& call) override;
  uint64_t code_bytes() const override;
  Status score(const ScorePlan& plan, const Call& call) override;

  // For the operations (flat.cpp, score.cpp).
  const StoreOptions& options() const { return options_; }
  int64_t chunks() const { return padded_dim(options_.dim) / kChunkFloats; }
  const std::vector<Slab>& slabs() const { return slabs_.all(); }
  const float* row(int64_t row, float* side) const;  // of a store that has them
  bool has_rows() const { return !options_.drop_rows; }
  // decoded.cpp. Ranks of pairs of a query and a row, in the canonical form; `space` belongs to the worker,
  // and fit_decoding() has seen it.
  Status rank_pairs(const float* const* queries, const int64_t* rows, int64_t count, float* ranks,
                    WorkerSpace& space, const Call& call) const;
  // Rows of a group as tile32: row r, of the bits set in `rows`, to its place in `to`.
  void decode(const Slab& slab, int64_t group, uint32_t rows, float* to, WorkerSpace& space) const;
  void decode_row(int64_t row, float* to, WorkerSpace& space) const;  // to: its first chunk, as in a group
  // Memory for so many workers, where rows are decoded.
  void fit_decoding(int32_t workers, bool may_code = false) const;
  // Of their codes, that scans by levels have read lately.
  double level_share() const { return level_share_; }
  void note_levels(const ScanCount& scanned);

 private:
  // Calls put(i, slab, row in the slab) for i = 0..count-1 as the rows after the present ones, code(first,
  // end, worker) for what is then to be coded, and makes them live as live(i) says; nothing has changed if it
  // fails.
  template <class Put, class Code, class Live>
  Status append_rows(int64_t count, const Call& call, const Put& put, const Code& code, const Live& live);
  // decoded.cpp: of no rows yet.
  DecodeTile decode_tile(const Slab& slab, int64_t group, WorkerSpace& space) const;
  // Codes rows of one slab that lie side by side.
  void code(const Slab& slab, const SlabCodes& codes, int64_t first, int64_t end, int32_t worker);
  // Codes rows of the store, in their slabs; worker's memory is ready.
  void code_rows(int64_t first, int64_t end, int32_t worker);
  // Those that write() has changed.
  void code_written(std::span<const int64_t> rows);
  void fit_encoding(int32_t workers);
  // decoded.cpp: what append() and write() keep of rows of a group where there are codes alone. Row i of
  // `from` becomes row first + i of the slab, all of one group.
  void write_codes(std::span<const int64_t> rows, const HostRows& from);
  Status read_codes(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) const;
  void keep_codes(const Slab& slab, int64_t first, const HostRows& from, WorkerSpace& space);

  std::shared_ptr<SharedState> state_;
  StoreOptions options_;
  CodedBasisPtr basis_;  // of a coded store: what new slabs are coded in
  SlabStorage<Slab> slabs_;
  int64_t rows_ = 0;
  double level_share_ = kUnknownShare;
  // Before there is a scan: a guess at which scans by levels are tried.
  static constexpr double kUnknownShare = 0.15;

  // The slab that is being coded anew.
  struct Shadow {
    SlabCodes codes;
    int64_t slab = 0;
    int64_t done = 0;    // rows
    size_t touched = 0;  // bytes
    uint64_t bytes = 0;
  };
  void drop_shadow();
  std::unique_ptr<Shadow> shadow_;
};

}  // namespace nearfield::cpu
