// SPDX-License-Identifier: Apache-2.0
// Lists built anew, in a second store, while the index goes on serving: after a training, from all rows, or
// to drop the dead ones. Rows go to their lists, list after list is copied from store to store, and what has
// come or changed in the meantime follows; then the two change places.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "coarse_quantizer.hpp"
#include "drift.hpp"
#include "list_calibration.hpp"
#include "lists.hpp"
#include "live_bits.hpp"

namespace nearfield {

// Rows of an index on their way into lists, and the lists themselves.
struct ListedRows {
  std::shared_ptr<CoarseQuantizer> coarse;
  Lists lists;
  RecallModel recall;
  int64_t unmeasured = 0;  // rows written since that was measured
  Drift drift;
};

// The lists that rows are known to belong to when lists are built.
struct KnownLists {
  static constexpr int32_t kNearest = -1;  // that of the nearest centroid
  std::vector<int32_t> of_row;
  // NULL, or where lists were split: the centroids that are gone, and then the new ones. A row of another
  // list can only have a nearer centroid now where one of the new ones is nearer to it than those that are
  // gone: its own was nearer than these (the second condition of LIRE, SPFresh, arXiv 2410.14452).
  std::shared_ptr<CoarseQuantizer> split;
  int32_t gone = 0;
};

// Copies rows to the places that lists have for them; the lists do not know yet.
Status put_listed(const Call& call, Store& store, const Lists::Plan& plan, const HostRows& from);

class ListBuild {
 public:
  // What a step works on: the index as it is.
  struct Source {
    Store& store;
    const LiveBits& live;
    const VectorRules& rules;
    const ListedRows* listed;  // NULL: places are numbers
    int32_t dim;
  };

  // `shadow` is empty and has the basis of the index. `drops`: dead rows are dropped, the others renumbered
  // in order, and lists stay as they are; else rows find their lists among `coarse`, but for those that
  // are known.
  ListBuild(std::unique_ptr<Store> shadow, std::shared_ptr<CoarseQuantizer> coarse, const Source& from,
            bool drops, KnownLists known = {});

  bool is_done() const { return phase_ == Phase::kDone; }
  // Rows below it are passed; all only at the end.
  int64_t position() const;
  uint64_t device_bytes() const { return shadow_->device_bytes(); }
  uint64_t code_bytes() const { return shadow_->code_bytes(); }
  // Rows of those there were at the beginning that went to other lists than was known.
  int64_t moved() const { return moved_; }
  // Of a row of those there were at the beginning, or kNoRow when it is dropped.
  int64_t new_number(int64_t row) const;

  // What lists written by a caller bring along; else it is measured.
  void take_recall(RecallModel recall) { next_->recall = std::move(recall); }
  // One piece of the work, of a few milliseconds.
  Status advance(const Call& call, const Source& from);

  // What has changed in the index. False when this cannot follow and must begin anew.
  void follow_write(std::span<const int64_t> rows);
  bool follow_live(const Call& call, std::span<const int64_t> rows, bool live);

  // The rows, the lists and, when rows were dropped, the live bits that there are from now on.
  void finish(std::unique_ptr<Store>* store, std::unique_ptr<ListedRows>* listed, LiveBits* live);

 private:
  enum class Phase { kAssign, kSort, kCopy, kMeasure, kCalibrate, kFollow, kDone };
  Status assign(const Call& call, const Source& from);
  Status find_moving(const Call& call, const Source& from, const std::vector<int64_t>& rows,
                     std::vector<int64_t>* open) const;
  void sort();
  Status copy(const Call& call, const Source& from);
  std::vector<int64_t> sample(const Source& from, int64_t count) const;
  Status measure(const Call& call, const Source& from);
  void begin_calibration(const Source& from);
  Status follow(const Call& call, const Source& from);
  // Reads rows as they are now, and the squared norm of each.
  Status read(const Call& call, const Source& from, std::span<const int64_t> rows, std::vector<float>* to,
              std::vector<double>* squared) const;
  bool is_kept(int64_t row) const { return !drops_ || kept_.is_live(row); }
  int64_t block_rows() const;

  std::unique_ptr<Store> shadow_;
  std::unique_ptr<ListedRows> next_;
  const int64_t rows_;  // that there were at the beginning
  const bool drops_;
  const int32_t dim_;
  LiveBits kept_;                     // with drops: of the rows at the beginning, those that stay
  std::vector<int64_t> kept_before_;  // of each word of them
  Phase phase_;
  int64_t assigned_ = 0;
  KnownLists known_;
  int64_t moved_ = 0;
  std::vector<uint32_t> order_;      // rows, list after list
  std::vector<int64_t> list_begin_;  // in order_
  int32_t list_ = 0;                 // the next one to copy, from `copied_` on
  int64_t copied_ = 0;
  std::unique_ptr<ListCalibration> calibration_;
  std::vector<bool> late_;  // rows that were written since they were assigned
  std::vector<int64_t> late_rows_;
  int64_t followed_ = 0;  // rows after the first ones
};

}  // namespace nearfield
