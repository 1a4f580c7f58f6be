// SPDX-License-Identifier: Apache-2.0
// Exact search of a few queries of codes alone. As coded.cpp: a sample gives the first limits and `levels`
// leaves out what its bounds prove to be beyond them. What is left comes to the host after each window: only
// those rows are decoded, and scored in the canonical form. A window whose candidates find no room is scanned
// again in halves.
#include <algorithm>
#include <bit>

#include "coded.hpp"

namespace nearfield::gpu {
namespace {

// Candidates of a query in a window. Tests have small stores: their windows grow, and candidates find no
// room.
uint32_t capacity_for(const Scan& scan) {
  const auto k = static_cast<uint64_t>(scan.plan().k);
  return std::bit_ceil(static_cast<uint32_t>(forces_codes(scan.context().path())
                                                 ? std::max<uint64_t>(2 * k, 64)
                                                 : std::clamp<uint64_t>(64 * k, 2048, 16 * 1024)));
}

class Pass {
 public:
  Pass(Scan* scan, int64_t first) : scan_(*scan), codes_(*scan), first_(first) {}

  // As many queries as the workspace has room for, at most `most`. Returns 0: there is none.
  int64_t take(int64_t most) {
    count_ = most;
    capacity_ = capacity_for(scan_);
    while (count_ > 1 && !scan_.fits(sizes())) count_ = (count_ + 1) / 2;
    while (capacity_ > kGroupRows && !scan_.fits(sizes())) capacity_ /= 2;
    return scan_.fits(sizes()) ? count_ : 0;
  }

  Status run(Hit* hits, int32_t* rescored, ScanCount* scanned);

 private:
  uint64_t candidate_bytes() const { return static_cast<uint64_t>(count_) * capacity_ * sizeof(uint32_t); }
  uint64_t count_bytes() const { return static_cast<uint64_t>(2 * count_ + 1) * sizeof(uint32_t); }
  uint64_t limit_bytes() const { return static_cast<uint64_t>(count_) * sizeof(uint32_t); }
  FlatShape shape() const { return scan_.context().flat_shape(count_, scan_.plan().k); }
  uint32_t query_block() const { return std::max(levels_block(count_), shape().query_block); }
  WorkSizes sizes() const;
  // All that the kernels want, for scoring may take the workspace.
  Status send();
  // The candidates of the window, which are in `back_`, to the best and the limits.
  Status score_window(int32_t* rescored);

