// SPDX-License-Identifier: Apache-2.0
#include "scan.hpp"

#include <algorithm>
#include <bit>
#include <map>

namespace nearfield::gpu {
namespace {

// Places of a sample at least, even where fewer parts fill the device.
constexpr uint32_t kLeastSampleParts = 32;
// Of a range of rows that are decoded.
constexpr uint32_t kDecodedDispatches = 2;

}  // namespace

void Scan::add_sizes(int64_t first, int64_t count, uint32_t query_block, WorkSizes* sizes) const {
  (*sizes)[kQueries] = static_cast<uint64_t>(round_up(count, query_block)) * row_bytes();
  if (!store_.has_rows()) store_.add_decoding_sizes(store_.window_groups(), sizes);
  std::map<const uint32_t*, bool> distinct;
  for (int64_t q = first; q < first + count; ++q)
    if (mask(q) != nullptr) distinct[mask(q)] = true;
  if (!distinct.empty())
    (*sizes)[kMasks] =
        (static_cast<uint64_t>(count) + distinct.size() * static_cast<uint64_t>(groups_of(store_.rows_))) *
        sizeof(uint32_t);
}

bool Scan::fits(const WorkSizes& sizes) const {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < kWorkCount; ++i) {
    sum += sizes[i];
    if (i != kReadback && sizes[i] > context().binding_limit()) return false;
  }
  return sum <= context().free_workspace();
}

int64_t Scan::queries_per_dispatch() const {
  const double per_query = static_cast<double>(context().limits().tile_rows) * store_.chunks();
  return std::max<int64_t>(1, static_cast<int64_t>(context().units_per_dispatch() / per_query));
}

uint32_t Scan::most_part_groups(uint32_t tile_loops) const {
  // A store's groups bound it, so that products with a number of parts fit 64 bits.
  const uint64_t part_tiles = std::max(1u, context().limits().loops / (store_.chunks() + tile_loops));
  return static_cast<uint32_t>(std::min(part_tiles * tile_groups(),
                                        static_cast<uint64_t>(round_up(groups_of(kMaxRows), tile_groups()))));
}

Status Scan::load(int64_t first, int64_t count, uint32_t query_block, uint32_t workgroups,
                  uint32_t tile_loops) {
  Queue& queue = context().queue();
  count_ = count;
  query_block_ = query_block;
  workgroups_ = workgroups;
  most_part_groups_ = most_part_groups(tile_loops);
  const int64_t width = padded_dim(store_.options_.dim);
  const float* from = plan_.queries + first * plan_.query_stride;
  if (plan_.query_stride == width) {
    queue.write(context().work(kQueries), 0, from, static_cast<uint64_t>(count) * row_bytes());
  } else {
    for (int64_t q = 0; q < count; ++q)
      queue.write(context().work(kQueries), static_cast<uint64_t>(q) * row_bytes(),
                  from + q * plan_.query_stride, row_bytes());
  }
  // The rest of the last block: no answer depends on it, but it is read.
  if (const int64_t rest = round_up(count, query_block) - count; rest != 0) {
    const std::vector<float> zeros(static_cast<size_t>(rest * width), 0.0f);
    queue.write(context().work(kQueries), static_cast<uint64_t>(count) * row_bytes(), zeros.data(),
                zeros.size() * sizeof(float));
  }
  const auto words = static_cast<size_t>(groups_of(store_.rows_));
  std::map<const uint32_t*, uint32_t> offset_of;
  std::vector<uint32_t> table(static_cast<size_t>(count), kEmpty);
  for (int64_t q = 0; q < count; ++q) {
    const uint32_t* bits = mask(first + q);
    if (bits == nullptr) continue;
    const auto next = static_cast<uint32_t>(static_cast<size_t>(count) + offset_of.size() * words);
    const auto [found, added] = offset_of.emplace(bits, next);
    if (added) queue.write(context().work(kMasks), next * sizeof(uint32_t), bits, words * sizeof(uint32_t));
    table[static_cast<size_t>(q)] = found->second;
  }
  has_masks_ = !offset_of.empty();
  if (has_masks_) queue.write(context().work(kMasks), 0, table.data(), table.size() * sizeof(uint32_t));
  rewind();
  return store_.has_rows() ? Status() : store_.load_basis();
}

