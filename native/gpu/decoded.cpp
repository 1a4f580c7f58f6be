// SPDX-License-Identifier: Apache-2.0
// Rows that are kept as codes alone (NF_DROP_F32): a row is what its codes decode to, which is computed anew
// wherever it is needed. New rows are coded and decoded beside the slabs; when all that is known of them is
// there, their codes go to their places row by row, because neighbouring rows share words.
#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "decoded_row.hpp"
#include "store.hpp"

namespace nearfield::gpu {
namespace {

// Rows that a scan decodes at once: enough that the parts of a window fill a large GPU.
constexpr uint64_t kWindowBytes = 64ull << 20;
// New rows at a time: each goes to the device and back.
constexpr uint64_t kKeptBytes = 4ull << 20;
// Rows whose codes are moved at once.
constexpr uint64_t kTransferRows = 1 << 15;
// Each may have a target of its own.
constexpr uint64_t kTargetBytes = NEARFIELD_TARGET_WORDS * sizeof(uint32_t);

}  // namespace

int64_t GpuStore::decoded_groups(uint64_t bytes) const {
  const uint64_t share = std::min({bytes, context_->free_workspace() / 4, context_->binding_limit()});
  return static_cast<int64_t>(std::max<uint64_t>(1, share / (row_bytes() * kGroupRows)));
}

int64_t GpuStore::window_groups() const {
  int64_t used = 1;
  for (size_t slab = 0; slab < slabs_.all().size(); ++slab)
    used = std::max(used, used_groups(static_cast<int64_t>(slab)));
  return std::min(used, decoded_groups(kWindowBytes));
}

void GpuStore::add_decoding_sizes(int64_t groups, WorkSizes* sizes) const {
  const auto n = static_cast<uint64_t>(groups);
  (*sizes)[kDecoded] = n * kGroupRows * row_bytes();
  (*sizes)[kDecodedLive] = n * sizeof(uint32_t);
  if (has_side()) (*sizes)[kDecodedSide] = n * kGroupRows * sizeof(float);
  (*sizes)[kBasis] = basis_bytes(basis_->is_rotated());
}

int64_t GpuStore::decoding_axes() const {
  return basis_->is_rotated() ? round_up(options_.dim, kAxisBlock) : 0;
}

double GpuStore::decoding_units() const {
  return static_cast<double>(chunks()) * static_cast<double>(std::max<int64_t>(decoding_axes(), 4));
}

bool GpuStore::holds_basis() const { return axes_at_once(decoding_axes()) == decoding_axes(); }

uint32_t GpuStore::rows_of_dispatch() const {
  const auto least = static_cast<double>(context_->limits().lanes);
  return static_cast<uint32_t>(
      std::clamp(context_->units_per_dispatch() / decoding_units(), least, double{1 << 24}));
}

Status GpuStore::load_basis() {
  if (!holds_basis() || (!basis_->is_rotated() && basis_->mean.empty())) return {};
  return load_axes(basis_, 0, decoding_axes());
}

Status GpuStore::decode(const CodedRows& from, DecodingParams p, uint32_t most, const Buffer& to,
                        const Buffer& to_side, const char* what) {
  Queue& queue = context_->queue();
  const int64_t axes = decoding_axes(), piece = axes_at_once(axes);
  p.chunks = chunks();
  p.groups = static_cast<uint32_t>(from.layout.groups);
  p.levels = static_cast<uint32_t>(from.layout.levels());
  p.level_chunks = static_cast<uint32_t>(from.layout.level_dims / kChunkFloats);
  p.has_mean = !basis_->mean.empty();
  p.is_rotated = basis_->is_rotated();
  const uint32_t row_end = p.row_end, lanes = context_->limits().lanes;
  for (bool is_first = true; p.row_begin < row_end; is_first = false) {
    p.row_end = p.row_begin + std::min(most, row_end - p.row_begin);
    const uint64_t blocks =
        uint64_t{(p.row_end - p.row_begin + lanes - 1) / lanes} * ((p.chunks + 1) / 2);  // of two chunks
    if (!is_first) NF_TRY(queue.submit(0, what));
    int64_t axis = 0;
    do {
      const int64_t end = std::min(axis + piece, axes);
      if (piece < axes) {
        NF_TRY(queue.submit(0, what));
        NF_TRY(load_axes(basis_, axis, end));
      }
      p.axis_begin = static_cast<uint32_t>(axis);
      p.axis_end = static_cast<uint32_t>(end);
      p.is_last = end == axes;
      NF_TRY(context_->dispatch(
          kDecode, {}, p, context_->grid(blocks),
          {from.codes, p.has_side != 0 ? from.side : &context_->work(kUnused), &context_->work(kBasis),
           &context_->work(p.has_list != 0 ? kGroups : kUnused), &to, &to_side}));
      axis = end;
    } while (axis < axes);
    p.to_begin += p.row_end - p.row_begin;
    p.row_begin = p.row_end;
  }
  return {};
}

GpuStore::CodedRows GpuStore::coded_rows(int64_t slab) const {
  return {&slabs_[slab].codes, &slabs_[slab].side, layout(slab, *slabs_[slab].basis)};
}

Status GpuStore::decode_window(int64_t slab, uint32_t group_begin, uint32_t group_end) {
  DecodingParams p{};
  p.row_begin = group_begin * static_cast<uint32_t>(kGroupRows);
  p.row_end = group_end * static_cast<uint32_t>(kGroupRows);
  p.has_side = has_side();
  // The scan has chosen as many as a dispatch takes.
  NF_TRY(decode(coded_rows(slab), p, p.row_end - p.row_begin, context_->work(kDecoded),
                context_->work(has_side() ? kDecodedSide : kUnusedWrite), "search"));
  context_->queue().copy(slabs_[slab].live, group_begin * sizeof(uint32_t), context_->work(kDecodedLive), 0,
                         (group_end - group_begin) * sizeof(uint32_t));
  return {};
}

Status GpuStore::decode_rows(std::span<const SlabMap::Place> places, const char* what) {
  std::vector<uint32_t> list(places.size());
  for (size_t i = 0; i < places.size(); ++i) list[i] = static_cast<uint32_t>(places[i].row);
  context_->queue().write(context_->work(kGroups), 0, list.data(), list.size() * sizeof(uint32_t));
  NF_TRY(load_basis());
  uint32_t dispatches = 0;
  for (size_t begin = 0, end; begin < places.size(); begin = end) {
    for (end = begin; end < places.size() && places[end].slab == places[begin].slab;) ++end;
    DecodingParams p{};
    p.row_begin = p.to_begin = static_cast<uint32_t>(begin);
    p.row_end = static_cast<uint32_t>(end);
    p.has_list = 1;
    p.has_side = has_side();
    if (++dispatches == context_->limits().dispatches / 2) {
      NF_TRY(context_->queue().submit(0, what));
      dispatches = 0;
    }
    NF_TRY(decode(coded_rows(places[begin].slab), p, rows_of_dispatch(), context_->work(kDecoded),
                  context_->work(has_side() ? kDecodedSide : kUnusedWrite), what));
  }
  return {};
}

int64_t GpuStore::transferred_rows() const {
  const uint64_t room = std::min(context_->free_workspace() / 4, context_->binding_limit());
  return static_cast<int64_t>(std::clamp<uint64_t>(room / kTargetBytes, 1, kTransferRows));
}

void GpuStore::add_transfer_sizes(int64_t rows, WorkSizes* sizes) const {
  uint64_t& moves = (*sizes)[kMoves];
  moves = std::max(moves, static_cast<uint64_t>(rows) * kTargetBytes);
}

Status GpuStore::transfer(std::vector<Step>* steps, const GpuStore* source, int64_t fresh_groups,
                          bool is_growth, const char* what) {
  if (steps->empty()) return {};
  struct Run {
    int64_t from_slab, to_slab;
    uint32_t begin, end;
  };
  const auto rank = [](const Step& s) { return std::tuple(s.from_slab, s.to_slab, s.move.to); };
  std::sort(steps->begin(), steps->end(), [&](const Step& a, const Step& b) { return rank(a) < rank(b); });
  // Of a group that grows, where its new rows begin. The first run that comes to it defines all behind, since
  // rows share words; rows that come by a later run, in any order, are not there yet.
  std::map<std::pair<int64_t, uint32_t>, uint32_t> begin_of_group;
  const auto place_of = [](const Step& step) {
    return std::pair(step.move.to / static_cast<uint32_t>(kGroupRows),
                     step.move.to % static_cast<uint32_t>(kGroupRows));
  };
  for (const Step& step : *steps) {
    if (!is_growth) break;
    const auto [group, in_group] = place_of(step);
    uint32_t& begin = begin_of_group.emplace(std::pair(step.to_slab, group), in_group).first->second;
    begin = std::min(begin, in_group);
  }
  std::vector<uint32_t> targets;
  std::vector<Run> runs;
  for (const Step& step : *steps) {
    const auto [group, in_group] = place_of(step);
    const bool is_new =
        runs.empty() || runs.back().from_slab != step.from_slab || runs.back().to_slab != step.to_slab;
    if (is_new) {
      const auto begin = static_cast<uint32_t>(targets.size() / NEARFIELD_TARGET_WORDS);
      runs.push_back({step.from_slab, step.to_slab, begin, begin});
    }
    if (is_new || targets[targets.size() - NEARFIELD_TARGET_WORDS] != group) {
      targets.push_back(group);
      targets.resize(targets.size() + kGroupRows, NEARFIELD_EMPTY);
      ++runs.back().end;
      if (const auto begin = begin_of_group.find({step.to_slab, group}); begin != begin_of_group.end()) {
        std::fill(targets.end() - (kGroupRows - begin->second), targets.end(), step.move.from);
        begin_of_group.erase(begin);
      }
    }
    targets[targets.size() - kGroupRows + in_group] = step.move.from;
  }
  Queue& queue = context_->queue();
  queue.write(context_->work(kMoves), 0, targets.data(), targets.size() * sizeof(uint32_t));
  const bool takes_side = has_side() && !has_rows();  // beside rows they came with these
  uint32_t dispatches = 0;
  for (const Run& run : runs) {
    const bool is_fresh = run.from_slab < 0;
    const CodeLayout to = layout(run.to_slab, *slabs_[run.to_slab].basis);
    TransferParams p{};
    p.list_begin = run.begin;
    p.list_end = run.end;
    p.from_groups = static_cast<uint32_t>(
        is_fresh ? fresh_groups : source->layout(run.from_slab, *source->slabs_[run.from_slab].basis).groups);
    p.to_groups = static_cast<uint32_t>(to.groups);
    p.levels = static_cast<uint32_t>(to.levels());
    p.level_chunks = static_cast<uint32_t>(to.level_dims / kChunkFloats);
    p.planes = static_cast<uint32_t>(to.side_planes());
    p.has_side = takes_side;
    if (++dispatches == context_->limits().dispatches) {
      NF_TRY(queue.submit(0, what));
      dispatches = 1;
    }
    const uint32_t block = context_->limits().lanes / static_cast<uint32_t>(kGroupRows);
    const Buffer& from_side = is_fresh ? context_->work(kStagingSide) : source->slabs_[run.from_slab].side;
    NF_TRY(context_->dispatch(
        kTransfer, {}, p, context_->grid((run.end - run.begin + block - 1) / block),
        {&context_->work(kMoves), is_fresh ? &context_->work(kFresh) : &source->slabs_[run.from_slab].codes,
         &slabs_[run.to_slab].codes, takes_side ? &from_side : &context_->work(kUnused),
         takes_side ? &slabs_[run.to_slab].side : &context_->work(kUnusedWrite)}));
  }
  return queue.submit(0, what);
}

Status GpuStore::keep_codes(const HostRows& from, const std::function<int64_t(int64_t)>& row_of,
                            bool is_growth, const Call* call, const char* what, float* errors) {
  const auto sizes_for = [&](int64_t groups) {
    const auto rows = static_cast<uint64_t>(groups * kGroupRows);
    WorkSizes sizes{};
    add_decoding_sizes(groups, &sizes);
    add_coding_sizes(groups, &sizes);
    sizes[kStaging] = sizes[kReadback] = sizes[kDecoded];
    sizes[kStagingSide] = rows * sizeof(float);
    sizes[kFresh] =
        static_cast<uint64_t>(CodeLayout{options_.metric, options_.dim, basis_->level_dims, groups}.bytes());
    sizes[kMoves] = rows * kTargetBytes;
    return sizes;
  };
  int64_t groups_at_once = std::min(groups_of(from.rows), decoded_groups(kKeptBytes));
  const auto fits = [&](const WorkSizes& sizes) {
    return std::accumulate(sizes.begin(), sizes.end(), uint64_t{0}) <= context_->free_workspace() &&
           std::max(sizes[kMoves], sizes[kFresh]) <= context_->binding_limit();
  };
  while (groups_at_once > 1 && !fits(sizes_for(groups_at_once))) groups_at_once /= 2;
  const WorkSizes sizes = sizes_for(groups_at_once);
  const int64_t most = groups_at_once * kGroupRows;
  const CodeLayout fresh{options_.metric, options_.dim, basis_->level_dims, groups_at_once};
  NF_TRY(context_->reserve(sizes, what));
  Queue& queue = context_->queue();
  const Buffer &staging = context_->work(kStaging), &side = context_->work(kStagingSide),
               &decoded = context_->work(kDecoded), &codes = context_->work(kFresh);
  std::vector<float> tile(static_cast<size_t>(most * padded_dim(options_.dim)));
  std::vector<float> sides(static_cast<size_t>(most)), row(static_cast<size_t>(options_.dim));
  std::vector<uint32_t> groups(static_cast<size_t>(fresh.groups));
  std::iota(groups.begin(), groups.end(), 0u);
  std::vector<Step> steps;
  for (int64_t begin = 0; begin < from.rows; begin += most) {
    if (call != nullptr) {
      NF_TRY(call->poll());
      call->progress(kPhaseCopy, begin, from.rows);
    }
    const int64_t count = std::min(most, from.rows - begin), used = groups_of(count);
    const std::span<const uint32_t> list = std::span(groups).first(static_cast<size_t>(used));
    const uint64_t bytes = static_cast<uint64_t>(used * kGroupRows) * row_bytes();
    const auto row_at = [&](int64_t i) { return from.data + (begin + i) * from.stride; };
    std::fill(tile.begin(), tile.end(), 0.0f);
    for (int64_t i = 0; i < count; ++i) write_row(tile.data(), i, options_.dim, row_at(i));
    std::copy_n(from.side + begin, count, sides.begin());
    queue.write(staging, 0, tile.data(), bytes);
    queue.write(side, 0, sides.data(), static_cast<uint64_t>(used * kGroupRows) * sizeof(float));
    NF_TRY(code_groups({&staging, &side, fresh}, codes, basis_, list, false, call, what));
    NF_TRY(load_basis());
    DecodingParams p{};
    p.row_end = static_cast<uint32_t>(used * kGroupRows);
    NF_TRY(
        decode({&codes, &side, fresh}, p, rows_of_dispatch(), decoded, context_->work(kUnusedWrite), what));
    queue.copy(decoded, 0, context_->work(kReadback), 0, bytes);
    NF_TRY(queue.submit(0, what));
    NF_TRY(queue.read(context_->work(kReadback), bytes, tile.data(), what));
    for (int64_t i = 0; i < count; ++i) {
      read_row(tile.data(), i, options_.dim, row.data());
      const DecodedRow kept =
          decoded_row(options_.metric, options_.dim, row_at(i), from.side[begin + i], row.data());
      sides[static_cast<size_t>(i)] = kept.side;
      errors[begin + i] = kept.error;
    }
    queue.write(side, 0, sides.data(), static_cast<uint64_t>(used * kGroupRows) * sizeof(float));
    // The row is from here on what it decodes to, from which codes differ by roundings alone.
    NF_TRY(code_groups({&decoded, &side, fresh}, codes, basis_, list, true, call, what));
    steps.clear();
    for (int64_t i = 0; i < count; ++i) {
      const SlabMap::Place place = slabs_.place(row_of(begin + i));
      steps.push_back({-1, place.slab, {static_cast<uint32_t>(i), static_cast<uint32_t>(place.row)}});
    }
    NF_TRY(transfer(&steps, nullptr, fresh.groups, is_growth, what));
  }
  return {};
}

Status GpuStore::copy_codes(const GpuStore& from, std::span<const int64_t> rows, const Call& call,
                            const char* what) {
  if (basis_ != from.basis_)
    return error(NF_INTERNAL, "%s: codes without rows cannot change their basis", what);
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t most = std::min(transferred_rows(), count);
  WorkSizes sizes{};
  add_transfer_sizes(most, &sizes);
  NF_TRY(context_->reserve(sizes, what));
  std::vector<Step> steps;
  for (int64_t begin = 0; begin < count; begin += most) {
    NF_TRY(call.poll());
    steps.clear();
    add_copies(from, rows, begin, std::min(begin + most, count), &steps);
    if (steps.empty()) continue;
    NF_TRY(transfer(&steps, &from, 0, true, what));
  }
  return {};
}

Status GpuStore::read_codes(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) {
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t most = kGroupRows * std::min(groups_of(count), decoded_groups(kKeptBytes));
  WorkSizes sizes{};
  add_decoding_sizes(most / kGroupRows, &sizes);
  sizes[kReadback] = sizes[kDecoded];
  sizes[kGroups] = static_cast<uint64_t>(most) * sizeof(uint32_t);
  NF_TRY(context_->reserve(sizes, "read"));
  // `out` is filled at the end only: a call that fails leaves it untouched.
  std::vector<float> plain(static_cast<size_t>(count * options_.dim)), tile(sizes[kReadback] / sizeof(float));
  std::vector<int64_t> order;
  std::vector<SlabMap::Place> places;
  for (int64_t begin = 0; begin < count; begin += most) {
    NF_TRY(call.poll());
    const int64_t piece = std::min(most, count - begin);
    order.resize(static_cast<size_t>(piece));
    std::iota(order.begin(), order.end(), begin);
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return rows[static_cast<size_t>(a)] < rows[static_cast<size_t>(b)];
    });
    places.clear();
    for (const int64_t i : order) places.push_back(slabs_.place(rows[static_cast<size_t>(i)]));
    NF_TRY(decode_rows(places, "read"));
    const uint64_t bytes = static_cast<uint64_t>(groups_of(piece) * kGroupRows) * row_bytes();
    context_->queue().copy(context_->work(kDecoded), 0, context_->work(kReadback), 0, bytes);
    NF_TRY(context_->queue().submit(0, "read"));
    NF_TRY(context_->queue().read(context_->work(kReadback), bytes, tile.data(), "read"));
    for (int64_t i = 0; i < piece; ++i)
      read_row(tile.data(), i, options_.dim, plain.data() + order[static_cast<size_t>(i)] * options_.dim);
  }
  for (int64_t i = 0; i < count; ++i)
    std::copy_n(plain.data() + i * options_.dim, options_.dim, out + i * stride);
  return {};
}

}  // namespace nearfield::gpu