  Scan& scan_;
  QueryCodes codes_;
  int64_t first_, count_ = 0;
  uint32_t capacity_ = 0;
  std::vector<uint32_t> limits_;        // keys
  std::vector<std::vector<Hit>> best_;  // per query, sorted
  std::vector<uint8_t> back_;
};

WorkSizes Pass::sizes() const {
  WorkSizes sizes{};
  scan_.add_sizes(first_, count_, query_block(), &sizes);
  const auto n = static_cast<uint64_t>(count_), k = static_cast<uint64_t>(scan_.plan().k);
  sizes[kCoded] = codes_.bytes(count_);
  sizes[kParts] = std::max(candidate_bytes(), sample_parts(n, scan_.plan().k) * n * k * sizeof(Entry));
  sizes[kCounts] = count_bytes();
  sizes[kLimits] = limit_bytes();
  sizes[kBest] = n * k * sizeof(Entry);
  sizes[kReadback] = candidate_bytes() + count_bytes() + limit_bytes();
  return sizes;
}

Status Pass::send() {
  Context& context = scan_.context();
  NF_TRY(context.reserve(sizes(), "search"));
  NF_TRY(scan_.load(first_, count_, query_block(), shape().workgroups,
                    static_cast<uint32_t>(codes_.most_levels()) + kLevelsLoops));
  codes_.send();
  context.queue().write(context.work(kLimits), 0, limits_.data(), limit_bytes());
  return {};
}

Status Pass::score_window(int32_t* rescored) {
  const SearchPlan& plan = scan_.plan();
  const auto* candidates = reinterpret_cast<const uint32_t*>(back_.data());
  const auto* counts = reinterpret_cast<const uint32_t*>(back_.data() + candidate_bytes());
  const uint32_t* limits = counts + 2 * count_ + 1;
  std::vector<int64_t> offsets{0}, rows;
  for (int64_t q = 0; q < count_; ++q) {
    const uint32_t* from = candidates + q * capacity_;
    rows.insert(rows.end(), from, from + counts[q]);
    offsets.push_back(static_cast<int64_t>(rows.size()));
    rescored[first_ + q] += static_cast<int32_t>(counts[q]);
  }
  std::vector<float> ranks(rows.size());
  ScorePlan score;
  score.queries = plan.queries + first_ * plan.query_stride;
  score.query_stride = plan.query_stride;
  score.batch = count_;
  score.offsets = offsets.data();
  score.rows = rows.data();
  score.ranks = ranks.data();
  NF_TRY(scan_.store().score(score, scan_.call()));
  const auto k = static_cast<size_t>(plan.k);
  for (int64_t q = 0; q < count_; ++q) {
    std::vector<Hit>& best = best_[static_cast<size_t>(q)];
    for (int64_t i = offsets[static_cast<size_t>(q)]; i < offsets[static_cast<size_t>(q) + 1]; ++i)
      best.push_back({rows[static_cast<size_t>(i)], ranks[static_cast<size_t>(i)], 0});
    std::sort(best.begin(), best.end(), better);
    if (best.size() > k) best.resize(k);
    uint32_t& limit = limits_[static_cast<size_t>(q)];
    limit = std::min(limit, limits[q]);  // the sample's
    if (best.size() == k) limit = std::min(limit, key_of_rank(best.back().rank));
  }
  return {};
}

Status Pass::run(Hit* hits, int32_t* rescored, ScanCount* scanned) {
  Context& context = scan_.context();
  Queue& queue = context.queue();
  const int32_t k = scan_.plan().k;
  const auto n = static_cast<size_t>(count_);
  const uint32_t block = levels_block(count_), workgroups = shape().workgroups;
  limits_.assign(n, kEmpty);
  best_.assign(n, {});
  codes_.code(first_, count_, false);
  NF_TRY(send());
  int64_t seen = 0;
  NF_TRY(seed_limits(&scan_, shape(), count_, coded_sample_rows(scan_),
                     sample_parts(static_cast<uint64_t>(count_), k), &seen));
  const std::vector<uint32_t> zeros(2 * n + 1, 0);
  back_.resize(sizes()[kReadback]);
  std::vector<Scan::Range> ranges;
  const int64_t least_window = capacity_ / kGroupRows;  // groups; so few always have room
  int64_t window = std::max(least_window, coded_window_rows(seen, capacity_, k) / kGroupRows);
  uint32_t levels_seen = 0;
  scan_.rewind();
  while (true) {
    scan_.take_blocks_of(block, workgroups);
    const Scan::Mark mark = scan_.mark();
    queue.write(context.work(kCounts), 0, zeros.data(), count_bytes());
    for (int64_t left = window; left > 0 && !scan_.done();) {
      NF_TRY(scan_.call().poll());
      const double units = scan_.next(kEmpty, left, &ranges, Scan::Reads::kCodes);
      for (const Scan::Range& range : ranges) {
        NF_TRY(codes_.dispatch(range, block, capacity_));
        left -= range.group_end - range.group_begin;
      }
      NF_TRY(queue.submit(units * kCodeUnits, "search"));
    }
    const Buffer& readback = context.work(kReadback);
    queue.copy(context.work(kParts), 0, readback, 0, candidate_bytes());
    queue.copy(context.work(kCounts), 0, readback, candidate_bytes(), count_bytes());
    queue.copy(context.work(kLimits), 0, readback, candidate_bytes() + count_bytes(), limit_bytes());
    NF_TRY(queue.submit(0, "search"));
    NF_TRY(queue.read(readback, back_.size(), back_.data(), "search"));
    const auto* counts = reinterpret_cast<const uint32_t*>(back_.data() + candidate_bytes());
    levels_seen += counts[2 * n];
    const uint32_t fullest = *std::max_element(counts, counts + n);
    if (fullest > capacity_) {
      scan_.go_back(mark);
      window = std::max(least_window, window / 2);
      continue;
    }
    NF_TRY(score_window(rescored));
    if (fullest < capacity_ / 4) window = std::min(2 * window, kMaxRows);
    if (scan_.done()) break;
    const Scan::Mark next = scan_.mark();
    NF_TRY(send());
    scan_.go_back(next);
  }
  for (size_t q = 0; q < n; ++q)
    std::copy(best_[q].begin(), best_[q].end(),
              hits + (first_ + static_cast<int64_t>(q)) * static_cast<int64_t>(k));
  scanned->read += codes_.read(levels_seen);
  scanned->whole += codes_.whole();
  return {};
}

}  // namespace

// Decoding an axis of a row takes a thirtieth of reading the row (four multiply-adds, and 16 bytes), and four
// queries of `levels` read a quarter of it: estimates for a large GPU, not measured.
bool alone_pays(const Scan& scan) {
  const int64_t work = 1 + scan.decoding_axes() / 32;
  const uint64_t bytes = static_cast<uint64_t>(scan.rows()) * scan.row_bytes();
  return scan.plan().batch <= 2 * kPassQueries * work &&
         bytes * static_cast<uint64_t>(work) >= scan.context().limits().least_coded_bytes &&
         scan.rows() >= 4 * coded_sample_rows(scan);
}

bool alone_fits(const Scan& scan) {
  Scan copy = scan;
  return Pass(&copy, 0).take(1) != 0;
}

Status alone_search(Scan* scan, Hit* hits, int32_t* rescored, ScanCount* scanned) {
  for (int64_t first = 0, count; first < scan->plan().batch; first += count) {
    Pass pass(scan, first);
    count = std::max<int64_t>(1, pass.take(std::min(scan->plan().batch - first, kPassQueries)));
    NF_TRY(pass.run(hits, rescored, scanned));
  }
  return {};
}

}  // namespace nearfield::gpu