Status Scan::tile_queries(int64_t queries) const {
  std::vector<Move> moves(static_cast<size_t>(queries));
  for (size_t i = 0; i < moves.size(); ++i) moves[i] = {static_cast<uint32_t>(i), static_cast<uint32_t>(i)};
  context().queue().write(context().work(kMoves), 0, moves.data(), moves.size() * sizeof(Move));
  MoveParams m{};
  m.chunks = chunks();
  m.count = static_cast<uint32_t>(moves.size());
  m.to_tile = 1;
  const uint64_t lanes = context().limits().lanes;
  return context().dispatch(
      kMove, {}, m, context().grid((uint64_t{m.count} * m.chunks + lanes - 1) / lanes),
      {&context().work(kMoves), &context().work(kQueries), &context().work(kTileQueries),
       &context().work(kUnused), &context().work(kUnusedWrite)});
}

uint32_t Scan::groups_in(size_t slab) const {
  const SlabMap::Slab& s = store_.slabs_.map().slabs()[slab];
  return static_cast<uint32_t>(groups_of(std::clamp<int64_t>(store_.rows_ - s.first, 0, s.capacity)));
}

double Scan::next(uint32_t max_parts, int64_t max_groups, std::vector<Range>* ranges, Reads reads) {
  const uint32_t blocks = query_blocks();
  const double per_group = 32.0 * (static_cast<double>(blocks) * query_block_ * store_.chunks() +
                                   (decodes(reads) ? store_.decoding_units() : 0));
  const Limits& limits = context().limits();
  const double budget = context().units_per_dispatch();
  const int64_t most_groups = decodes(reads) ? store_.window_groups() : kMaxRows;
  const size_t range_dispatches = decodes(reads) ? kDecodedDispatches : 1;
  double units = 0;
  uint32_t parts = 0;
  ranges->clear();
  // The merge takes one dispatch more.
  while (!done() && parts < max_parts && max_groups > 0 &&
         (ranges->size() + 1) * range_dispatches + 1 < limits.dispatches) {
    const double left = budget - units;
    if (!ranges->empty() && left < tile_groups() * per_group) break;
    const auto affordable = static_cast<int64_t>(std::max(left / per_group, 1.0));
    int64_t groups = std::min<int64_t>(groups_in(slab_) - group_, round_up(affordable, tile_groups()));
    groups = std::min({groups, max_groups, most_groups, int64_t{most_part_groups_} * (max_parts - parts)});
    const auto worth = static_cast<uint32_t>(
        std::clamp(static_cast<double>(groups) * per_group / limits.least_part_units, 1.0, 1e6));
    const auto tiles = static_cast<uint32_t>((groups + tile_groups() - 1) / tile_groups());
    uint32_t wanted = std::min({std::max(1u, workgroups_ / blocks), worth, tiles});
    // The rest of a submission's parts would not fill the device: the slab waits for the next one.
    if (!ranges->empty() && wanted > max_parts - parts) break;
    wanted = std::min(wanted, max_parts - parts);
    Range range{slab_, group_, group_ + static_cast<uint32_t>(groups), 0, 0};
    range.groups_per_part =
        static_cast<uint32_t>(round_up((groups + wanted - 1) / wanted, int64_t{tile_groups()}));
    range.groups_per_part = std::min(range.groups_per_part, most_part_groups_);
    range.parts = static_cast<uint32_t>((groups + range.groups_per_part - 1) / range.groups_per_part);
    ranges->push_back(range);
    parts += range.parts;
    units += static_cast<double>(groups) * per_group;
    max_groups -= groups;
    group_ = range.group_end;
    if (group_ == groups_in(slab_)) ++slab_, group_ = 0;
  }
  // Decoding that takes several submissions is not measured.
  return decodes(reads) && !store_.holds_basis() ? 0 : units;
}

Grid Scan::grid(const Range& range) const { return context().grid(uint64_t{range.parts} * query_blocks()); }

