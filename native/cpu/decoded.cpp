// SPDX-License-Identifier: Apache-2.0
// Rows that are kept as codes alone (NF_DROP_F32): a row is what its codes decode to, which is computed anew
// wherever it is needed.
#include <algorithm>
#include <atomic>
#include <bit>
#include <numeric>
#include <vector>

#include "decoded_row.hpp"
#include "store.hpp"

namespace nearfield::cpu {

namespace {
// Rows that are read between two polls, and by a worker at a time: at 1,536 dimensions some 3 ms.
constexpr int64_t kShare = 16;
// Fewer are not worth waking the pool.
constexpr int64_t kParallelRows = 64;
}  // namespace

void CpuStore::fit_decoding(int32_t workers, bool may_code) const {
  auto& spaces = state_->workspace.workers;
  spaces.resize(std::max(spaces.size(), static_cast<size_t>(workers)));
  if (has_rows()) return;
  for (int32_t i = 0; i < workers; ++i) {
    WorkerSpace& space = spaces[static_cast<size_t>(i)];
    space.decoded.fit(group_floats(options_.dim));
    if (may_code) space.incoming.fit(group_floats(options_.dim));
    space.decoding.fit(kDecodedAtOnce * basis_->shape().coded_dim());
  }
}

DecodeTile CpuStore::decode_tile(const Slab& slab, int64_t group, WorkerSpace& space) const {
  DecodeTile tile;
  tile.shape = &slab.codes.basis->shape();
  tile.from = slab.codes.group(group);
  tile.work = space.decoding.get();
  return tile;
}

void CpuStore::decode(const Slab& slab, int64_t group, uint32_t rows, float* to, WorkerSpace& space) const {
  DecodeTile tile = decode_tile(slab, group, space);
  for (; rows != 0; rows &= rows - 1, ++tile.count) {
    const int row = std::countr_zero(rows);
    tile.rows[tile.count] = static_cast<uint8_t>(row);
    tile.to[tile.count] = to + row * kChunkFloats;
  }
  state_->codes->decode(tile);
}

void CpuStore::decode_row(int64_t row, float* to, WorkerSpace& space) const {
  const SlabMap::Place place = slabs_.place(row);
  DecodeTile tile = decode_tile(slabs_[place.slab], place.row / kGroupRows, space);
  tile.count = 1;
  tile.rows[0] = static_cast<uint8_t>(place.row % kGroupRows);
  tile.to[0] = to;
  state_->codes->decode(tile);
}

Status CpuStore::rank_pairs(const float* const* queries, const int64_t* rows, int64_t count, float* ranks,
                            WorkerSpace& space, const Call& call) const {
  const auto kernel = state_->kernels->pairs[options_.metric - 1];
  for (int64_t from = 0; from < count; from += kGroupRows) {
    const int64_t some = std::min(kGroupRows, count - from);
    if (!has_rows()) NF_TRY(call.poll());
    const float* at[kGroupRows];
    float side[kGroupRows];
    for (int64_t i = 0; i < some; ++i) {
      const int64_t number = rows[from + i];
      if (has_rows()) {
        at[i] = row(number, &side[i]);
        continue;
      }
      float* const to = space.decoded.get() + i * kChunkFloats;
      decode_row(number, to, space);
      const SlabMap::Place place = slabs_.place(number);
      side[i] = slabs_[place.slab].side[place.row];
      at[i] = to;
    }
    kernel({queries + from, at, side, some, chunks(), ranks + from});
  }
  return {};
}

void CpuStore::keep_codes(const Slab& slab, int64_t first, const HostRows& from, WorkerSpace& space) {
  const int64_t group = first / kGroupRows, place = first % kGroupRows;
  const auto count = static_cast<int32_t>(from.rows);
  float side[kGroupRows] = {};
  float* const incoming = space.incoming.get();
  for (int64_t i = 0; i < count; ++i) {
    write_row(incoming, place + i, options_.dim, from.data + i * from.stride);
    side[place + i] = from.side[i];
  }
  EncodeTile tile;
  tile.shape = &slab.codes.basis->shape();
  tile.work = space.encoding.get();
  tile.rows = incoming;
  tile.side = side;
  tile.first = static_cast<int32_t>(place);
  tile.count = count;
  tile.to = slab.codes.group(group);
  state_->codes->encode(tile);

  float* const decoded = space.decoded.get();
  const uint32_t bits = (count == kGroupRows ? ~0u : (1u << count) - 1) << place;
  decode(slab, group, bits, decoded, space);
  float* const v = space.decoding.get();  // free again, and long enough
  for (int64_t i = 0; i < count; ++i) {
    read_row(decoded, place + i, options_.dim, v);
    const DecodedRow kept =
        decoded_row(options_.metric, options_.dim, from.data + i * from.stride, from.side[i], v);
    slab.side[first + i] = kept.side;
    slab.errors[first + i] = kept.error;
  }
  // The row is from here on what it decodes to, from which codes differ by roundings alone.
  tile.rows = decoded;
  tile.side = slab.side + group * kGroupRows;
  tile.codes_stay = true;
  state_->codes->encode(tile);
}

void CpuStore::write_codes(std::span<const int64_t> rows, const HostRows& from) {
  const auto count = static_cast<int64_t>(rows.size());
  const int32_t workers = count < kParallelRows ? 1 : state_->pool->threads();
  fit_encoding(workers);
  fit_decoding(workers, true);
  // Rows of one group by one worker: they share words, and a row is measured among those beside it.
  std::vector<int64_t> order(rows.size()), begins;
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto row_of = [&](int64_t i) { return rows[static_cast<size_t>(order[static_cast<size_t>(i)])]; };
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return rows[static_cast<size_t>(a)] < rows[static_cast<size_t>(b)];
  });
  for (int64_t i = 0; i < count; ++i)
    if (i == 0 || row_of(i) / kGroupRows != row_of(i - 1) / kGroupRows) begins.push_back(i);
  begins.push_back(count);
  std::atomic<size_t> ticket{0};
  static_cast<void>(state_->pool->run(workers, [&](int32_t worker) -> Status {
    for (size_t group = ticket.fetch_add(1); group + 1 < begins.size(); group = ticket.fetch_add(1))
      for (int64_t at = begins[group]; at < begins[group + 1]; ++at) {
        const int64_t i = order[static_cast<size_t>(at)];
        const SlabMap::Place place = slabs_.place(row_of(at));
        keep_codes(slabs_[place.slab], place.row,
                   {from.data + i * from.stride, 1, from.stride, from.side + i, from.live},
                   state_->workspace.workers[static_cast<size_t>(worker)]);
      }
    return {};
  }));
}

Status CpuStore::read_codes(std::span<const int64_t> rows, float* out, int64_t stride,
                            const Call& call) const {
  const auto count = static_cast<int64_t>(rows.size());
  const int32_t workers = count < kParallelRows ? 1 : state_->pool->threads();
  fit_decoding(workers);
  std::atomic<int64_t> ticket{0};
  return state_->pool->run(workers, [&](int32_t worker) -> Status {
    WorkerSpace& space = state_->workspace.workers[static_cast<size_t>(worker)];
    for (int64_t begin = ticket.fetch_add(kShare); begin < count; begin = ticket.fetch_add(kShare)) {
      if (state_->pool->stopping()) return {};
      NF_TRY(call.poll());
      for (int64_t i = begin; i < std::min(begin + kShare, count); ++i) {
        decode_row(rows[static_cast<size_t>(i)], space.decoded.get(), space);
        read_row(space.decoded.get(), 0, options_.dim, out + i * stride);
      }
    }
    return {};
  });
}

}  // namespace nearfield::cpu
