// SPDX-License-Identifier: Apache-2.0
// Growth by slabs: rows never move when a store grows. Slabs grow with the store up to a limit, so that a
// small index does not pay for a large slab; each holds a multiple of 32 rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tile32.hpp"

namespace nearfield {

class SlabMap {
 public:
  struct Slab {
    int64_t first;     // row number of its first row
    int64_t capacity;  // rows, a multiple of kGroupRows
  };
  struct Place {
    int64_t slab;
    int64_t row;  // within the slab
  };

  // `slab_bytes` bounds the vector bytes of one slab; at least one group always fits.
  SlabMap(int32_t dim, uint64_t slab_bytes) {
    const uint64_t group_bytes = static_cast<uint64_t>(group_floats(dim)) * sizeof(float);
    max_rows_ = static_cast<int64_t>(std::max<uint64_t>(1, slab_bytes / group_bytes)) * kGroupRows;
  }

  int64_t capacity() const { return slabs_.empty() ? 0 : slabs_.back().first + slabs_.back().capacity; }
  const std::vector<Slab>& slabs() const { return slabs_; }

  // The slabs that must be added so that `rows` rows fit. Pure: the caller allocates, then commits each by
  // push().
  std::vector<Slab> missing(int64_t rows) const {
    std::vector<Slab> added;
    for (int64_t have = capacity(); have < rows;) {
      // As many rows as there are already (doubling), at least what is asked for, at most a full slab.
      const int64_t wanted =
          std::min(max_rows_, round_up(std::max(rows - have, std::min(have, max_rows_)), kGroupRows));
      added.push_back({have, wanted});
      have += wanted;
    }
    return added;
  }
  // Bytes of the slabs that an empty map would add for `rows` rows, with bytes_of(Slab) for each. No list is
  // made: an estimate may ask for more rows than any machine holds.
  template <typename BytesOf>
  uint64_t fresh_bytes(int64_t rows, const BytesOf& bytes_of) const {
    if (rows <= 0) return 0;
    if (rows <= max_rows_) return bytes_of(Slab{0, round_up(rows, kGroupRows)});
    // The first slab is full, and the next ones double what is there: full as well.
    return static_cast<uint64_t>((rows + max_rows_ - 1) / max_rows_) * bytes_of(Slab{0, max_rows_});
  }
  void push(const Slab& slab) { slabs_.push_back(slab); }
  // Back to the first `count` slabs.
  void truncate(size_t count) noexcept {
    slabs_.erase(slabs_.begin() + static_cast<ptrdiff_t>(count), slabs_.end());
  }

  Place place(int64_t row) const {
    auto after = std::upper_bound(slabs_.begin(), slabs_.end(), row,
                                  [](int64_t r, const Slab& s) { return r < s.first; });
    const int64_t slab = (after - slabs_.begin()) - 1;
    return {slab, row - slabs_[static_cast<size_t>(slab)].first};
  }

 private:
  int64_t max_rows_;
  std::vector<Slab> slabs_;
};

}  // namespace nearfield
