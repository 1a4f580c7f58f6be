// SPDX-License-Identifier: Apache-2.0
#include "flat.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "metric.hpp"

namespace nearfield::cpu {

namespace {
// A block of rows, and the queries it meets at a time, take a quarter of a 2 MiB L2 at most.
constexpr int64_t kBlockBytes = int64_t{256} << 10;
constexpr int64_t kTileBytes = int64_t{256} << 10;
// Enough blocks per worker that the last one to finish is not waited for long.
constexpr int64_t kBlocksPerWorker = 8;
// Products below which waking the pool (about 10 us) costs more than it saves.
constexpr int64_t kParallelProducts = int64_t{1} << 20;
// Queues up to this size are kept for the next search: 10,000 queries with k = 100 on 2 threads.
constexpr uint64_t kKeptWorkspace = uint64_t{32} << 20;
// Products between two polls: about 10 ms on the slowest path (0.1 G/s emulated) up to 700 dimensions, where
// one visit is as much; a poll's 50 ns vanish on the fastest.
constexpr int64_t kPollProducts = int64_t{1} << 20;
// From this batch on the scan is bound by arithmetic, not by memory: the matrix form then pays.
constexpr int64_t kMatrixBatch = 8;
// Survivors of one group of 32 rows: up to this many are rescored one by one, more by the direct kernel.
constexpr int kScatteredRescore = 8;
// ... after which the query skips the matrix form for as many groups: where it excludes too little (far
// offsets, duplicates, the first rows of a scan) a failed trial costs 1/16 of the time.
constexpr int32_t kDirectGroups = 15;
}  // namespace

struct FlatSearch::Visit {
  Visit(const Slab& in, int64_t which, int64_t chunks)
      : slab(in),
        group(which),
        rows(in.vectors + which * chunks * kChunkStride),
        side(in.side + which * kGroupRows) {}

  const Slab& slab;
  int64_t group;
  const float* rows;
  const float* side;
  // Of the queries that take the direct kernel.
  int32_t direct = 0;
  int32_t direct_query[kQueriesPerCall];
  uint32_t direct_wanted[kQueriesPerCall];
  // Of the queries that take the matrix form first.
  int32_t matrix = 0;
  int32_t matrix_query[kQueriesPerCall];
  uint32_t matrix_wanted[kQueriesPerCall];

