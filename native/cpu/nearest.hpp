// SPDX-License-Identifier: Apache-2.0
// The nearest row of each of many queries where rows are few: by codes, or, of very few, as they are. Workers
// take tiles of queries, and each tile past all rows, so that nothing is shared or merged.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "scan.hpp"

namespace nearfield::cpu {

// Codes of queries that come again, tile by tile.
class KeptCodes final : public KeptQueries {
 public:
  // Queries of a tile: with their codes half of an L2 cache of 256 KiB at 128 dimensions.
  static constexpr int64_t kTileQueries = 512;

  // Those of the tile that begins with this query; not coded yet in `basis` where it is not theirs.
  CodedQueries& tile(int64_t first) { return tiles_[static_cast<size_t>(first / kTileQueries)]; }
  void fit(int64_t queries) {
    const auto tiles = static_cast<size_t>((queries + kTileQueries - 1) / kTileQueries);
    if (tiles_.size() < tiles) tiles_.resize(tiles);
  }

 private:
  std::vector<CodedQueries> tiles_;
};

class NearestSearch {
 public:
  // Whether a search is one of these.
  static bool serves(const SharedState& shared, const CpuStore& store, const SearchPlan& plan);

  NearestSearch(SharedState& shared, const CpuStore& store, const SearchPlan& plan, const Call& call);
  Status run();
  const ScanCount& scanned() const { return scanned_; }

  // A group of 32 rows with its codes packed for the product.
  struct Group {
    const float* rows;
    const float* side;
    int64_t first_row;
    uint32_t live;
    const uint8_t* codes;
    const uint16_t* sides;
  };

 private:
  friend class NearestTile;
  void pack();
  bool by_codes() const { return basis_ != nullptr; }

  SharedState& state_;
  const CpuStore& store_;
  const SearchPlan& plan_;
  const Call& call_;
  CodedBasisPtr basis_;
  std::vector<Group> groups_;  // with live rows
  AlignedFloats packed_;
  KeptCodes* kept_ = nullptr;
  ScanCount scanned_;
  std::atomic<int64_t> ticket_{0};
};

}  // namespace nearfield::cpu
