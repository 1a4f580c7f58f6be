// SPDX-License-Identifier: Apache-2.0
// Exact search of many queries by certified products of matrix units. A sample's upper bounds give the first
// limits; windows of rows leave candidates with bounds of their ranks, whose k-th upper bound tightens the
// limits and drops candidates (prune). What is left at the end, hardly more than k, is ranked in the
// canonical form. A query whose candidates find no room is searched again with the limit that it has by then,
// and by another form if that is not enough. What is multiplied is the form's: product_form.hpp.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "coded.hpp"
#include "metric.hpp"
#include "product_form.hpp"
#include "subset.hpp"

namespace nearfield::gpu {
namespace {

constexpr uint32_t kPlanes = 3;  // of a candidate: row, lower bound, upper bound
// Of a sample: a sixty-fourth of the rows, or so many; parts of a tile for each of the k, whose least bounds
// are then hardly larger than those of the rows.
constexpr int64_t kShare = 64;
constexpr int64_t kPartsPerHit = 4;
// Tiles that a workgroup takes one after the other, the copies of the next one under way.
constexpr uint32_t kTilesPerWorkgroup = 8;
// The same of one that has its multiprocessor for itself: nothing hides what it waits for before its first
// product, some 3 us, more than a tile takes (2.4 us at 128 dimensions; estimates).
constexpr uint32_t kTilesByWarpgroups = 32;
// Loop iterations of a tile beside those of its chunks: 32 pairs of a lane and what copies them (WGSL).
constexpr uint32_t kTileLoops = 64;

// Candidates that a query has room for. Tests, which force the path, have small stores and less room, so that
// windows grow and candidates find none.
uint32_t capacity_for(int32_t k, bool forced) {
  return std::bit_ceil(
      static_cast<uint32_t>(forced ? std::max(4 * k, 64) : std::clamp(64 * k, 1024, 16 * 1024)));
}

class Pass {
 public:
  // `room`: times the usual one for candidates.
  Pass(ProductForm* form, uint32_t room)
      : form_(*form), scan_(form->scan()), shape_(form->shape()), room_(room) {}

  // As many queries from `first` on as the workspace has room for, at least one.
  int64_t take(int64_t first, int64_t most);
  bool fits();  // whether it has room for any one
  // Answers them. `limits`: per query of the plan a key that k rows do not exceed, tightened; `are_known`: by
  // a scan of all rows. Appends queries whose candidates found no room.
  Status run(Scan* scan, bool are_known, uint32_t* limits, Hit* hits, int32_t* rescored,
             std::vector<int64_t>* cut_short);
  uint64_t read() const { return read_; }

 private:
  Context& context() const { return scan_.context(); }
  int64_t padded() const { return round_up(round_up(count_, shape_.query_tile), kGroupRows); }
  WorkSizes sizes() const;
  Status send(const uint32_t* limits);
  Status sample(int64_t* seen);
  Status make_room();
  CodedProductParams params(size_t slab) const;
  uint32_t tiles_per_workgroup(const CodedProductParams& p) const;
  Status dispatch(size_t slab, CodedProductParams p);
  int64_t window_rows(int64_t seen) const;
  Status prune(uint32_t parts);
  Status submit(double units);  // 0: not to be measured
  Status rescore();