  void take_direct(int64_t query, uint32_t wanted) {
    direct_query[direct] = static_cast<int32_t>(query);
    direct_wanted[direct++] = wanted;
  }
  void take_matrix(int64_t query, uint32_t wanted) {
    matrix_query[matrix] = static_cast<int32_t>(query);
    matrix_wanted[matrix++] = wanted;
  }
  int64_t first_row() const { return slab.first + group * kGroupRows; }
};

FlatSearch::FlatSearch(SharedState& shared, const CpuStore& store, const SearchPlan& plan, const Call& call)
    : state_(shared),
      store_(store),
      plan_(plan),
      call_(call),
      metric_(store.options().metric),
      chunks_(store.chunks()),
      bound_(metric_, chunks_) {
  matrix_ = plan.batch >= kMatrixBatch && shared.kernels->matrix[metric_ - 1] != nullptr && bound_.usable();
  const double products = static_cast<double>(plan.batch) * static_cast<double>(store.rows()) *
                          static_cast<double>(chunks_ * kChunkFloats);
  workers_ = products < static_cast<double>(kParallelProducts) ? 1 : shared.pool->threads();
}

Status FlatSearch::run() {
  NF_TRY(call_.poll());
  int64_t part = 0;
  NF_TRY(part_size(&part));
  cut_into_blocks();
  for (int64_t first = 0; first < plan_.batch; first += part) {
    prepare(first, std::min(part, plan_.batch - first));
    NF_TRY(state_.pool->run(workers_, [this](int32_t worker) { return scan(worker); }));
    NF_TRY(collect(first, std::min(part, plan_.batch - first)));
  }
  return {};
}

Status FlatSearch::part_size(int64_t* queries) {
  const uint64_t each =
      static_cast<uint64_t>(workers_) * (sizeof(QueryState) + Queue::most_bytes(plan_.k, store_.rows()));
  if (each > state_.workspace_limit && state_.workspace_limit_given)
    return error(NF_RESOURCE_EXHAUSTED,
                 "%s: k=%d over %lld rows needs %llu bytes of workspace, the limit is %llu bytes",
                 call_.operation(), plan_.k, static_cast<long long>(store_.rows()),
                 static_cast<unsigned long long>(each),
                 static_cast<unsigned long long>(state_.workspace_limit));
  *queries = std::clamp<int64_t>(static_cast<int64_t>(state_.workspace_limit / each), 1, plan_.batch);
  most_workspace_ = each * static_cast<uint64_t>(*queries);
  return {};
}

void FlatSearch::cut_into_blocks() {
  const int64_t groups = groups_of(store_.rows());
  const int64_t fitting = kBlockBytes / (chunks_ * kChunkStride * 4);
  const int64_t shared = groups / (workers_ * kBlocksPerWorker);
  const int64_t size = std::max<int64_t>(1, std::min(fitting, shared));
  int64_t left = groups;
  for (const Slab& slab : store_.slabs()) {
    const int64_t here = std::min(slab.groups, left);
    for (int64_t first = 0; first < here; first += size)
      blocks_.push_back({&slab, first, std::min(size, here - first)});
    left -= here;
  }
}

void FlatSearch::prepare(int64_t first_query, int64_t queries) {
  part_first_ = first_query;
  part_queries_ = queries;
  tile_queries_ = round_up(std::max<int64_t>(1, kTileBytes / (chunks_ * 16)), kQueriesPerCall);
  ticket_.store(0, std::memory_order_relaxed);

  Workspace& workspace = state_.workspace;
  // What earlier searches left behind must not lift this one over a limit that the caller has set.
  if (state_.workspace_limit_given && workspace.bytes() > 0) workspace = Workspace();
  if (workspace.limit_count < queries) {
    workspace.limits = std::make_unique<SharedLimit[]>(static_cast<size_t>(queries));
    workspace.limit_count = queries;
  }
  for (int64_t i = 0; i < queries; ++i) workspace.limits[static_cast<size_t>(i)].reset();
  workspace.states.resize(std::max(workspace.states.size(), static_cast<size_t>(workers_)));
  for (auto& states : workspace.states)
    if (static_cast<int64_t>(states.size()) < queries) states.resize(static_cast<size_t>(queries));
  if (!matrix_) return;
  query_squared_.resize(static_cast<size_t>(queries));
  for (int64_t i = 0; i < queries; ++i)
    query_squared_[static_cast<size_t>(i)] = squared_norm(query(i), store_.options().dim);
}

Status FlatSearch::scan(int32_t worker) {
  std::vector<QueryState>& states = state_.workspace.states[static_cast<size_t>(worker)];
  for (int64_t i = 0; i < part_queries_; ++i) {
    QueryState& state = states[static_cast<size_t>(i)];
    state.queue.reset(plan_.k);
    state.limit = state.cut = std::numeric_limits<float>::infinity();
    state.direct_groups = 0;
    state.rescored = 0;
  }
  int64_t unpolled = 0;
  const auto blocks = static_cast<int64_t>(blocks_.size());
  for (int64_t i = ticket_.fetch_add(1); i < blocks; i = ticket_.fetch_add(1)) {
    if (state_.pool->stopping()) return {};
    NF_TRY(scan_block(blocks_[static_cast<size_t>(i)], states, &unpolled));
  }
  return {};
}

Status FlatSearch::scan_block(const Block& block, std::vector<QueryState>& states, int64_t* unpolled) {
  for (int64_t tile = 0; tile < part_queries_; tile += tile_queries_) {
    const int64_t tile_end = std::min(tile + tile_queries_, part_queries_);
    for (int64_t group = block.first_group; group < block.first_group + block.groups; ++group) {
      if (block.slab->live[group] == 0) continue;
      for (int64_t first = tile; first < tile_end; first += kQueriesPerCall) {
        const int64_t count = std::min<int64_t>(kQueriesPerCall, tile_end - first);
        visit(*block.slab, group, first, count, states);
        *unpolled += count * chunks_ * kChunkStride;
        if (*unpolled < kPollProducts) continue;
        *unpolled = 0;
        if (state_.pool->stopping()) return {};
        NF_TRY(call_.poll());
      }
    }
  }
  return {};
}

void FlatSearch::visit(const Slab& slab, int64_t group, int64_t first, int64_t count,
                       std::vector<QueryState>& states) {
  Visit visit(slab, group, chunks_);
  const int64_t word = slab.first / kGroupRows + group;  // of the masks
  for (int64_t i = first; i < first + count; ++i) {
    const uint32_t* mask = plan_.mask_of_query == nullptr ? nullptr : plan_.mask_of_query[part_first_ + i];
    const uint32_t wanted = mask == nullptr ? slab.live[group] : slab.live[group] & mask[word];
    if (wanted == 0) continue;
    QueryState& state = states[static_cast<size_t>(i)];
    const float limit = state_.workspace.limits[static_cast<size_t>(i)].get();
    if (limit != state.limit) {
      state.limit = limit;
      if (matrix_) state.cut = bound_.cut(query_squared_[static_cast<size_t>(i)], limit);
    }
    if (!matrix_ || limit == std::numeric_limits<float>::infinity()) {
      visit.take_direct(i, wanted);
    } else if (state.direct_groups > 0) {
      --state.direct_groups;
      visit.take_direct(i, wanted);
    } else {
      visit.take_matrix(i, wanted);
    }
  }
  if (visit.matrix != 0) scan_matrix(visit, states);
  if (visit.direct != 0) scan_direct(visit, states);
}

void FlatSearch::scan_matrix(Visit& visit, std::vector<QueryState>& states) {
  const float* queries[kQueriesPerCall];
  float cuts[kQueriesPerCall];
  uint32_t kept[kQueriesPerCall];
  for (int32_t i = 0; i < visit.matrix; ++i) {
    queries[i] = query(visit.matrix_query[i]);
    cuts[i] = states[static_cast<size_t>(visit.matrix_query[i])].cut;
  }
  state_.kernels->matrix[metric_ - 1](
      {visit.rows, visit.side, chunks_, queries, visit.matrix, bound_.half_shrunk(), cuts, kept});
  for (int32_t i = 0; i < visit.matrix; ++i) {
    const uint32_t rows = kept[i] & visit.matrix_wanted[i];
    if (rows == 0) continue;
    QueryState& state = states[static_cast<size_t>(visit.matrix_query[i])];
    state.rescored += std::popcount(rows);
    if (std::popcount(rows) <= kScatteredRescore) {
      rescore(visit, visit.matrix_query[i], rows, states);
    } else {
      state.direct_groups = kDirectGroups;
      visit.take_direct(visit.matrix_query[i], visit.matrix_wanted[i]);
    }
  }
}

void FlatSearch::scan_direct(Visit& visit, std::vector<QueryState>& states) {
  const float* queries[kQueriesPerCall];
  float limits[kQueriesPerCall];
  float ranks[kQueriesPerCall * kGroupRows];
  uint32_t kept[kQueriesPerCall];
  for (int32_t i = 0; i < visit.direct; ++i) {
    queries[i] = query(visit.direct_query[i]);
    limits[i] = states[static_cast<size_t>(visit.direct_query[i])].limit;
  }
  state_.kernels->direct[metric_ - 1](
      {visit.rows, visit.side, chunks_, queries, visit.direct, limits, ranks, kept});
  for (int32_t i = 0; i < visit.direct; ++i) {
    uint32_t rows = kept[i] & visit.direct_wanted[i];
    if (rows == 0) continue;
    QueryState& state = states[static_cast<size_t>(visit.direct_query[i])];
    for (; rows != 0; rows &= rows - 1) {
      const int row = std::countr_zero(rows);
      state.queue.push({visit.first_row() + row, ranks[i * kGroupRows + row], 0});
    }
    share_limit(visit.direct_query[i], state);
  }
}

void FlatSearch::rescore(const Visit& visit, int64_t query_index, uint32_t rows,
                         std::vector<QueryState>& states) {
  const float* at[kScatteredRescore];
  float side[kScatteredRescore], ranks[kScatteredRescore];
  int64_t number[kScatteredRescore];
  int64_t count = 0;
  for (; rows != 0; rows &= rows - 1, ++count) {
    const int row = std::countr_zero(rows);
    at[count] = visit.rows + row * kChunkFloats;
    side[count] = visit.side[row];
    number[count] = visit.first_row() + row;
  }
  state_.kernels->row_list[metric_ - 1]({query(query_index), chunks_, at, side, count, ranks});
  QueryState& state = states[static_cast<size_t>(query_index)];
  for (int64_t i = 0; i < count; ++i) state.queue.push({number[i], ranks[i], 0});
  share_limit(query_index, state);
}

void FlatSearch::share_limit(int64_t query_index, QueryState& state) {
  if (state.queue.limit() < state.limit)
    state_.workspace.limits[static_cast<size_t>(query_index)].lower(state.queue.limit());
}

Status FlatSearch::collect(int64_t first_query, int64_t queries) {
  // Queries per share; also between polls.
  constexpr int64_t share = 16;
  std::atomic<int64_t> ticket{0};
  const auto work = [&](int32_t) -> Status {
    std::vector<Hit> all;
    for (int64_t from = ticket.fetch_add(share); from < queries; from = ticket.fetch_add(share)) {
      if (state_.pool->stopping()) return {};
      NF_TRY(call_.poll());
      for (int64_t i = from; i < std::min(from + share, queries); ++i) {
        all.clear();
        int32_t rescored = 0;
        for (int32_t worker = 0; worker < workers_; ++worker) {
          const QueryState& state =
              state_.workspace.states[static_cast<size_t>(worker)][static_cast<size_t>(i)];
          all.insert(all.end(), state.queue.hits().begin(), state.queue.hits().end());
          rescored += state.rescored;
        }
        merge(&all, plan_.k, plan_.hits + (first_query + i) * plan_.k);
        if (plan_.rescored != nullptr) plan_.rescored[first_query + i] = rescored;
      }
    }
    return {};
  };
  return state_.pool->run(queries * plan_.k < 4096 ? 1 : workers_, work);
}

Status CpuStore::search(const SearchPlan& plan, const Call& call) {
  FlatSearch search(*state_, *this, plan, call);
  Status status = search.run();
  if (search.most_workspace() > kKeptWorkspace) state_->workspace = Workspace();
  return status;
}

}  // namespace nearfield::cpu
