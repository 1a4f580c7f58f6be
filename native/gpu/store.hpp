// SPDX-License-Identifier: Apache-2.0
// Rows on a GPU: slabs of tile32 groups, a live bit each.
#pragma once

#include <functional>
#include <vector>

#include "code_layout.hpp"
#include "context.hpp"
#include "slab_storage.hpp"

namespace nearfield::gpu {

// Row numbers travel as u32 in the kernels, 0xffffffff means "none".
inline constexpr int64_t kMaxRows = 0xfffffffe;
// The first progress word while rows are copied (nearfield.h: nf_call).
inline constexpr int64_t kPhaseCopy = 2;
// Axes of a block of `rotate`.
inline constexpr int64_t kAxisBlock = 8;

struct SlabBuffers {
  Buffer vectors;    // but of codes alone
  Buffer side;       // where Context::has_side(metric)
  Buffer residuals;  // where Context::has_residuals(): Tf32Values
  Buffer live;       // one word per group
  Buffer codes;      // of a coded store, as code_layout.hpp has them
  BasisPtr basis;    // that they are coded in
};

// Bytes of a slab on the device; of a coded store as it is before the first set_basis().
uint64_t slab_device_bytes(const SlabMap::Slab& slab, uint64_t beside_row, const StoreOptions& options);
// Upper bound of a slab's vectors: its codes must fit a binding too, whatever their basis.
uint64_t slab_vector_bytes(const Context& context, const StoreOptions& options);

class GpuStore final : public Store {
 public:
  GpuStore(std::shared_ptr<Context> context, const StoreOptions& options);

  int64_t rows() const override { return rows_; }
  ~GpuStore() override;
  uint64_t device_bytes() const override { return slabs_.bytes() + beyond_estimate_; }
  uint64_t workspace_bytes() const override { return context_->workspace_bytes(); }
  Status append(const HostRows& from, const Call& call) override;
  Status append_from(Store& from, std::span<const int64_t> rows, const Call& call) override;
  Status write(std::span<const int64_t> rows, const HostRows& from, const Call& call) override;
  Status read(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) override;
  Status set_live(std::span<const int64_t> rows, bool live, const Call& call) override;
  Status set_live_range(int64_t first, int64_t count, bool live, const Call& call) override;
  Status search(const SearchPlan& plan, const Call& call) override;
  Status score(const ScorePlan& plan, const Call& call) override;
  void set_basis(BasisPtr basis) override;
  BasisPtr basis() const override { return basis_; }
  Status recode(int64_t rows, int64_t* left, const Call& call) override;
  uint64_t code_bytes() const override;
  // Codes the queries of kTileQueries like rows, into kCoded.
  Status code_queries(const BasisPtr& basis, int64_t groups, const Call& call);
  void add_query_coding_sizes(int64_t groups, WorkSizes* sizes) const;
  // Rounds the queries of kTileQueries to TF32, into kCoded, in tile32 or as fragments, and kQueryResiduals.
  Status round_queries(int64_t groups, bool in_tiles, const char* what);
  void add_query_rounding_sizes(int64_t groups, WorkSizes* sizes) const;

 private:
  friend class Scan;
  friend class Recount;

  // Codes that a slab will have in basis_.
  struct Shadow {
    int64_t slab = -1;
    int64_t next_group = 0;  // those before are coded
    Buffer codes;
    BasisPtr basis;
  };
  struct Place {
    int64_t slab;
    uint32_t group;
  };

  // Where a row of one side of a move lies: plain rows have slab -1.
  struct Step {
    int64_t from_slab, to_slab;
    Move move;
  };

  // Rows in tile32 on their way to codes.
  struct PlainRows {
    const Buffer *vectors, *side;
    CodeLayout layout;
    bool are_queries = false;  // coded as rows of L2, of dot without the mean
  };
  // Codes of rows, and their side values.
  struct CodedRows {
    const Buffer *codes, *side;
    CodeLayout layout;
  };