  ProductForm& form_;
  const Scan& scan_;
  const CodedProductShape shape_;
  const uint32_t room_;
  int64_t first_ = 0, count_ = 0;
  uint32_t capacity_ = 0;
  uint64_t read_ = 0;
  uint32_t gathered_ = 0;     // dispatches of this submission
  bool is_in_parts_ = false;  // what is measured began in another submission
};

WorkSizes Pass::sizes() const {
  WorkSizes sizes{};
  scan_.add_sizes(first_, count_, static_cast<uint32_t>(padded()), &sizes);
  const auto n = static_cast<uint64_t>(count_), k = static_cast<uint64_t>(scan_.plan().k);
  const auto whole = static_cast<uint64_t>(padded());
  form_.add_sizes(padded() / kGroupRows, &sizes);
  sizes[kTileQueries] = whole * scan_.row_bytes();
  sizes[kMoves] = whole * sizeof(Move);
  sizes[kBounds] = n * sizeof(ProductQuery);
  sizes[kParts] = n * kPlanes * capacity_ * sizeof(uint32_t);
  sizes[kCounts] = 2 * n * sizeof(uint32_t);
  sizes[kLimits] = n * sizeof(uint32_t);
  sizes[kBest] = n * k * sizeof(Entry);
  sizes[kReadback] = sizes[kBest] + 2 * n * sizeof(uint32_t);
  return sizes;
}

int64_t Pass::take(int64_t first, int64_t most) {
  first_ = first;
  count_ = std::min(most, round_up(scan_.queries_per_dispatch(), shape_.query_tile));
  capacity_ = std::min(room_ * capacity_for(scan_.plan().k, forces_products(context().path())),
                       std::bit_floor(most_candidates(scan_, shape_.list_capacity)));
  while (count_ > 1 && !scan_.fits(sizes())) count_ = (count_ + 1) / 2;
  while (capacity_ > kGroupRows && !scan_.fits(sizes())) capacity_ /= 2;
  return count_;
}

bool Pass::fits() {
  int64_t masked = 0;  // a mask may be what has no room
  while (masked < scan_.plan().batch && scan_.mask(masked) == nullptr) ++masked;
  for (const int64_t query : {int64_t{0}, masked}) {
    if (query == scan_.plan().batch) continue;
    take(query, 1);
    // Too few candidates for a limit would be two scans for nothing.
    if (!scan_.fits(sizes()) || int64_t{capacity_} < 2 * int64_t{scan_.plan().k}) return false;
  }
  return true;
}

// Of the next window, after `seen` rows: with limits from them r rows leave about k r / seen within the
// limit, negative binomially distributed.
int64_t Pass::window_rows(int64_t seen) const {
  return seen * static_cast<int64_t>(capacity_) / (form_.kept_times() * (4 * int64_t{scan_.plan().k} + 12));
}

Status Pass::send(const uint32_t* limits) {
  Queue& queue = context().queue();
  const auto n = static_cast<size_t>(count_);
  const std::vector<uint32_t> zeros(2 * n, 0);
  queue.write(context().work(kLimits), 0, limits + first_, n * sizeof(uint32_t));
  queue.write(context().work(kCounts), 0, zeros.data(), zeros.size() * sizeof(uint32_t));
  NF_TRY(scan_.tile_queries(padded()));
  form_.take(first_, count_, padded() / kGroupRows);
  return submit(0);
}

// Of one submission, for one dispatch more.
Status Pass::make_room() {
  if (++gathered_ < context().limits().dispatches) return {};
  is_in_parts_ = true;
  gathered_ = 1;
  return context().queue().submit(0, "search");
}

Status Pass::submit(double units) {
  gathered_ = 0;
  return context().queue().submit(std::exchange(is_in_parts_, false) ? 0 : units, "search");
}

CodedProductParams Pass::params(size_t slab) const {
  CodedProductParams p = form_.params(slab);
  p.first_row = scan_.first_row_of(slab);
  p.groups = scan_.slab_groups_of(slab);
  p.query_groups = static_cast<uint32_t>(padded() / kGroupRows);
  p.batch = static_cast<uint32_t>(count_);
  p.query_tiles = (p.batch + shape_.query_tile - 1) / shape_.query_tile;
  p.has_masks = scan_.has_masks();
  p.capacity = capacity_;
  p.apart = shape_.row_tile / static_cast<uint32_t>(kGroupRows);
  return p;
}

// Not so many that the device is left half empty.
uint32_t Pass::tiles_per_workgroup(const CodedProductParams& p) const {
  const Limits& limits = context().limits();
  const uint32_t workgroups = shape_.workgroups != 0 ? shape_.workgroups : limits.workgroups;
  const uint32_t most = shape_.by_warpgroups ? kTilesByWarpgroups : kTilesPerWorkgroup;
  return std::clamp(p.tiles * p.query_tiles / workgroups, 1u,
                    std::clamp(limits.loops / (scan_.chunks() + kTileLoops), 1u, most));
}

Status Pass::dispatch(size_t slab, CodedProductParams p) {
  const uint32_t shares = (p.tiles + p.tiles_per_workgroup - 1) / p.tiles_per_workgroup;
  p.workgroups = shares * p.query_tiles;
  NF_TRY(make_room());
  return form_.dispatch(slab, p);
}

Status Pass::prune(uint32_t parts) {
  PruneParams p{};
  p.batch = p.workgroups = static_cast<uint32_t>(count_);
  p.k = static_cast<uint32_t>(scan_.plan().k);
  p.capacity = capacity_;
  p.parts = parts;
  NF_TRY(make_room());
  return context().dispatch(kPrune, {}, p, context().grid(p.workgroups),
                            {&context().work(kCounts), &context().work(kParts), &context().work(kLimits)});
}

// Tiles of every slab as its share of the rows, evenly apart.
Status Pass::sample(int64_t* seen) {
  *seen = 0;
  const int64_t k = scan_.plan().k, tile = shape_.row_tile, rows = scan_.rows();
  const bool is_small = forces_products(context().path());
  const int64_t least = is_small ? tile : kLeastSampleRows, per_hit = is_small ? 1 : kPartsPerHit;
  // Bounds have the room of the candidates; a slab may have one tile beyond its share.
  const int64_t most =
      int64_t{kPlanes} * capacity_ / shape_.parts - static_cast<int64_t>(scan_.slabs().size());
  const int64_t wanted =
      std::min(std::max({least, rows / kShare, per_hit * k * tile / shape_.parts}), most * tile);
  if (wanted <= 0 || wanted * kLeastSampleTimes > rows) return {};
  struct Share {
    uint32_t tiles, apart;
  };
  std::vector<Share> shares(scan_.slabs().size());
  uint32_t tiles = 0;
  const auto tile_groups = static_cast<uint32_t>(tile / kGroupRows);
  for (size_t slab = 0; slab < shares.size(); ++slab) {
    const uint32_t all = (scan_.groups_in(slab) + tile_groups - 1) / tile_groups;
    if (all == 0) continue;
    // Not fewer parts than k.
    const auto some = static_cast<uint32_t>((int64_t{all} * wanted + rows - 1) / rows);
    shares[slab] = {some, all / some * tile_groups};
    tiles += some;
  }
  const uint32_t parts = tiles * shape_.parts;
  if (parts > kPlanes * capacity_) return {};
  const double tile_units =
      static_cast<double>(tile) * static_cast<double>(count_) * scan_.chunks() * form_.row_units();
  const auto at_once =
      static_cast<uint32_t>(std::clamp(context().units_per_dispatch() / tile_units, 1.0, 1e6));
  uint32_t base = 0;
  for (size_t slab = 0; slab < shares.size(); ++slab) {
    if (shares[slab].tiles == 0) continue;
    NF_TRY(form_.prepare(slab));
    CodedProductParams p = params(slab);
    p.group_end = scan_.groups_in(slab);
    p.apart = shares[slab].apart;
    p.is_sample = 1;
    p.part_stride = parts;
    for (uint32_t begin = 0; begin < shares[slab].tiles; begin += p.tiles) {
      NF_TRY(scan_.call().poll());
      p.group_begin = begin * p.apart;
      p.tiles = std::min(at_once, shares[slab].tiles - begin);
      p.tiles_per_workgroup = shape_.by_warpgroups ? tiles_per_workgroup(p) : 1;
      p.part_base = base;
      base += p.tiles * shape_.parts;
      NF_TRY(dispatch(slab, p));
      NF_TRY(submit(tile_units * p.tiles));
    }
  }
  *seen = int64_t{tiles} * tile;
  NF_TRY(prune(parts));
  return submit(0);
}

Status Pass::rescore() {
  MatrixParams p{};
  p.chunks = scan_.chunks();
  p.batch = p.workgroups = static_cast<uint32_t>(count_);
  p.k = static_cast<uint32_t>(scan_.plan().k);
  p.capacity = capacity_;
  p.first = 1;
  size_t last = 0;
  for (size_t slab = 0; slab < scan_.slabs().size(); ++slab)
    if (scan_.groups_in(slab) != 0) last = slab;
  for (size_t slab = 0; slab <= last; ++slab) {
    if (scan_.groups_in(slab) == 0) continue;
    const SlabBuffers& buffers = scan_.slabs()[slab];
    p.first_row = scan_.first_row_of(slab);
    p.slab_rows = scan_.groups_in(slab) * static_cast<uint32_t>(kGroupRows);
    p.goes_on = slab != last;
    NF_TRY(make_room());
    NF_TRY(context().dispatch(kRescore, {scan_.metric(), 1, shape_.list_capacity}, p,
                              context().grid(p.workgroups),
                              {&buffers.vectors, scan_.has_side() ? &buffers.side : &context().work(kUnused),
                               &context().work(kQueries), &context().work(kParts), &context().work(kCounts),
                               &context().work(kBest), &context().work(kLimits)}));
    p.first = 0;
  }
  return {};
}

Status Pass::run(Scan* scan, bool are_known, uint32_t* limits, Hit* hits, int32_t* rescored,
                 std::vector<int64_t>* cut_short) {
  Queue& queue = context().queue();
  const SearchPlan& plan = scan_.plan();
  const WorkSizes wanted = sizes();
  NF_TRY(context().reserve(wanted, "search"));
  NF_TRY(scan->load(first_, count_, static_cast<uint32_t>(padded()), 1, 0));
  NF_TRY(send(limits));
  int64_t seen = 0;
  if (!are_known) NF_TRY(sample(&seen));
  scan->take_blocks_of(shape_.query_tile, 1);
  // Known limits leave the k best and what the bounds cannot tell from them.
  int64_t window = are_known ? scan_.rows() : std::max<int64_t>(capacity_, window_rows(seen));
  int64_t scanned = 0;
  std::vector<Scan::Range> ranges;
  while (!scan->done()) {
    NF_TRY(scan_.call().poll());
    const double units =
        scan->next(kEmpty, std::max<int64_t>(1, window / kGroupRows), &ranges, form_.reads());
    for (const Scan::Range& range : ranges) {
      NF_TRY(form_.prepare(range.slab));
      CodedProductParams p = params(range.slab);
      p.group_begin = range.group_begin;
      p.group_end = range.group_end;
      p.tiles = (range.group_end - range.group_begin + p.apart - 1) / p.apart;
      p.tiles_per_workgroup = tiles_per_workgroup(p);
      NF_TRY(dispatch(range.slab, p));
      const int64_t groups = int64_t{range.group_end} - range.group_begin;
      scanned += groups * kGroupRows;
      read_ += static_cast<uint64_t>(p.query_tiles) *
               static_cast<uint64_t>(groups * form_.group_bytes(range.slab));
    }
    NF_TRY(prune(0));
    window = std::max(window, window_rows(std::max(seen, scanned)));
    NF_TRY(submit(units * form_.row_units()));
  }
  NF_TRY(rescore());
  const auto n = static_cast<size_t>(count_);
  const uint64_t best = wanted[kBest], words = n * sizeof(uint32_t);
  queue.copy(context().work(kBest), 0, context().work(kReadback), 0, best);
  queue.copy(context().work(kCounts), words, context().work(kReadback), best, words);
  queue.copy(context().work(kLimits), 0, context().work(kReadback), best + words, words);
  NF_TRY(queue.submit(0, "search"));
  std::vector<uint8_t> back(best + 2 * words);
  NF_TRY(queue.read(context().work(kReadback), back.size(), back.data(), "search"));
  put_hits({reinterpret_cast<const Entry*>(back.data()), best / sizeof(Entry)}, hits + first_ * plan.k);
  const auto* counted = reinterpret_cast<const uint32_t*>(back.data() + best);
  std::copy_n(counted + n, n, limits + first_);
  for (size_t q = 0; q < n; ++q) {
    const int64_t query = first_ + static_cast<int64_t>(q);
    rescored[query] += static_cast<int32_t>(counted[q] & ~NEARFIELD_CUT_SHORT);
    if ((counted[q] & NEARFIELD_CUT_SHORT) != 0) cut_short->push_back(query);
  }
  return {};
}

}  // namespace

// A query that found no room found real rows, so that its limit holds.
constexpr uint32_t kRoomAgain = 8;

bool forces_products(Path path) {
  return path == Path::kCodedProduct || path == Path::kTf32 || path == Path::kTf32Mma || forces_codes(path);
}

bool product_fits(ProductForm* form) { return Pass(form, 1).fits(); }

void ProductForm::send_terms(
    const std::function<ProductQuery(double norm, const float* query)>& of_dot) const {
  std::vector<ProductQuery> terms(static_cast<size_t>(count_), ProductQuery{});
  const SearchPlan& plan = scan_.plan();
  for (int64_t q = 0; q < count_ && scan_.metric() == NF_DOT; ++q) {
    const float* query = plan.queries + (first_ + q) * plan.query_stride;
    const double norm = std::sqrt(squared_norm(query, scan_.dim())) * (1 + 0x1p-20);
    ProductQuery& to = terms[static_cast<size_t>(q)] = of_dot(norm, query);
    to.norm = std::nextafter(static_cast<float>(norm), std::numeric_limits<float>::infinity());
  }
  context().queue().write(context().work(kBounds), 0, terms.data(), terms.size() * sizeof(ProductQuery));
}

Status product_search(Scan* scan, const MakeForm& make,
                      const std::function<Status(Scan*, Hit*, int32_t*)>& last, Hit* hits, int32_t* rescored,
                      ScanCount* scanned) {
  const SearchPlan& plan = scan->plan();
  std::vector<uint32_t> limits(static_cast<size_t>(plan.batch), kEmpty);
  const auto passes = [&](Scan* some, bool are_known, uint32_t room, uint32_t* limits, Hit* hits,
                          int32_t* rescored, std::vector<int64_t>* cut_short) -> Status {
    const std::unique_ptr<ProductForm> form = make(*some);
    for (int64_t first = 0, count; first < some->plan().batch; first += count) {
      Pass pass(form.get(), room);
      count = pass.take(first, some->plan().batch - first);
      NF_TRY(pass.run(some, are_known, limits, hits, rescored, cut_short));
      scanned->read += pass.read();
      scanned->whole += pass.read();
    }
    return {};
  };
  std::vector<int64_t> cut_short;
  NF_TRY(passes(scan, false, 1, limits.data(), hits, rescored, &cut_short));
  if (cut_short.empty()) return {};
  SearchPlan found = plan;  // its outputs are the caller's
  found.hits = hits;
  found.rescored = rescored;
  return search_subset(found, cut_short, [&](const SearchPlan& again) -> Status {
    std::vector<uint32_t> known;
    for (const int64_t query : cut_short) known.push_back(limits[static_cast<size_t>(query)]);
    std::vector<int64_t> still;
    Scan once_more(scan->store(), again, scan->call());
    NF_TRY(passes(&once_more, true, kRoomAgain, known.data(), again.hits, again.rescored, &still));
    if (still.empty()) return {};
    return search_subset(again, still, [&](const SearchPlan& rest) {
      Scan otherwise(scan->store(), rest, scan->call());
      return last(&otherwise, rest.hits, rest.rescored);
    });
  });
}

}  // namespace nearfield::gpu
