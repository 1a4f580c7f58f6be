// SPDX-License-Identifier: Apache-2.0
// The codes of a store: coding of rows as they come, and of whole slabs in a new basis.
#include <algorithm>
#include <atomic>

#include "store.hpp"

namespace nearfield::cpu {

namespace {
// Of rows that are coded by one worker at a time: some 100 us at 128 dimensions.
constexpr int64_t kShareGroups = 16;
// Of a slab's new codes, met at a time before the first row is coded: its levels lie far apart, so that the
// first rows would meet fresh memory in each. A huge page takes 0.2 ms, and 10 on a host that has to find it.
constexpr size_t kTouchBytes = Pages::kHugePage;
// Coding fewer is not worth waking the pool.
constexpr int64_t kParallelRows = 256;
}  // namespace

void CpuStore::fit_encoding(int32_t workers) {
  if (!options_.coded) return;
  auto& spaces = state_->workspace.workers;
  spaces.resize(std::max(spaces.size(), static_cast<size_t>(workers)));
  // A basis may change while another is being replaced: room for either.
  const int64_t floats = (2 * padded_dim(options_.dim) + 160) * kGroupRows + encode_floats(basis_->shape());
  for (int32_t i = 0; i < workers; ++i) spaces[static_cast<size_t>(i)].encoding.fit(floats);
}

void CpuStore::code(const Slab& slab, const SlabCodes& codes, int64_t first, int64_t end, int32_t worker) {
  EncodeTile tile;
  tile.shape = &codes.basis->shape();
  tile.work = state_->workspace.workers[static_cast<size_t>(worker)].encoding.get();
  for (int64_t row = first; row < end;) {
    const int64_t group = row / kGroupRows;
    const int64_t until = std::min(end, (group + 1) * kGroupRows);
    tile.rows = slab.vectors + group * group_floats(options_.dim);
    tile.side = slab.side + group * kGroupRows;
    tile.first = static_cast<int32_t>(row % kGroupRows);
    tile.count = static_cast<int32_t>(until - row);
    tile.to = codes.group(group);
    state_->codes->encode(tile);
    row = until;
  }
}

void CpuStore::code_rows(int64_t first, int64_t end, int32_t worker) {
  while (first < end) {
    const SlabMap::Place place = slabs_.place(first);
    const Slab& slab = slabs_[place.slab];
    const int64_t rows = std::min(end - first, slab.groups * kGroupRows - place.row);
    code(slab, slab.codes, place.row, place.row + rows, worker);
    first += rows;
  }
}

void CpuStore::code_written(std::span<const int64_t> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  const int32_t workers = count < kParallelRows ? 1 : state_->pool->threads();
  fit_encoding(workers);
  std::atomic<int64_t> ticket{0};
  static_cast<void>(state_->pool->run(workers, [&](int32_t worker) -> Status {
    constexpr int64_t share = 64;
    for (int64_t from = ticket.fetch_add(share); from < count; from = ticket.fetch_add(share))
      for (int64_t i = from; i < std::min(from + share, count); ++i) {
        const SlabMap::Place place = slabs_.place(rows[static_cast<size_t>(i)]);
        const Slab& slab = slabs_[place.slab];
        code(slab, slab.codes, place.row, place.row + 1, worker);
        if (shadow_ != nullptr && place.slab == shadow_->slab && place.row < shadow_->done)
          code(slab, shadow_->codes, place.row, place.row + 1, worker);
      }
    return {};
  }));
}

void CpuStore::set_basis(BasisPtr basis) {
  drop_shadow();
  level_share_ = kUnknownShare;
  basis_ = std::make_shared<CodedBasis>(options_.metric, std::move(basis), state_->codes->panel_axes);
}

void CpuStore::note_levels(const ScanCount& scanned) {
  if (scanned.whole == 0) return;
  const double share = static_cast<double>(scanned.read) / static_cast<double>(scanned.whole);
  level_share_ += (share - level_share_) / 4;
}

uint64_t CpuStore::code_bytes() const {
  uint64_t bytes = 0;
  if (options_.coded)
    for (const Slab& slab : slabs_.all())
      bytes += SlabCodes::bytes(slab.groups * kGroupRows, options_.metric, options_.dim);
  return bytes;
}

void CpuStore::drop_shadow() {
  if (shadow_ != nullptr) state_->memory.used -= shadow_->bytes;
  shadow_.reset();
}

Status CpuStore::recode(int64_t rows, int64_t* left, const Call& call) {
  NF_TRY(call.poll());
  const auto count = static_cast<int64_t>(slabs_.all().size());
  const auto filled = [&](int64_t slab) {
    return std::clamp<int64_t>(rows_ - slabs_[slab].first, 0, slabs_[slab].groups * kGroupRows);
  };
  // A slab without rows has no codes to keep.
  for (int64_t i = 0; i < count; ++i) {
    if (filled(i) != 0 || slabs_[i].codes.basis == basis_) continue;
    SlabCodes fresh;
    if (!fresh.allocate(slabs_[i].groups * kGroupRows, basis_))
      return error(NF_RESOURCE_EXHAUSTED, "%s: the system refused the codes of a slab of %lld rows",
                   call.operation(), static_cast<long long>(slabs_[i].groups * kGroupRows));
    slabs_.at(i).codes = std::move(fresh);
  }
  int64_t slab = 0;
  while (slab < count && slabs_[slab].codes.basis == basis_) ++slab;
  while (rows > 0 && slab < count) {
    if (shadow_ == nullptr) {
      auto shadow = std::make_unique<Shadow>();
      shadow->slab = slab;
      const uint64_t bytes =
          SlabCodes::bytes(slabs_[slab].groups * kGroupRows, options_.metric, options_.dim);
      if (state_->memory.limit - std::min(state_->memory.limit, state_->memory.used) < bytes ||
          !shadow->codes.allocate(slabs_[slab].groups * kGroupRows, basis_))
        return error(
            NF_RESOURCE_EXHAUSTED,
            "%s: coding a slab anew needs %llu more bytes, the indexes of this device use %llu of %llu bytes",
            call.operation(), static_cast<unsigned long long>(bytes),
            static_cast<unsigned long long>(state_->memory.used),
            static_cast<unsigned long long>(state_->memory.limit));
      shadow->bytes = bytes;
      state_->memory.used += bytes;
      shadow_ = std::move(shadow);
    }
    if (shadow_->touched < shadow_->codes.pages.size()) {
      shadow_->touched = shadow_->codes.pages.touch(shadow_->touched, kTouchBytes);
      if (shadow_->touched < shadow_->codes.pages.size()) break;
    }
    const int64_t first = shadow_->done;
    const int64_t end = std::min(filled(slab), round_up(first + rows, kGroupRows));
    const int32_t workers = end - first < kParallelRows ? 1 : state_->pool->threads();
    fit_encoding(workers);
    std::atomic<int64_t> ticket{first};
    NF_TRY(state_->pool->run(workers, [&](int32_t worker) -> Status {
      constexpr int64_t share = kShareGroups * kGroupRows;
      for (int64_t from = ticket.fetch_add(share); from < end; from = ticket.fetch_add(share)) {
        if (state_->pool->stopping()) return {};
        NF_TRY(call.poll());
        code(slabs_[slab], shadow_->codes, from, std::min(from + share, end), worker);
      }
      return {};
    }));
    shadow_->done = end;
    rows -= end - first;
    if (end < filled(slab)) break;
    slabs_.at(slab).codes = std::move(shadow_->codes);
    drop_shadow();
    while (slab < count && slabs_[slab].codes.basis == basis_) ++slab;
  }
  *left = 0;
  for (int64_t i = slab; i < count; ++i)
    if (slabs_[i].codes.basis != basis_) *left += filled(i);
  if (shadow_ != nullptr) *left -= shadow_->done;
  return {};
}

}  // namespace nearfield::cpu
