// SPDX-License-Identifier: Apache-2.0
// Stateless knn: blocks of the dataset pass through a temporary index, so that the device holds one block at
// a time. A rank depends on the query and the row alone, so the answer has the bits of an index search,
// wherever a step ends.
#include <algorithm>
#include <chrono>
#include <limits>

#include "lookahead.hpp"
#include "metric.hpp"
#include "search.hpp"
#include "steps.hpp"

namespace nearfield {
namespace {

// Vector bytes of one block: the binding that every WebGPU adapter grants, and large enough that the copy,
// not the set-up, is what a block costs. In steps a quarter of it, so that a slice of queries is short.
constexpr uint64_t kBlockBytes = uint64_t{128} << 20;
constexpr uint64_t kStepBlockBytes = uint64_t{32} << 20;
// Between two looks at the clock: vector bytes copied (1 to 2 ms), and queries that meet a block. 128 queries
// and 8 M floats are 1.1 G products, 21 ms of one core (AVX-512, 100 GFLOP/s) or 11 of two. With the limits
// of earlier blocks (search) that is 1 to 4% above one call without steps (400,000 x 128, k = 10 and 100);
// with slices of 64, which read a block twice as often, 5 to 15%; without the limits, which each block then
// finds anew, 5% for k = 10 and 14 for 100. Blocks of 16 MiB and slices of 256 are level, but twice the
// blocks. Where a slice takes an eighth of the budget or less, the next is twice as large.
constexpr uint64_t kPieceBytes = uint64_t{4} << 20;
constexpr int64_t kSliceQueries = 128, kMostSliceQueries = 1024;

// What every step is called with.
struct KnnRequest {
  int32_t metric = 0;
  MatrixView queries;
  int64_t rows = 0;    // of the whole dataset
  MatrixView at_hand;  // those from the position on
  RowFilter filter;
  ResultView result;
};

Status read_request(const Call& call, const Context& context, const nf_knn* from, int64_t position,
                    KnnRequest* to) {
  nf_knn request;
  NF_TRY(read_struct(call, "knn", from, &request));
  NF_TRY(context.check_served(call, request.metric));
  to->metric = request.metric;
  NF_TRY(read_matrix(call, "dataset", request.dataset, &to->at_hand));
  NF_TRY(read_matrix(call, "queries", request.queries, &to->queries));
  NF_TRY(check_cols(call, "queries", to->queries, to->at_hand.cols));
  NF_TRY(check_count(call, "dataset_rows", request.dataset_rows, kMaxRows));
  const int64_t given = to->at_hand.rows;
  to->rows = request.dataset_rows != 0 ? request.dataset_rows : given;
  if (position > to->rows)
    return error(NF_INVALID_ARGUMENT, "%s: step->position=%lld, the dataset has %lld rows", call.operation(),
                 static_cast<long long>(position), static_cast<long long>(to->rows));
  const int64_t left = to->rows - position;
  if (request.dataset_rows == 0)
    to->at_hand = to->at_hand.slice(position, left);
  else if (given > left || (given == 0 && left > 0))
    return error(NF_INVALID_ARGUMENT, "%s: dataset->rows=%lld, from row %lld on it may hold %d to %lld",
                 call.operation(), static_cast<long long>(given), static_cast<long long>(position),
                 left > 0 ? 1 : 0, static_cast<long long>(left));
  const bool again = position != 0;
  NF_TRY(again ? RowFilter::read_again(call, "filter", request.filter, &to->filter)
               : RowFilter::read(call, "filter", request.filter, to->rows, &to->filter));
  return read_result(call, request.result, to->queries.rows, &to->result);
}

class KnnRun final : public Work {
 public:
  // Checks every query.
  Status begin(const Call& call, const KnnRequest& request);
  // What must be as it was; never trusted to be.
  Status check_same(const Call& call, const KnnRequest& request) const;
  // Until the work is done, the budget is spent or the rows at hand are taken. `again`: the queries have been
  // out of sight since they were checked.
  Status step(const Call& call, Context& context, const KnnRequest& request, int64_t budget_ns, bool again);
  int64_t position() const { return taken_; }
  bool is_done() const { return taken_ == shape_.rows && index_ == nullptr; }
  void write(const ResultView& result);

 private:
  bool must_fill() const { return index_ == nullptr || index_->rows() < block_rows_; }
  Status fill(const Call& call, Context& context, const KnnRequest& request, Lookahead* rows, int64_t offset,
              int64_t budget_ns);
  Status search(const Call& call, Context& context, const KnnRequest& request, int64_t budget_ns, bool again);
  int64_t rows_of_bytes(uint64_t bytes) const;
  // A quarter of the memory leaves room for the indexes of the context.
  static uint64_t block_bytes(const Context& context, int64_t budget_ns);

