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

namespace {
// Beside the live bits: rows and a side value of each, or two values of each.
int64_t slab_floats(int64_t rows, const StoreOptions& options) {
  return rows * (options.drop_rows ? 2 : padded_dim(options.dim) + 1);
}
}  // namespace

uint64_t Slab::bytes(int64_t rows, const StoreOptions& options) {
  const int64_t floats = slab_floats(rows, options);
  return static_cast<uint64_t>(round_up(floats * 4 + groups_of(rows) * 4, 64)) +
         (options.coded ? SlabCodes::bytes(rows, options.metric, options.dim) : 0);
}

bool Slab::allocate(const SlabMap::Slab& place, const StoreOptions& options, const CodedBasisPtr& basis) {
  const int64_t floats = slab_floats(place.capacity, options);
  pages = Pages(static_cast<size_t>(round_up(floats * 4 + groups_of(place.capacity) * 4, 64)));
  if (pages.data() == nullptr || (options.coded && !codes.allocate(place.capacity, basis))) return false;
  side = static_cast<float*>(pages.data());
  if (options.drop_rows) {
    errors = side + place.capacity;
  } else {
    vectors = side;
    side += place.capacity * padded_dim(options.dim);
  }
  live = reinterpret_cast<uint32_t*>(static_cast<float*>(pages.data()) + floats);
  first = place.first;
  groups = place.capacity / kGroupRows;
  return true;
}

CpuStore::CpuStore(std::shared_ptr<SharedState> shared, const StoreOptions& options)
    : state_(std::move(shared)),
      options_(options),
      slabs_(options, state_->slab_bytes, &state_->memory,
             [options](const SlabMap::Slab& slab) { return Slab::bytes(slab.capacity, options); }) {
  if (options.coded) set_basis(identity_basis(options.dim));
}

CpuStore::~CpuStore() { drop_shadow(); }

uint64_t CpuStore::estimate(const StoreOptions& options, uint64_t slab_bytes) {
  return SlabMap(options.dim, slab_bytes).fresh_bytes(options.capacity, [&](const SlabMap::Slab& slab) {
    return Slab::bytes(slab.capacity, options);
  });
}

const float* CpuStore::row(int64_t row, float* side) const {
  const SlabMap::Place place = slabs_.place(row);
  const Slab& slab = slabs_[place.slab];
  *side = slab.side[place.row];
  return slab.vectors + row_offset(place.row, options_.dim);
}

template <class Put, class Code, class Live>
Status CpuStore::append_rows(int64_t count, const Call& call, const Put& put, const Code& code,
                             const Live& live) {
  NF_TRY(call.poll());
  Growth growth(slabs_);
  NF_TRY(slabs_.grow(rows_ + count, call.operation(), [&](const SlabMap::Slab& place, Slab* slab) -> Status {
    if (slab->allocate(place, options_, basis_)) return {};
    return error(NF_RESOURCE_EXHAUSTED,
                 "%s: the system refused %llu bytes for a slab of %lld rows, this index uses %llu bytes",
                 call.operation(), static_cast<unsigned long long>(Slab::bytes(place.capacity, options_)),
                 static_cast<long long>(place.capacity), static_cast<unsigned long long>(slabs_.bytes()));
  }));

  const int64_t row_bytes = padded_dim(options_.dim) * 4;
  const int32_t workers = count * row_bytes < kParallelBytes ? 1 : state_->pool->threads();
  const bool large = count * row_bytes >= 2 * workers * kLargeShareBytes;
  // Shares end on group boundaries: no two workers write into the same cache line.
  const int64_t share_bytes = large ? kLargeShareBytes : kShareBytes;
  const int64_t share = round_up(std::max<int64_t>(1, share_bytes / row_bytes), kGroupRows);
  std::atomic<int64_t> ticket{rows_ / share * share};
  fit_encoding(workers);
  if (options_.drop_rows) fit_decoding(workers, true);
  const auto copy = [&](int32_t worker) -> Status {
    for (int64_t from = ticket.fetch_add(share); from < rows_ + count; from = ticket.fetch_add(share)) {
      if (state_->pool->stopping()) return {};
      NF_TRY(call.poll());
      for (int64_t row = std::max(from, rows_); row < std::min(from + share, rows_ + count); ++row) {
        const SlabMap::Place place = slabs_.place(row);
        put(row - rows_, slabs_[place.slab], place.row);
      }
      if (options_.coded) code(std::max(from, rows_), std::min(from + share, rows_ + count), worker);
    }
    return {};
  };
  NF_TRY(state_->pool->run(workers, copy));
  for (int64_t i = 0; i < count; ++i) {
    if (!live(i)) continue;
    const SlabMap::Place place = slabs_.place(rows_ + i);
    slabs_[place.slab].live[place.row / kGroupRows] |= 1u << (place.row % kGroupRows);
  }
  rows_ += count;
  growth.keep();
  return {};
}