Status Scan::rows_of(const Range& range, Rows* out) const {
  const Buffer& unused = context().work(kUnused);
  const bool has_side = store_.has_side();
  if (store_.has_rows()) {
    const SlabBuffers& rows = slab(range);
    *out = {&rows.vectors,  has_side ? &rows.side : &unused, &rows.live, first_row(range), range.group_begin,
            range.group_end};
    return {};
  }
  *out = {&context().work(kDecoded),
          has_side ? &context().work(kDecodedSide) : &unused,
          &context().work(kDecodedLive),
          first_row(range) + range.group_begin * static_cast<uint32_t>(kGroupRows),
          0,
          range.group_end - range.group_begin};
  return store_.decode_window(static_cast<int64_t>(range.slab), range.group_begin, range.group_end);
}

ScanParams Scan::params(const Range& range, const Rows& rows) const {
  ScanParams p{};
  p.chunks = store_.chunks();
  p.first_row = rows.first_row;
  p.group_begin = rows.group_begin;
  p.group_end = rows.group_end;
  p.groups_per_part = p.part_groups = range.groups_per_part;
  p.query_blocks = query_blocks();
  p.batch = static_cast<uint32_t>(count_);
  p.workgroups = range.parts * p.query_blocks;
  p.has_masks = has_masks_;
  p.zero = 0;
  return p;
}

int64_t Scan::sample(uint32_t max_parts, int64_t rows, std::vector<Range>* ranges,
                     uint32_t* part_groups) const {
  int64_t groups = 0;
  for (size_t i = 0; i < slab_count(); ++i) groups += groups_in(i);
  const int64_t wanted = groups_of(rows), tile = tile_groups();
  int64_t most = std::min<int64_t>(
      {max_parts, wanted / tile, std::max(kLeastSampleParts, workgroups_ / query_blocks())});
  // Parts that are decoded are ranges of their own.
  if (!store_.has_rows())
    most = std::min<int64_t>(most, (context().limits().dispatches - 2) / kDecodedDispatches);
  ranges->clear();
  // All slabs in one submission, and the merge.
  if (most < static_cast<int64_t>(slab_count()) || slab_count() + 2 > context().limits().dispatches) return 0;
  const int64_t most_groups = decodes(Reads::kRows) ? store_.window_groups() : kMaxRows;
  // As many parts of every slab as its share of the rows; of each part the first groups.
  const int64_t apart = round_up((groups + most - 1) / most, tile);
  *part_groups = static_cast<uint32_t>(
      std::min<int64_t>({apart, round_up(apart * wanted / groups, tile), most_part_groups_, most_groups}));
  int64_t sampled = 0, parts = 0;
  for (size_t i = 0; i < slab_count() && groups_in(i) != 0; ++i) {
    if (!store_.has_rows()) {
      for (int64_t begin = 0; begin < groups_in(i); begin += apart, ++parts) {
        const auto from = static_cast<uint32_t>(begin), end = std::min(from + *part_groups, groups_in(i));
        ranges->push_back({i, from, end, *part_groups, 1});
        sampled += end - from;
      }
      continue;
    }
    Range range{i, 0, groups_in(i), static_cast<uint32_t>(apart), 0};
    range.parts = static_cast<uint32_t>((range.group_end + apart - 1) / apart);
    parts += range.parts;
    sampled += std::min<int64_t>(range.group_end, int64_t{range.parts} * *part_groups);
    ranges->push_back(range);
  }
  // Small slabs have a part each, too.
  return parts <= max_parts ? sampled * kGroupRows : 0;
}

int64_t Scan::candidates(int64_t query) {
  const uint32_t* bits = mask(query);
  const auto [known, is_new] = candidates_of_.emplace(bits, 0);
  int64_t& count = known->second;
  if (!is_new) return count;
  for (size_t i = 0; i < store_.live_.size(); ++i)
    count += std::popcount(bits != nullptr ? store_.live_[i] & bits[i] : store_.live_[i]);
  return count;
}

}  // namespace nearfield::gpu
