// SPDX-License-Identifier: Apache-2.0
#include "store.hpp"

#include <algorithm>
#include <atomic>

#include "live_bits.hpp"

namespace nearfield::cpu {

namespace {
// Bytes that a worker takes at a time, polling in between. Of a large append a huge page: two workers that
// come to a fresh one together would each clear one, and one of the two is thrown away; clearing is half the
// cost of an append. Else some 50 us of copying, so that chunks of a few MiB, as a pipelined insert sends
// them, keep every thread busy.
constexpr int64_t kShareBytes = int64_t{256} << 10;
constexpr int64_t kLargeShareBytes = Pages::kHugePage;
// Copies smaller than this are not worth waking the pool (about 10 us).
constexpr int64_t kParallelBytes = int64_t{1} << 20;
}  // namespace

uint64_t Slab::bytes(int64_t rows, int32_t dim) {
  const int64_t floats = rows * padded_dim(dim) + rows;
  return static_cast<uint64_t>(round_up(floats * 4 + groups_of(rows) * 4, 64));
}

bool Slab::allocate(const SlabMap::Slab& place, int32_t dim) {
  pages = Pages(bytes(place.capacity, dim));
  if (pages.data() == nullptr) return false;
  vectors = static_cast<float*>(pages.data());
  side = vectors + place.capacity * padded_dim(dim);
  live = reinterpret_cast<uint32_t*>(side + place.capacity);
  first = place.first;
  groups = place.capacity / kGroupRows;
  return true;
}

CpuStore::CpuStore(std::shared_ptr<SharedState> shared, const StoreOptions& options)
    : state_(std::move(shared)), options_(options), map_(options.dim, state_->slab_bytes) {}

CpuStore::~CpuStore() { state_->memory_used -= bytes_; }

uint64_t CpuStore::estimate(const StoreOptions& options, uint64_t slab_bytes) {
  return SlabMap(options.dim, slab_bytes).fresh_bytes(options.capacity, [&](const SlabMap::Slab& slab) {
    return Slab::bytes(slab.capacity, options.dim);
  });
}

const float* CpuStore::row(int64_t row, float* side) const {
  const SlabMap::Place place = map_.place(row);
  const Slab& slab = slabs_[static_cast<size_t>(place.slab)];
  *side = slab.side[place.row];
  return slab.vectors + row_offset(place.row, options_.dim);
}

Status CpuStore::grow(int64_t rows, const char* operation) {
  if (rows <= map_.capacity()) return {};
  // The first slabs follow the hint, so that estimate() is exact however the rows arrive. A hint that does
  // not fit is only a hint.
  uint64_t budget = state_->memory_limit - std::min(state_->memory_limit, state_->memory_used);
  if (options_.memory_limit != 0) budget = std::min(budget, options_.memory_limit);
  const auto row_bytes = static_cast<uint64_t>(padded_dim(options_.dim)) * 4;
  if (map_.capacity() == 0 && options_.capacity > rows &&
      static_cast<uint64_t>(options_.capacity) <= budget / row_bytes &&
      try_grow(map_.missing(options_.capacity), operation).ok())
    return {};
  return try_grow(map_.missing(rows), operation);
}

Status CpuStore::try_grow(const std::vector<SlabMap::Slab>& missing, const char* operation) {
  uint64_t more = 0;
  for (const SlabMap::Slab& slab : missing) more += Slab::bytes(slab.capacity, options_.dim);
  if (options_.memory_limit != 0 && bytes_ + more > options_.memory_limit)
    return error(NF_RESOURCE_EXHAUSTED,
                 "%s: needs %llu more bytes, this index uses %llu of its memory limit of %llu bytes",
                 operation, static_cast<unsigned long long>(more), static_cast<unsigned long long>(bytes_),
                 static_cast<unsigned long long>(options_.memory_limit));
  if (state_->memory_used + more > state_->memory_limit)
    return error(
        NF_RESOURCE_EXHAUSTED,
        "%s: needs %llu more bytes, the indexes of this device use %llu of its memory limit of %llu bytes",
        operation, static_cast<unsigned long long>(more),
        static_cast<unsigned long long>(state_->memory_used),
        static_cast<unsigned long long>(state_->memory_limit));
  std::vector<Slab> added(missing.size());
  for (size_t i = 0; i < missing.size(); ++i)
    if (!added[i].allocate(missing[i], options_.dim))
      return error(NF_RESOURCE_EXHAUSTED,
                   "%s: the system refused %llu bytes for a slab of %lld rows, this index uses %llu bytes",
                   operation, static_cast<unsigned long long>(Slab::bytes(missing[i].capacity, options_.dim)),
                   static_cast<long long>(missing[i].capacity), static_cast<unsigned long long>(bytes_));
  slabs_.reserve(slabs_.size() + added.size());
  SlabMap map = map_;
  for (const SlabMap::Slab& slab : missing) map.push(slab);
  map_ = std::move(map);
  for (Slab& slab : added) slabs_.push_back(std::move(slab));
  bytes_ += more;
  state_->memory_used += more;
  return {};
}

void CpuStore::shrink(const SlabMap& map) {
  uint64_t freed = 0;
  for (size_t i = map.slabs().size(); i < map_.slabs().size(); ++i)
    freed += Slab::bytes(map_.slabs()[i].capacity, options_.dim);
  slabs_.resize(map.slabs().size());
  map_ = map;
  bytes_ -= freed;
  state_->memory_used -= freed;
}

template <class Put, class Live>
Status CpuStore::append_rows(int64_t count, const Call& call, const Put& put, const Live& live) {
  NF_TRY(call.poll());
  const SlabMap before = map_;
  NF_TRY(grow(rows_ + count, call.operation()));

  const int64_t row_bytes = padded_dim(options_.dim) * 4;
  const int32_t workers = count * row_bytes < kParallelBytes ? 1 : state_->pool->threads();
  const bool large = count * row_bytes >= 2 * workers * kLargeShareBytes;
  // Shares end on group boundaries: no two workers write into the same cache line.
  const int64_t share_bytes = large ? kLargeShareBytes : kShareBytes;
  const int64_t share = round_up(std::max<int64_t>(1, share_bytes / row_bytes), kGroupRows);
  std::atomic<int64_t> ticket{rows_ / share * share};
  const auto copy = [&](int32_t) -> Status {
    for (int64_t from = ticket.fetch_add(share); from < rows_ + count; from = ticket.fetch_add(share)) {
      if (state_->pool->stopping()) return {};
      NF_TRY(call.poll());
      for (int64_t row = std::max(from, rows_); row < std::min(from + share, rows_ + count); ++row) {
        const SlabMap::Place place = map_.place(row);
        put(row - rows_, slabs_[static_cast<size_t>(place.slab)], place.row);
      }
    }
    return {};
  };
  if (Status status = state_->pool->run(workers, copy); !status.ok()) {
    shrink(before);
    return status;
  }
  for (int64_t i = 0; i < count; ++i) {
    if (!live(i)) continue;
    const SlabMap::Place place = map_.place(rows_ + i);
    slabs_[static_cast<size_t>(place.slab)].live[place.row / kGroupRows] |= 1u << (place.row % kGroupRows);
  }
  rows_ += count;
  return {};
}

Status CpuStore::append(const HostRows& from, const Call& call) {
  return append_rows(
      from.rows, call,
      [&](int64_t i, const Slab& slab, int64_t row) {
        write_row(slab.vectors, row, options_.dim, from.data + i * from.stride);
        slab.side[row] = from.side[i];
      },
      [&](int64_t) { return from.live; });
}

Status CpuStore::append_from(Store& from, std::span<const int64_t> rows, const Call& call) {
  const auto& source = static_cast<const CpuStore&>(from);
  return append_rows(
      static_cast<int64_t>(rows.size()), call,
      [&](int64_t i, const Slab& slab, int64_t row) {
        const float* in = source.row(rows[static_cast<size_t>(i)], &slab.side[row]);
        float* out = slab.vectors + row_offset(row, options_.dim);
        for (int64_t chunk = 0; chunk < chunks(); ++chunk)
          std::memcpy(out + chunk * kChunkStride, in + chunk * kChunkStride, 16);
      },
      [&](int64_t i) {
        const SlabMap::Place place = source.map_.place(rows[static_cast<size_t>(i)]);
        const uint32_t word = source.slabs_[static_cast<size_t>(place.slab)].live[place.row / kGroupRows];
        return (word >> (place.row % kGroupRows) & 1u) != 0;
      });
}

// The four below are not polled in between: half of the rows overwritten would be neither all nor nothing.
// They run at the speed of a memory copy.
Status CpuStore::write(std::span<const int64_t> rows, const HostRows& from, const Call& call) {
  NF_TRY(call.poll());
  for (size_t i = 0; i < rows.size(); ++i) {
    const SlabMap::Place place = map_.place(rows[i]);
    const Slab& slab = slabs_[static_cast<size_t>(place.slab)];
    write_row(slab.vectors, place.row, options_.dim, from.data + static_cast<int64_t>(i) * from.stride);
    slab.side[place.row] = from.side[i];
  }
  return {};
}

Status CpuStore::read(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) {
  NF_TRY(call.poll());
  for (size_t i = 0; i < rows.size(); ++i) {
    const SlabMap::Place place = map_.place(rows[i]);
    read_row(slabs_[static_cast<size_t>(place.slab)].vectors, place.row, options_.dim,
             out + static_cast<int64_t>(i) * stride);
  }
  return {};
}

Status CpuStore::set_live(std::span<const int64_t> rows, bool live, const Call& call) {
  NF_TRY(call.poll());
  for (const int64_t row : rows) {
    const SlabMap::Place place = map_.place(row);
    uint32_t& word = slabs_[static_cast<size_t>(place.slab)].live[place.row / kGroupRows];
    const uint32_t bit = 1u << (place.row % kGroupRows);
    word = live ? word | bit : word & ~bit;
  }
  return {};
}

Status CpuStore::set_live_range(int64_t first, int64_t count, bool live, const Call& call) {
  NF_TRY(call.poll());
  for (const Slab& slab : slabs_) {
    const int64_t from = std::max(first, slab.first);
    const int64_t to = std::min(first + count, slab.first + slab.groups * kGroupRows);
    for_each_word(from - slab.first, to - from, [&](int64_t word, uint32_t bits) {
      slab.live[word] = live ? slab.live[word] | bits : slab.live[word] & ~bits;
    });
  }
  return {};
}

}  // namespace nearfield::cpu