Status CpuStore::append(const HostRows& from, const Call& call) {
  return append_rows(
      from.rows, call,
      [&](int64_t i, const Slab& slab, int64_t row) {
        if (options_.drop_rows) return;
        write_row(slab.vectors, row, options_.dim, from.data + i * from.stride);
        slab.side[row] = from.side[i];
      },
      [&](int64_t first, int64_t end, int32_t worker) {
        if (!options_.drop_rows) return code_rows(first, end, worker);
        while (first < end) {
          const SlabMap::Place place = slabs_.place(first);
          const int64_t count = std::min(end - first, kGroupRows - place.row % kGroupRows), i = first - rows_;
          keep_codes(slabs_[place.slab], place.row,
                     {from.data + i * from.stride, count, from.stride, from.side + i, from.live},
                     state_->workspace.workers[static_cast<size_t>(worker)]);
          first += count;
        }
      },
      [&](int64_t) { return from.live; });
}

Status CpuStore::append_from(Store& from, std::span<const int64_t> rows, const Call& call) {
  const auto& source = static_cast<const CpuStore&>(from);
  if (options_.drop_rows && basis() != source.basis())
    return error(NF_INTERNAL, "%s: codes without rows cannot change their basis", call.operation());
  return append_rows(
      static_cast<int64_t>(rows.size()), call,
      [&](int64_t i, const Slab& slab, int64_t row) {
        if (rows[static_cast<size_t>(i)] == kNoRow) return;
        if (options_.drop_rows) {
          const SlabMap::Place at = source.slabs_.place(rows[static_cast<size_t>(i)]);
          slab.side[row] = source.slabs_[at.slab].side[at.row];
          slab.errors[row] = source.slabs_[at.slab].errors[at.row];
          return;
        }
        const float* in = source.row(rows[static_cast<size_t>(i)], &slab.side[row]);
        float* out = slab.vectors + row_offset(row, options_.dim);
        for (int64_t chunk = 0; chunk < chunks(); ++chunk)
          std::memcpy(out + chunk * kChunkStride, in + chunk * kChunkStride, 16);
      },
      [&](int64_t first, int64_t end, int32_t worker) {
        for (int64_t row = first; row < end; ++row) {
          if (rows[static_cast<size_t>(row - rows_)] == kNoRow) continue;
          const SlabMap::Place to = slabs_.place(row);
          const SlabMap::Place at = source.slabs_.place(rows[static_cast<size_t>(row - rows_)]);
          const SlabCodes &codes = slabs_[to.slab].codes, &old = source.slabs_[at.slab].codes;
          if (codes.basis->basis() == old.basis->basis())
            codes.copy_row(to.row, old, at.row);
          else
            code(slabs_[to.slab], codes, to.row, to.row + 1, worker);
        }
      },
      [&](int64_t i) {
        if (rows[static_cast<size_t>(i)] == kNoRow) return false;
        const SlabMap::Place place = source.slabs_.place(rows[static_cast<size_t>(i)]);
        const uint32_t word = source.slabs_[place.slab].live[place.row / kGroupRows];
        return (word >> (place.row % kGroupRows) & 1u) != 0;
      });
}

// The four below are not polled in between: half of the rows overwritten would be neither all nor nothing.
// They run at the speed of a memory copy; but writes that are coded take dim^2 a row in a rotated basis,
// three times without rows, whose reads are polled.
Status CpuStore::write(std::span<const int64_t> rows, const HostRows& from, const Call& call) {
  NF_TRY(call.poll());
  if (options_.drop_rows) {
    write_codes(rows, from);
    return {};
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const SlabMap::Place place = slabs_.place(rows[i]);
    const Slab& slab = slabs_[place.slab];
    write_row(slab.vectors, place.row, options_.dim, from.data + static_cast<int64_t>(i) * from.stride);
    slab.side[place.row] = from.side[i];
  }
  if (options_.coded) code_written(rows);
  return {};
}

Status CpuStore::read(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) {
  NF_TRY(call.poll());
  if (options_.drop_rows) return read_codes(rows, out, stride, call);
  for (size_t i = 0; i < rows.size(); ++i) {
    const SlabMap::Place place = slabs_.place(rows[i]);
    read_row(slabs_[place.slab].vectors, place.row, options_.dim, out + static_cast<int64_t>(i) * stride);
  }
  return {};
}

Status CpuStore::set_live(std::span<const int64_t> rows, bool live, const Call& call) {
  NF_TRY(call.poll());
  for (const int64_t row : rows) {
    const SlabMap::Place place = slabs_.place(row);
    uint32_t& word = slabs_[place.slab].live[place.row / kGroupRows];
    const uint32_t bit = 1u << (place.row % kGroupRows);
    word = live ? word | bit : word & ~bit;
  }
  return {};
}

Status CpuStore::set_live_range(int64_t first, int64_t count, bool live, const Call& call) {
  NF_TRY(call.poll());
  for (const Slab& slab : slabs_.all()) {
    const int64_t from = std::max(first, slab.first);
    const int64_t to = std::min(first + count, slab.first + slab.groups * kGroupRows);
    for_each_word(from - slab.first, to - from, [&](int64_t word, uint32_t bits) {
      slab.live[word] = live ? slab.live[word] | bits : slab.live[word] & ~bits;
    });
  }
  return {};
}

}  // namespace nearfield::cpu
