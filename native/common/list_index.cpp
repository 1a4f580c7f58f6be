// SPDX-License-Identifier: Apache-2.0
// What an index does where its rows lie in lists: places for numbers, and rows that go to the list of their
// centroid.
#include <algorithm>

#include "index.hpp"
#include "metric.hpp"

namespace nearfield {

void Index::to_places(std::vector<int64_t>* rows) const {
  if (listed_ != nullptr) listed_->lists.to_places(rows);
}

std::span<const int64_t> Index::places(std::span<const int64_t> rows, std::vector<int64_t>* scratch) const {
  if (listed_ == nullptr) return rows;
  scratch->assign(rows.begin(), rows.end());
  to_places(scratch);
  return *scratch;
}

int64_t Index::mask_words() const {
  return listed_ == nullptr ? live_.word_count() : groups_of(listed_->lists.places());
}

void Index::fill_mask(const uint32_t* numbers, const GroupRun& run, uint32_t* words) const {
  const uint32_t* number = listed_->lists.number_of_place() + run.first * kGroupRows;
  for (int64_t group = run.first; group < run.first + run.count; ++group, number += kGroupRows) {
    uint32_t word = 0;
    for (int bit = 0; bit < kGroupRows; ++bit) {
      // Of a place without a row any bit will do: none lives there.
      const uint32_t row = number[bit] == Lists::kNoNumber ? 0 : number[bit];
      word |= (numbers[row / kGroupRows] >> (row % kGroupRows) & 1) << bit;
    }
    words[group] = word;
  }
}

namespace {
// Rows on their way to lists.
struct Assigned {
  std::vector<double> squared;  // norm of each
  std::vector<int32_t> list_of_row;