  KnnRequest shape_;  // of the first step: its numbers, none of its pointers
  VectorRules rules_;
  int32_t k_ = 0;
  std::vector<double> squared_;  // |q|^2 per query
  std::vector<Hit> hits_;        // k per query
  std::vector<int32_t> rescored_;

  int64_t taken_ = 0;  // rows
  // The block, if there is one.
  std::unique_ptr<Index> index_;
  int64_t first_ = 0, block_rows_ = 0;
  std::vector<uint32_t> mask_;  // of a filter, once the block is full
  int64_t next_query_ = 0;
  int64_t slice_ = kSliceQueries;
  // Of the last. Before there is one a guess, so that a step that has copied for long does not go on with it.
  std::chrono::nanoseconds slice_time_ = std::chrono::milliseconds(8);
};

Status KnnRun::begin(const Call& call, const KnnRequest& request) {
  shape_ = request;
  rules_ = {request.metric, kPoincareDefaultMaxNorm};
  const auto queries = static_cast<size_t>(request.queries.rows);
  squared_.resize(queries);
  NF_TRY(check_vectors(call, "query", 0, rules_, request.queries, squared_.data()));
  k_ = static_cast<int32_t>(std::min<int64_t>(request.result.k, request.rows));
  hits_.assign(queries * static_cast<size_t>(k_), Hit{});
  rescored_.assign(queries, 0);
  return {};
}

Status KnnRun::check_same(const Call& call, const KnnRequest& request) const {
  const auto same = [&](const char* name, int64_t now, int64_t then) {
    return nearfield::check_same(call, name, now, then);
  };
  NF_TRY(same("metric", request.metric, shape_.metric));
  NF_TRY(same("queries->rows", request.queries.rows, shape_.queries.rows));
  NF_TRY(same("queries->cols", request.queries.cols, shape_.queries.cols));
  NF_TRY(same("dataset_rows", request.rows, shape_.rows));
  NF_TRY(same("k", request.result.k, shape_.result.k));
  NF_TRY(same("filter->kind", request.filter.kind(), shape_.filter.kind()));
  return same("filter->count", request.filter.size(), shape_.filter.size());
}

int64_t KnnRun::rows_of_bytes(uint64_t bytes) const {
  const uint64_t group_bytes = static_cast<uint64_t>(group_floats(shape_.queries.cols)) * sizeof(float);
  return static_cast<int64_t>(std::max<uint64_t>(1, bytes / group_bytes)) * kGroupRows;
}

Status KnnRun::step(const Call& call, Context& context, const KnnRequest& request, int64_t budget_ns,
                    bool again) {
  const int64_t begin = taken_;
  const auto start = Call::Clock::now();
  // A step with a budget checks 4 MiB at a time: handing them to a thread and back costs more than it saves
  // (busy CPU, one query: 1.4 times the time), and Java has read its pieces by then (KnnPieces).
  const bool ahead = budget_ns == 0 && context.options().threads != 1;
  Lookahead rows(call, rules_, request.at_hand, "dataset row", taken_,
                 rows_of_bytes(budget_ns == 0 ? block_bytes(context, 0) : kPieceBytes), ahead);
  std::chrono::nanoseconds spent{0};
  while (!is_done() && (budget_ns == 0 || spent.count() < budget_ns)) {
    if (must_fill()) {
      if (taken_ - begin == request.at_hand.rows) break;  // the caller has to bring more
      NF_TRY(fill(call, context, request, &rows, taken_ - begin, budget_ns));
    } else {
      // A slice that would end past the budget waits for the next step, unless it is all of this one.
      if (budget_ns != 0 && spent.count() != 0 && (spent + slice_time_).count() > budget_ns) break;
      NF_TRY(search(call, context, request, budget_ns, again));
    }
    spent = Call::Clock::now() - start;
  }
  return {};
}

uint64_t KnnRun::block_bytes(const Context& context, int64_t budget_ns) {
  const uint64_t bytes = budget_ns == 0 ? kBlockBytes : kStepBlockBytes;
  const uint64_t limit = context.options().memory_limit;
  return limit != 0 ? std::min(bytes, limit / 4) : bytes;
}

// Takes rows of those at hand from `offset` on.
Status KnnRun::fill(const Call& call, Context& context, const KnnRequest& request, Lookahead* rows,
                    int64_t offset, int64_t budget_ns) {
  if (index_ == nullptr) {
    first_ = taken_;
    block_rows_ = std::min(rows_of_bytes(block_bytes(context, budget_ns)), shape_.rows - taken_);
    next_query_ = 0;
    StoreOptions options;
    options.metric = shape_.metric;
    options.dim = static_cast<int32_t>(shape_.queries.cols);
    options.capacity = block_rows_;
    options.coded = context.device().codes_pay(shape_.metric, shape_.queries.rows);
    NF_TRY(Index::create(call, context, options, rules_, {}, &index_));
  }
  std::span<const float> side;
  NF_TRY(rows->take(offset, block_rows_ - index_->rows(), &side));
  const auto count = static_cast<int64_t>(side.size());
  const MatrixView piece = request.at_hand.slice(offset, count);
  NF_TRY(index_->append(call.part(taken_, shape_.rows),
                        {piece.data, piece.rows, piece.stride, side.data(), true}));
  taken_ += count;
  if (must_fill()) return {};
  if (shape_.queries.rows == 0) {
    index_.reset();  // the dataset is checked all the same
  } else if (!request.filter.keeps_all()) {
    mask_.resize(static_cast<size_t>(index_->live().word_count()));
    request.filter.from_row(first_).fill_mask(index_->live(), mask_.data());
  }
  return {};
}

// Lets the next slice of queries meet the block.
Status KnnRun::search(const Call& call, Context& context, const KnnRequest& request, int64_t budget_ns,
                      bool again) {
  const auto start = Call::Clock::now();
  const int64_t first = next_query_, left = shape_.queries.rows - first;
  const int64_t count = budget_ns == 0 ? left : std::min(slice_, left);
  QueryBatch batch;
  batch.queries = request.queries.slice(first, count);
  batch.squared = squared_.data() + first;
  if (again) NF_TRY(check_vectors(call, "query", first, rules_, batch.queries, squared_.data() + first));
  const RowFilter part = RowFilter::of_bits(mask_.data(), static_cast<int64_t>(mask_.size()));
  if (!request.filter.keeps_all()) batch.filters = std::span<const RowFilter>(&part, 1);

  Hit* const hits = hits_.data() + first * k_;
  const auto block_k = static_cast<int32_t>(std::min<int64_t>(k_, block_rows_));
  std::vector<int32_t> rescored(static_cast<size_t>(count));
  if (first_ == 0 && block_k == k_) {
    NF_TRY(find_hits(call, context, *index_, batch, k_, {hits, rescored.data()}));
  } else {
    // Of the rows to come, those that are no nearer than the k-th hit so far are none.
    std::vector<float> limits(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      const Hit& last = hits[(i + 1) * k_ - 1];
      limits[static_cast<size_t>(i)] =
          last.row != kNoRow ? last.rank : std::numeric_limits<float>::infinity();
    }
    batch.limits = limits.data();
    std::vector<Hit> added(static_cast<size_t>(count * block_k));
    NF_TRY(find_hits(call, context, *index_, batch, block_k, {added.data(), rescored.data()}));
    merge_hits(count, added.data(), block_k, first_, hits, k_);
  }
  for (int64_t i = 0; i < count; ++i)
    rescored_[static_cast<size_t>(first + i)] += rescored[static_cast<size_t>(i)];
  next_query_ += count;
  if (next_query_ == shape_.queries.rows) index_.reset();
  slice_time_ = Call::Clock::now() - start;
  if (slice_time_.count() <= budget_ns / 8) slice_ = std::min(2 * slice_, kMostSliceQueries);
  return {};
}

void KnnRun::write(const ResultView& result) {
  write_result(result, shape_.metric, squared_.data(), shape_.queries.rows, {hits_.data(), rescored_.data()},
               k_, nullptr);
}

}  // namespace

Status knn(const Call& call, Context& context, const nf_knn* from, nf_step* caller) {
  Step<KnnRun> step(context, caller);
  NF_TRY(step.begin(call));
  KnnRun& run = step.run();
  KnnRequest request;
  NF_TRY(read_request(call, context, from, run.position(), &request));
  if (caller == nullptr && request.at_hand.rows < request.rows)
    return error(NF_INVALID_ARGUMENT,
                 "%s: dataset->rows=%lld, without steps it must be all dataset_rows=%lld", call.operation(),
                 static_cast<long long>(request.at_hand.rows), static_cast<long long>(request.rows));
  NF_TRY(step.is_again() ? run.check_same(call, request) : run.begin(call, request));
  NF_TRY(run.step(call, context, request, step.budget_ns(), step.is_again()));
  step.end([&] { run.write(request.result); });
  return {};
}

}  // namespace nearfield
