// SPDX-License-Identifier: Apache-2.0
#include "flat.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "metric.hpp"
#include "nearest.hpp"
#include "sample.hpp"
#include "subset.hpp"

namespace nearfield::cpu {

namespace {
// Rows that meet the queries tile by tile: large beside a tile (scan.cpp), so that tiles are seldom changed,
// and far from any L3.
constexpr int64_t kBlockBytes = int64_t{2} << 20;
// Enough blocks per worker that the last one to finish is not waited for long.
constexpr int64_t kBlocksPerWorker = 16;
// Queues up to this size are kept for the next search: 10,000 queries with k = 100 on 2 threads.
constexpr uint64_t kKeptWorkspace = uint64_t{32} << 20;
// From this batch on the direct form waits for arithmetic instead of memory, and the product pays (1M x 128
// on 2 cores: AVX2 28 and 25 ms at 4, 37 and 29 at 7; AVX-512 21 and 23, 26 and 25).
constexpr int64_t kProductBatch = 4;
// A block of a scan by levels: some 50 us of its first level, where a block of kBlockBytes would be a few
// groups of wide rows.
constexpr int64_t kLevelGroups = 128;
}  // namespace

FlatSearch::FlatSearch(SharedState& shared, const CpuStore& store, const SearchPlan& plan, const Call& call,
                       bool may_sample)
    : state_(shared),
      store_(store),
      plan_(plan),
      call_(call),
      chunks_(store.chunks()),
      bound_(store.options().metric, chunks_),
      part_{shared, store, plan, call, bound_},
      may_sample_(may_sample && plan.runs == nullptr && plan.limits == nullptr &&
                  pays_to_sample(plan.k, store.rows())) {
  const double products = static_cast<double>(plan.batch) * static_cast<double>(store.rows()) *
                          static_cast<double>(chunks_ * kChunkFloats);
  workers_ = products < static_cast<double>(kParallelProducts) ? 1 : shared.pool->threads();
  part_.workers = workers_;
  choose_codes();
}

Status FlatSearch::run() {
  NF_TRY(call_.poll());
  int64_t part = 0;
  NF_TRY(part_size(&part));
  if (plan_.runs == nullptr) cut_into_blocks();
  for (int64_t first = 0; first < plan_.batch; first += part) {
    NF_TRY(prepare(first, std::min(part, plan_.batch - first)));
    // Fewer queries wait for memory, which a second pass over the blocks would read less in order.
    if (plan_.runs != nullptr) {
      NF_TRY(scan_runs());
    } else if (may_sample_ && !part_.levels && part_.queries >= kProductBatch) {
      NF_TRY(scan_blocks(Pass::kSample));
      NF_TRY(limit_by_sample());
      NF_TRY(scan_blocks(Pass::kRest));
    } else {
      NF_TRY(scan_blocks(Pass::kAll));
    }
    NF_TRY(part_.capped() ? collect_capped() : collect());
  }
  return {};
}

Status FlatSearch::part_size(int64_t* queries) {
  const auto workers = static_cast<uint64_t>(workers_);
  const auto padded = static_cast<uint64_t>(chunks_ * kChunkFloats);
  const uint64_t queue = Queue::most_bytes(plan_.k, store_.rows());
  const bool coded = may_levels_ || may_coded_product_ || may_lists_;
  const uint64_t codes = coded ? bases_.size() * (CodedQueries::bytes_per_query(padded) +
                                                  workers * WorkerSpace::coded_bytes_per_query())
                               : 0;
  const uint64_t listed = may_lists_ ? workers * WorkerSpace::listed_bytes_per_query() : 0;
  const uint64_t direct =
      workers * (WorkerSpace::bytes_per_query() + queue) + sizeof(SharedLimit) + codes + listed;
  const uint64_t product = direct + Workspace::product_bytes_per_query(padded);
  const uint64_t packed = workers * WorkerSpace::packed_bytes(padded);
  // Without rows, a group that is decoded, and the coordinates of a few rows on the way.
  const uint64_t decoding = store_.has_rows() ? 0 : 2 * packed;
  const uint64_t limit = state_.workspace_limit;
  const auto fitting = [&](uint64_t fixed, uint64_t each) {
    return std::clamp<int64_t>(static_cast<int64_t>((limit - std::min(limit, fixed)) / each), 1, plan_.batch);
  };
  may_product_ = state_.kernels->product[store_.options().metric - 1] != nullptr &&
                 fitting(packed, product) >= kProductBatch;
  if (decoding + direct > limit && state_.workspace_limit_given)
    return error(NF_RESOURCE_EXHAUSTED,
                 "%s: k=%d over %lld rows needs %llu bytes of workspace, the limit is %llu bytes",
                 call_.operation(), plan_.k, static_cast<long long>(store_.rows()),
                 static_cast<unsigned long long>(decoding + direct), static_cast<unsigned long long>(limit));
  const uint64_t spare = may_coded_product_ ? bases_.size() * CodedQueries::spare_bytes(padded) : 0;
  const uint64_t fixed = decoding + spare + (may_product_ ? packed : 0);
  const uint64_t each = may_product_ ? product : direct;
  *queries = fitting(fixed, each);
  most_workspace_ = each * static_cast<uint64_t>(*queries) + fixed;
  return {};
}

void FlatSearch::cut_into_blocks() {
  const int64_t groups = groups_of(store_.rows());
  const int64_t fitting = kBlockBytes / (chunks_ * kChunkStride * 4);
  const int64_t shared = workers_ == 1 ? groups : groups / (workers_ * kBlocksPerWorker);
  int64_t size = std::max<int64_t>(1, std::min(fitting, shared));
  if (may_levels_) size = std::max(size, std::min(kLevelGroups, shared));
  int64_t left = groups;
  for (const Slab& slab : store_.slabs()) {
    const int64_t here = std::min(slab.groups, left);
    for (int64_t first = 0; first < here; first += size)
      blocks_.push_back({&slab, first, std::min(size, here - first)});
    left -= here;
  }
}

Status FlatSearch::prepare(int64_t first, int64_t queries) {
  part_.first = first;
  part_.queries = queries;
  part_.product = may_product_ && queries >= kProductBatch && plan_.runs == nullptr;
  part_.levels = may_levels_;
  part_.coded_product = may_coded_product_;
  part_.lists = may_lists_;
  if (part_.levels) part_.product = false;

  // What earlier searches left behind must not lift this one over a limit that the caller has set.
  if (state_.workspace_limit_given && state_.workspace.bytes() > 0) state_.workspace = Workspace();
  state_.workspace.fit(workers_, queries);
  store_.fit_decoding(workers_);
  // Those of a capped search are of lower bounds, not of ranks.
  if (plan_.limits != nullptr && !part_.capped())
    for (int64_t i = 0; i < queries; ++i)
      state_.workspace.limits[static_cast<size_t>(i)].lower(plan_.limits[first + i]);
  if (part_.product || part_.coded_product) {
    // One division of the queries for both products.
    const int64_t most = part_.coded_product
                             ? std::min(state_.kernels->panel_queries, state_.codes->panel_queries)
                             : state_.kernels->panel_queries;
    part_.panels = {part_.queries, (part_.queries + most - 1) / most};
  }
  if (part_.product) copy_into_panels();
  return part_.levels || part_.coded_product || part_.lists ? code_queries() : Status();
}

void FlatSearch::copy_into_panels() {
  const auto metric = store_.options().metric;
  state_.workspace.fit_product(workers_, part_.queries, chunks_ * kChunkFloats);
  float* to = state_.workspace.panels.get();
  for (int64_t panel = 0; panel < part_.panels.count; ++panel) {
    const int64_t from = part_.panels.first_query(panel), end = part_.panels.first_query(panel + 1);
    for (int64_t residue = 0; residue < kChunkFloats; ++residue)
      for (int64_t chunk = 0; chunk < chunks_; ++chunk)
        for (int64_t i = from; i < end; ++i) *to++ = part_.query(i)[chunk * kChunkFloats + residue];
  }
  if (metric == NF_DOT) return;
  for (int64_t i = 0; i < part_.queries; ++i)
    state_.workspace.squared[static_cast<size_t>(i)] = squared_norm(part_.query(i), store_.options().dim);
}

Status FlatSearch::scan_blocks(Pass pass) {
  part_.pass = pass;
  ticket_.store(0, std::memory_order_relaxed);
  return state_.pool->run(workers_, [this](int32_t worker) { return scan(worker); });
}

Status FlatSearch::in_shares(const std::function<void(int64_t, int64_t)>& work) {
  // Queries per share; also between polls.
  constexpr int64_t share = 16;
  std::atomic<int64_t> ticket{0};
  return state_.pool->run(part_.queries * plan_.k < 4096 ? 1 : workers_, [&](int32_t) -> Status {
    for (int64_t from = ticket.fetch_add(share); from < part_.queries; from = ticket.fetch_add(share)) {
      if (state_.pool->stopping()) return {};
      NF_TRY(call_.poll());
      work(from, std::min(from + share, part_.queries));
    }
    return {};
  });
}

Status FlatSearch::limit_by_sample() {
  const auto wanted = static_cast<size_t>(sample_hits(plan_.k));
  return in_shares([&](int64_t from, int64_t to) {
    std::vector<float> ranks;
    for (int64_t i = from; i < to; ++i) {
      SharedLimit& limit = state_.workspace.limits[static_cast<size_t>(i)];
      limit.reset();
      ranks.clear();
      for (int32_t worker = 0; worker < workers_; ++worker)
        for (const Hit& hit : found(worker, i).queue.hits()) ranks.push_back(hit.rank);
      if (ranks.size() < wanted) continue;  // then no queue has dropped a hit
      const auto last = ranks.begin() + static_cast<int64_t>(wanted) - 1;
      std::nth_element(ranks.begin(), last, ranks.end());
      // Strictly below: of the sample's rows of the last rank itself, queues may have dropped some.
      limit.lower(std::nextafter(*last, -std::numeric_limits<float>::infinity()));
    }
  });
}

Status FlatSearch::scan(int32_t worker) {
  Scan scan(part_, state_.workspace.workers[static_cast<size_t>(worker)]);
  const auto blocks = static_cast<int64_t>(blocks_.size());
  if (part_.levels) NF_TRY(scan.sample_limits(worker));
  for (int64_t i = ticket_.fetch_add(1); i < blocks; i = ticket_.fetch_add(1)) {
    if (state_.pool->stopping()) return {};
    NF_TRY(scan.block(blocks_[static_cast<size_t>(i)]));
  }
  scanned_read_.fetch_add(scan.scanned().read, std::memory_order_relaxed);
  scanned_whole_.fetch_add(scan.scanned().whole, std::memory_order_relaxed);
  return {};
}

Status FlatSearch::collect() {
  NF_TRY(in_shares([&](int64_t from, int64_t to) {
    std::vector<Hit> all;
    for (int64_t i = from; i < to; ++i) {
      all.clear();
      int32_t rescored = 0;
      for (int32_t worker = 0; worker < workers_; ++worker) {
        const QueryState& state = found(worker, i);
        all.insert(all.end(), state.queue.hits().begin(), state.queue.hits().end());
        rescored += state.rescored;
      }
      const int64_t query = part_.first + i;
      merge(&all, plan_.k, plan_.hits + query * plan_.k);
      if (plan_.rescored != nullptr) plan_.rescored[query] = rescored;
    }
  }));
  if (part_.pass != Pass::kRest) return {};
  for (int64_t i = 0; i < part_.queries; ++i) {
    const int64_t query = part_.first + i;
    const bool limited =
        state_.workspace.limits[static_cast<size_t>(i)].get() != std::numeric_limits<float>::infinity();
    if (limited && plan_.hits[query * plan_.k + plan_.k - 1].row == kNoRow) misled_.push_back(query);
  }
  return {};
}

Status CpuStore::search(const SearchPlan& plan, const Call& call) {
  if (NearestSearch::serves(*state_, *this, plan)) {
    NearestSearch nearest(*state_, *this, plan, call);
    NF_TRY(nearest.run());
    if (plan.scanned != nullptr) {
      plan.scanned->read += nearest.scanned().read;
      plan.scanned->whole += nearest.scanned().whole;
    }
    return {};
  }
  FlatSearch search(*state_, *this, plan, call, true);
  Status status = search.run();
  const ScanCount scanned = search.scanned();
  if (status.ok() && search.by_levels()) note_levels(scanned);
  if (status.ok() && plan.scanned != nullptr) {
    plan.scanned->read += scanned.read;
    plan.scanned->whole += scanned.whole;
  }
  if (status.ok() && !search.misled().empty())
    status = search_subset(plan, search.misled(), [&](const SearchPlan& again) {
      return FlatSearch(*state_, *this, again, call, false).run();
    });
  if (search.most_workspace() > kKeptWorkspace && state_->workspace.bytes() > kKeptWorkspace)
    state_->workspace = Workspace();
  return status;
}

}  // namespace nearfield::cpu