  // Adds slabs for `count` more rows, runs `fill`, makes the rows live as `live` says (NULL: all); nothing
  // has changed when a step fails.
  Status grow(int64_t count, const std::function<Status()>& fill, const std::vector<bool>* live,
              const char* what);
  Status allocate(const SlabMap::Slab& place, const char* what, SlabBuffers* out);
  void reserve_errors(int64_t more);
  // Copies plain rows to the rows that `row_of(i)` names.
  Status upload(const HostRows& from, const std::function<int64_t(int64_t)>& row_of, const Call* call,
                const char* what);
  // Steps that take rows [begin, end) of the list to as many rows after the present ones; kNoRow takes none.
  void add_copies(const GpuStore& from, std::span<const int64_t> rows, int64_t begin, int64_t end,
                  std::vector<Step>* steps) const;
  // Copies rows of `from` to the rows after the present ones.
  Status copy_from(const GpuStore& from, std::span<const int64_t> rows, const Call& call, const char* what);
  // Encodes `steps`, which lie in the workspace at kMoves in this order.
  Status encode_moves(const std::vector<Step>& steps, const GpuStore* source);
  // Lets `change` change live words of these rows and writes them; on failure all are as they were.
  template <typename Change>
  Status change_live(int64_t first_row, int64_t last_row, const Call& call, const Change& change);
  // The live words of groups from `first_group` on.
  Status write_live(int64_t first_group, std::span<const uint32_t> words, const char* what);
  // coding.cpp.
  CodeLayout layout(int64_t slab, const Basis& basis) const;
  // Adds what coding so many groups at once takes.
  void add_coding_sizes(int64_t groups, WorkSizes* sizes) const;
  // Calls `change` with each slab that rows of `steps` went to and the groups there, which it may change.
  Status for_moved_groups(const std::vector<Step>& steps,
                          const std::function<Status(int64_t slab, std::vector<uint32_t>& groups)>& change);
  // residuals.cpp.
  struct ResidualRows {
    const Buffer *vectors, *side;
    const Buffer* rounded;  // of queries
    bool in_tiles = false;  // these
  };
  Status add_residuals(const ResidualRows& rows, std::span<const uint32_t> groups, const Buffer& values,
                       const char* what);
  void add_residual_sizes(int64_t groups, WorkSizes* sizes) const;
  Status residuals_moved(const std::vector<Step>& steps, const char* what);
  // Codes the groups that the rows of `steps` went to. Of a store that is not coded nothing.
  Status code_moved(const std::vector<Step>& steps, const Call* call, const char* what);
  // `codes_stay`: CodingParams.
  Status code_groups(const PlainRows& rows, const Buffer& codes, const BasisPtr& basis,
                     std::span<const uint32_t> groups, bool codes_stay, const Call* call, const char* what);
  uint64_t basis_bytes(bool is_rotated) const;  // of kBasis
  // Of `axes`, as many as kBasis holds at once.
  int64_t axes_at_once(int64_t axes) const;
  Status load_axes(const BasisPtr& basis, int64_t begin, int64_t end);
  Status begin_shadow(int64_t slab, const char* what);
  int64_t used_groups(int64_t slab) const;
  void recount();  // beyond_estimate_, and what the device's budget knows of it
  // decoded.cpp: of codes alone.
  int64_t decoded_groups(uint64_t bytes) const;  // that are decoded at once, in so many bytes or fewer
  int64_t window_groups() const;                 // that a scan decodes at once
  void add_decoding_sizes(int64_t groups, WorkSizes* sizes) const;
  int64_t decoding_axes() const;
  double decoding_units() const;  // of a row
  bool holds_basis() const;       // kBasis, all axes at once
  // Loads the basis where it fits kBasis as a whole; nothing is gathered.
  Status load_basis();
  CodedRows coded_rows(int64_t slab) const;
  // Encodes the decoding of the rows of `p`, whose other fields follow, `most` in a dispatch; the basis was
  // loaded. Submits between dispatches.
  Status decode(const CodedRows& from, DecodingParams p, uint32_t most, const Buffer& to,
                const Buffer& to_side, const char* what);
  uint32_t rows_of_dispatch() const;  // of decode
  // Groups of a slab to kDecoded, kDecodedSide and kDecodedLive.
  Status decode_window(int64_t slab, uint32_t group_begin, uint32_t group_end);
  // Rows, sorted by slab, to kDecoded and kDecodedSide in this order; nothing is gathered before.
  Status decode_rows(std::span<const SlabMap::Place> places, const char* what);
  // What transfer() takes at once, and the workspace for that.
  int64_t transferred_rows() const;
  void add_transfer_sizes(int64_t rows, WorkSizes* sizes) const;
  // Codes and what lies beside them to their places; of `source`, in the same basis, or of kFresh, which has
  // `fresh_groups`.
  Status transfer(std::vector<Step>* steps, const GpuStore* source, int64_t fresh_groups, bool is_growth,
                  const char* what);
  // As upload(); `errors` gets those of the rows.
  Status keep_codes(const HostRows& from, const std::function<int64_t(int64_t)>& row_of, bool is_growth,
                    const Call* call, const char* what, float* errors);
  Status copy_codes(const GpuStore& from, std::span<const int64_t> rows, const Call& call, const char* what);
  Status read_codes(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call);
  int64_t staged_rows() const;  // rows of one staging buffer
  bool has_rows() const { return !options_.drop_rows; }
  bool is_coded() const { return basis_ != nullptr; }
  bool has_side() const { return context_->has_side(options_.metric); }
  bool has_residuals() const { return context_->has_residuals(options_); }
  uint32_t chunks() const { return static_cast<uint32_t>(padded_dim(options_.dim) / kChunkFloats); }
  uint64_t row_bytes() const { return static_cast<uint64_t>(padded_dim(options_.dim)) * sizeof(float); }

  std::shared_ptr<Context> context_;
  StoreOptions options_;
  SlabStorage<SlabBuffers> slabs_;
  std::vector<uint32_t> live_;  // the live words of all rows, as on the device
  int64_t rows_ = 0;
  BasisPtr basis_;  // NULL: not coded
  Shadow shadow_;
  std::vector<float> errors_;     // of codes alone: per row
  uint64_t shadow_bytes_ = 0;     // that the device's budget knows of
  uint64_t beyond_estimate_ = 0;  // bytes that codes take beyond slab_device_bytes(); modulo 2^64
};

}  // namespace nearfield::gpu
