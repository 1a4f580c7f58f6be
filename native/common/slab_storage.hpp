// SPDX-License-Identifier: Apache-2.0
// The slabs of one store, with what its backend allocates for each: growth within the memory limits, and its
// roll-back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "backend.hpp"
#include "slabs.hpp"

namespace nearfield {

// Of all stores of a device together.
struct MemoryBudget {
  uint64_t limit = 0;  // bytes; 0: none
  uint64_t used = 0;
};

// `Slab`: what a backend holds of one slab. The memory goes with it.
template <typename Slab>
class SlabStorage {
 public:
  using BytesOf = std::function<uint64_t(const SlabMap::Slab&)>;

  // `device` outlives this.
  SlabStorage(const StoreOptions& options, uint64_t slab_bytes, MemoryBudget* device, BytesOf bytes_of)
      : options_(options), map_(options.dim, slab_bytes), device_(*device), bytes_of_(std::move(bytes_of)) {}
  ~SlabStorage() { device_.used -= bytes_; }
  SlabStorage(const SlabStorage&) = delete;
  SlabStorage& operator=(const SlabStorage&) = delete;

  const SlabMap& map() const { return map_; }
  SlabMap::Place place(int64_t row) const { return map_.place(row); }
  const std::vector<Slab>& all() const { return slabs_; }
  const Slab& operator[](int64_t slab) const { return slabs_[static_cast<size_t>(slab)]; }
  Slab& at(int64_t slab) { return slabs_[static_cast<size_t>(slab)]; }
  uint64_t bytes() const { return bytes_; }

  // Adds slabs so that `rows` rows fit, or none; `allocate(place, &slab)` makes one. The first slabs are
  // those of the capacity that was announced, so that an estimate is exact however the rows arrive; a hint
  // that does not fit is only a hint.
  template <typename Allocate>
  Status grow(int64_t rows, const char* what, const Allocate& allocate) {
    if (rows <= map_.capacity()) return {};
    const int64_t hint = slabs_.empty() ? options_.capacity : 0;
    if (hint > rows && map_.fresh_bytes(hint, bytes_of_) <= room() && add(hint, what, allocate).ok())
      return {};
    return add(rows, what, allocate);
  }

  // Back to the first `count` slabs.
  void shrink(size_t count) noexcept {
    uint64_t freed = 0;
    for (size_t i = count; i < slabs_.size(); ++i) freed += bytes_of_(map_.slabs()[i]);
    slabs_.erase(slabs_.begin() + static_cast<ptrdiff_t>(count), slabs_.end());
    map_.truncate(count);
    bytes_ -= freed;
    device_.used -= freed;
  }

 private:
  template <typename Allocate>
  Status add(int64_t rows, const char* what, const Allocate& allocate) {
    const std::vector<SlabMap::Slab> places = map_.missing(rows);
    uint64_t more = 0;
    for (const SlabMap::Slab& place : places) more += bytes_of_(place);
    const auto refuse = [&](const char* who, uint64_t used, uint64_t limit) {
      return error(NF_RESOURCE_EXHAUSTED,
                   "%s: %lld rows need %llu more bytes, %s %llu of its memory limit of %llu bytes", what,
                   static_cast<long long>(rows), static_cast<unsigned long long>(more), who,
                   static_cast<unsigned long long>(used), static_cast<unsigned long long>(limit));
    };
    if (options_.memory_limit != 0 && bytes_ + more > options_.memory_limit)
      return refuse("this index uses", bytes_, options_.memory_limit);
    if (device_.limit != 0 && device_.used + more > device_.limit)
      return refuse("the indexes of this device use", device_.used, device_.limit);
    std::vector<Slab> added(places.size());
    for (size_t i = 0; i < places.size(); ++i) NF_TRY(allocate(places[i], &added[i]));
    // Whatever may throw comes before the first change: the map and the slabs must never disagree.
    SlabMap map = map_;
    for (const SlabMap::Slab& place : places) map.push(place);
    slabs_.reserve(slabs_.size() + added.size());
    for (Slab& slab : added) slabs_.push_back(std::move(slab));
    std::swap(map_, map);
    bytes_ += more;
    device_.used += more;
    return {};
  }

  // Bytes that the limits leave.
  uint64_t room() const {
    const auto left = [](uint64_t limit, uint64_t used) {
      return limit == 0 ? UINT64_MAX : limit - std::min(limit, used);
    };
    return std::min(left(options_.memory_limit, bytes_), left(device_.limit, device_.used));
  }

  StoreOptions options_;
  SlabMap map_;
  std::vector<Slab> slabs_;
  uint64_t bytes_ = 0;
  MemoryBudget& device_;
  BytesOf bytes_of_;
};

// Takes back what a store grows by while this lives, unless it is kept.
template <typename Slab>
class Growth {
 public:
  explicit Growth(SlabStorage<Slab>& slabs) : slabs_(slabs), before_(slabs.all().size()) {}
  ~Growth() {
    if (!kept_) slabs_.shrink(before_);
  }
  Growth(const Growth&) = delete;
  Growth& operator=(const Growth&) = delete;
  void keep() { kept_ = true; }

 private:
  SlabStorage<Slab>& slabs_;
  size_t before_;
  bool kept_ = false;
};

}  // namespace nearfield