  Status find(const Call& call, CoarseQuantizer& coarse, const HostRows& from, int32_t dim) {
    list_of_row.resize(static_cast<size_t>(from.rows));
    squared.resize(list_of_row.size());
    const MatrixView rows{const_cast<float*>(from.data), from.rows, dim, from.stride};
    for (int64_t i = 0; i < from.rows; ++i) squared[static_cast<size_t>(i)] = squared_norm(rows.row(i), dim);
    return coarse.assign(call, rows, squared.data(), list_of_row.data());
  }
  // They have come there.
  void note(const HostRows& from, ListedRows* listed) const {
    listed->unmeasured += from.rows;
    for (size_t i = 0; i < list_of_row.size(); ++i)
      listed->drift.note(listed->coarse->cost(from.data + static_cast<int64_t>(i) * from.stride, squared[i],
                                              list_of_row[i]));
  }
};
}  // namespace

Status Index::append_listed(const Call& call, const HostRows& from) {
  Assigned assigned;
  NF_TRY(assigned.find(call, *listed_->coarse, from, dim()));
  const std::vector<int32_t>& list_of_row = assigned.list_of_row;
  const Lists::Plan plan = listed_->lists.plan(list_of_row, store_->rows());
  listed_->lists.reserve(plan, from.rows);
  NF_TRY(put_listed(call, *store_, plan, from));
  if (from.live) NF_TRY(store_->set_live(plan.places, true, call));
  listed_->lists.take(plan, list_of_row);
  assigned.note(from, listed_.get());
  return {};
}

Status Index::replace_listed(const Call& call, std::span<const int64_t> rows, const HostRows& from) {
  Lists& lists = listed_->lists;
  Assigned assigned;
  NF_TRY(assigned.find(call, *listed_->coarse, from, dim()));
  std::vector<int32_t>& list_of_row = assigned.list_of_row;
  std::vector<int32_t> moved_lists;
  std::vector<int64_t> moved;  // rows that go to other lists
  for (size_t i = 0; i < rows.size(); ++i) {
    if (list_of_row[i] == lists.list_of(rows[i])) continue;
    moved.push_back(rows[i]);
    moved_lists.push_back(list_of_row[i]);
  }
  const Lists::Plan plan = lists.plan(moved_lists, store_->rows());
  lists.reserve(plan, 0);
  // All are written at once, so that a failure leaves all as they were.
  Lists::Plan all = plan;
  all.places.clear();
  size_t next = 0;
  for (size_t i = 0; i < rows.size(); ++i)
    all.places.push_back(list_of_row[i] == lists.list_of(rows[i]) ? lists.place_of(rows[i])
                                                                  : plan.places[next++]);
  NF_TRY(put_listed(call, *store_, all, from));
  std::vector<int64_t> left, live;
  for (size_t i = 0; i < moved.size(); ++i) {
    if (!live_.is_live(moved[i])) continue;
    left.push_back(lists.place_of(moved[i]));
    live.push_back(plan.places[i]);
  }
  if (!live.empty()) {
    NF_TRY(store_->set_live(live, true, call));
    NF_TRY(store_->set_live(left, false, call));
  }
  lists.take(plan, moved_lists, moved);
  assigned.note(from, listed_.get());
  return {};
}

Status Index::new_store(const Call& call, Context& context, int64_t capacity, const char* what,
                        std::unique_ptr<Store>* out) {
  StoreOptions options = options_;
  options.capacity = capacity;
  if (options.memory_limit != 0) {
    const uint64_t used = store_->device_bytes();
    const uint64_t needed = context.device().estimate(options);
    if (used + needed > options.memory_limit)
      return error(NF_RESOURCE_EXHAUSTED,
                   "%s: the index holds %llu bytes and %s needs %llu more, memory_limit is %llu bytes",
                   call.operation(), static_cast<unsigned long long>(used), what,
                   static_cast<unsigned long long>(needed),
                   static_cast<unsigned long long>(options.memory_limit));
  }
  std::unique_ptr<Store> made;
  NF_TRY(context.device().create_store(options, &made, call));
  if (options.coded && store_->basis() != nullptr) made->set_basis(store_->basis());
  *out = std::move(made);
  return {};
}

Status Index::compact_lists(const Call& call, Context& context, nf_compact* request, nf_step* step) {
  // Where the caller has not seen this compaction's numbers so far, they must be given out again.
  if (list_compaction_ != nullptr && list_cursor_ != step->position) list_compaction_.reset();
  if (list_compaction_ == nullptr) {
    std::unique_ptr<Store> shadow;
    NF_TRY(new_store(call, context, live_.live(), "its compacted copy", &shadow));
    list_compaction_ = std::make_unique<ListBuild>(std::move(shadow), listed_->coarse, build_source(), true);
    list_cursor_ = 0;
  }
  std::unique_ptr<ListBuild> work = std::move(list_compaction_);  // a step that fails ends it
  const int64_t first = list_cursor_, limit = first + std::min(rows() - first, request->new_row_count);
  const auto start = Call::Clock::now();
  // The last step gives out all that is left.
  while (!work->is_done() && work->position() < limit) {
    NF_TRY(call.poll());
    NF_TRY(work->advance(call, build_source()));
    call.progress(kPhaseCompact, work->position(), rows());
    const std::chrono::nanoseconds spent = Call::Clock::now() - start;
    if (step->budget_ns != 0 && spent.count() >= step->budget_ns) break;
  }
  const int64_t passed = std::min(limit, work->is_done() ? rows() : work->position());
  for (int64_t row = first; row < passed; ++row) request->new_row[row - first] = work->new_number(row);
  request->first_row = first;
  step->position = list_cursor_ = passed;
  step->done = work->is_done() && passed == rows() ? 1 : 0;
  if (step->done == 0) {
    list_compaction_ = std::move(work);
    return {};
  }
  work->finish(&store_, &listed_, &live_);
  if (training_ != nullptr) training_->renumber();
  if (list_training_ != nullptr) list_training_->renumber();
  list_maintenance_.reset();
  return {};
}

Status Index::read_lists(const Call& call, const MatrixView& centroids, const nf_lists& to) const {
  if (listed_ == nullptr)
    return error(NF_FAILED_PRECONDITION, "%s: the index has no lists, it is not trained", call.operation());
  const CoarseQuantizer& coarse = *listed_->coarse;
  if (centroids.rows != coarse.count())
    return error(NF_INVALID_ARGUMENT, "%s: centroids->rows=%lld, the index has %d lists", call.operation(),
                 static_cast<long long>(centroids.rows), coarse.count());
  if (to.row_count < rows())
    return error(NF_INVALID_ARGUMENT, "%s: row_count=%lld, the index holds %lld rows", call.operation(),
                 static_cast<long long>(to.row_count), static_cast<long long>(rows()));
  for (int64_t i = 0; i < centroids.rows; ++i)
    std::copy_n(coarse.values() + i * dim(), dim(), centroids.row(i));
  for (int64_t row = 0; row < rows(); ++row) to.list_of_row[row] = listed_->lists.list_of(row);
  if (to.calibration == nullptr) return {};
  const std::vector<float> calibration = listed_->recall.calibration();
  std::fill_n(to.calibration, NF_CALIBRATION, 1.0f);  // where there was no live row to measure it on
  std::copy(calibration.begin(), calibration.end(), to.calibration);
  return {};
}

Status Index::write_lists(const Call& call, Context& context, const MatrixView& centroids,
                          const nf_lists& from) {
  const int32_t* const list_of_row = from.list_of_row;
  const int64_t row_count = from.row_count;
  for (int64_t i = 0; from.calibration != nullptr && i < NF_CALIBRATION - 1; ++i)
    if (!(from.calibration[i] >= 0 && from.calibration[i] <= 1))
      return error(NF_INVALID_ARGUMENT, "%s: calibration[%lld]=%g, it must be at least 0 and at most 1",
                   call.operation(), static_cast<long long>(i), static_cast<double>(from.calibration[i]));
  if (from.calibration != nullptr) {
    const float of_ball = from.calibration[NF_CALIBRATION - 1];
    if (!(of_ball >= 1 && of_ball <= static_cast<float>(dim())))
      return error(NF_INVALID_ARGUMENT, "%s: calibration[%d]=%g, it must be at least 1 and at most %d",
                   call.operation(), NF_CALIBRATION - 1, static_cast<double>(of_ball), dim());
  }

  if (row_count != rows())
    return error(NF_INVALID_ARGUMENT, "%s: row_count=%lld, the index holds %lld rows", call.operation(),
                 static_cast<long long>(row_count), static_cast<long long>(rows()));
  for (int64_t row = 0; row < row_count; ++row)
    if (list_of_row[row] < 0 || list_of_row[row] >= centroids.rows)
      return error(NF_INVALID_ARGUMENT, "%s: list_of_row[%lld]=%d, it must be at least 0 and below %lld",
                   call.operation(), static_cast<long long>(row), list_of_row[row],
                   static_cast<long long>(centroids.rows));
  std::vector<double> squared(static_cast<size_t>(centroids.rows));
  NF_TRY(check_vectors(call, "centroid", 0, rules_, centroids, squared.data()));
  std::vector<float> values;
  for (int64_t i = 0; i < centroids.rows; ++i)
    values.insert(values.end(), centroids.row(i), centroids.row(i) + dim());
  std::shared_ptr<CoarseQuantizer> coarse;
  NF_TRY(CoarseQuantizer::create(call, context.device(), metric(), dim(), std::move(values), &coarse));
  std::unique_ptr<Store> store;
  NF_TRY(new_store(call, context, rows(), "its lists", &store));
  KnownLists known;
  known.of_row.assign(list_of_row, list_of_row + row_count);
  ListBuild build(std::move(store), std::move(coarse), build_source(), false, std::move(known));
  if (from.calibration != nullptr)
    build.take_recall(RecallModel({from.calibration, static_cast<size_t>(NF_CALIBRATION)}));
  while (!build.is_done()) {
    NF_TRY(call.poll());
    NF_TRY(build.advance(call, build_source()));
    call.progress(kPhaseCopy, build.position(), rows());
  }
  take_lists(&build);
  return {};
}

void Index::take_lists(ListBuild* build) {
  compaction_.reset();  // their copies lie elsewhere
  list_compaction_.reset();
  list_training_.reset();
  list_maintenance_.reset();
  build->finish(&store_, &listed_, &live_);
}

}  // namespace nearfield
