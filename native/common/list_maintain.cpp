// SPDX-License-Identifier: Apache-2.0
#include "list_maintain.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "index.hpp"
#include "random.hpp"

namespace nearfield {

namespace {
// Of the mean of live rows. A list is split above four times, which bounds the longest scan of one list, and
// its parts have about the mean each. It is merged below an eighth, where a probe finds next to nothing and
// the list costs a centroid and a group of its own. Parts have a quarter at least, and nothing is merged into
// what is twice the mean then: both are twice as far from the other limit, so that maintenance comes to rest.
constexpr double kMost = 4, kLeast = 1.0 / 8, kLeastPart = 1.0 / 4, kMostMerged = 2;
// Two groups are read in the time of one call.
constexpr int64_t kSmall = 2 * kGroupRows;
// Lists among which that of a starved one's rows is looked for.
constexpr int32_t kMergeRange = 16;
// The recall is measured anew where an eighth of the rows came since: they can take no more than an eighth
// from it.
constexpr int64_t kUnmeasuredShare = 8;
// Rows that are counted, a few milliseconds; products of looking for neighbours, 1 to 3 ms of a core.
constexpr int64_t kBlockRows = int64_t{1} << 19, kBlockProducts = int64_t{1} << 26;
}  // namespace

void ListMaintenance::count(const ListBuild::Source& from) {
  const Lists& lists = from.listed->lists;
  sizes_.resize(static_cast<size_t>(lists.count()), 0);
  const int64_t end = std::min(from.live.rows(), counted_ + kBlockRows);
  for (; counted_ < end; ++counted_)
    if (from.live.is_live(counted_)) ++sizes_[static_cast<size_t>(lists.list_of(counted_))];
  if (counted_ == from.live.rows()) decide();
}

void ListMaintenance::decide() {
  const auto count = static_cast<int32_t>(sizes_.size());
  const int64_t live = std::accumulate(sizes_.begin(), sizes_.end(), int64_t{0});
  mean_ = static_cast<double>(live) / count;
  goes_.resize(sizes_.size());
  for (int32_t list = 0; list < count; ++list) {
    const int64_t size = sizes_[static_cast<size_t>(list)];
    if (static_cast<double>(size) > kMost * mean_ && size > kSmall) heavy_.push_back(list);
    if (static_cast<double>(size) < kLeast * mean_) starved_.push_back(list);
  }
  std::stable_sort(starved_.begin(), starved_.end(), [&](int32_t a, int32_t b) {
    return sizes_[static_cast<size_t>(a)] < sizes_[static_cast<size_t>(b)];
  });
  phase_ = Phase::kSplit;
  next_split();
}

void ListMaintenance::next_split() {
  splitting_.reset();
  if (next_ == heavy_.size()) {
    phase_ = Phase::kMerge;
    next_ = 0;
    return;
  }
  const int32_t list = heavy_[next_++];
  const double share = static_cast<double>(sizes_[static_cast<size_t>(list)]) / mean_;
  // The parts that there is no room for, or more than are clustered at one level, come with the next
  // maintenance.
  splitting_ =
      std::make_unique<ListSplit>(list, std::min<int64_t>(std::llround(share), TwoLevels::kMostOfOneLevel),
                                  std::llround(kLeastPart * mean_));
}

Status ListMaintenance::split(const Call& call, Context& context, const ListBuild::Source& from) {
  if (splitting_ == nullptr) return {};
  NF_TRY(splitting_->advance(call, context, from));
  if (!splitting_->is_done()) return {};
  const int32_t list = splitting_->list(), count = from.listed->coarse->count();
  const std::vector<float>& parts = splitting_->centroids();
  const auto more = static_cast<int64_t>((children_.size() + parts.size()) / static_cast<size_t>(from.dim));
  if (!parts.empty() && count - split() - 1 + more <= kMostLists) {
    children_.insert(children_.end(), parts.begin(), parts.end());
    goes_[static_cast<size_t>(list)] = true;
    split_.push_back(list);
  }
  next_split();
  return {};
}

// Starved lists, smallest first.
Status ListMaintenance::merge(const Call& call, const ListBuild::Source& from) {
  CoarseQuantizer& coarse = *from.listed->coarse;
  const int64_t products = int64_t{from.dim} * coarse.count();
  const auto most = static_cast<size_t>(std::clamp<int64_t>(kBlockProducts / products, 1, kGroupRows));
  const auto lists =
      std::span<const int32_t>(starved_).subspan(next_, std::min(most, starved_.size() - next_));
  const auto range = static_cast<size_t>(std::min(kMergeRange + 1, coarse.count()));
  std::vector<Hit> near(lists.size() * range);
  if (!lists.empty()) NF_TRY(coarse.neighbours(call, lists, static_cast<int32_t>(range), near.data()));
  for (size_t i = 0; i < lists.size(); ++i)
    if (merge_into(lists[i], std::span<const Hit>(near).subspan(i * range, range))) {
      goes_[static_cast<size_t>(lists[i])] = true;
      ++merged_;
    }
  next_ += lists.size();
  if (next_ < starved_.size()) return {};
  phase_ = split_.empty() && merged_ == 0 ? Phase::kMeasure : Phase::kPlan;
  return {};
}

// Lists that stay as they are may have come by so many rows that targets miss the recall they ask for.
Status ListMaintenance::measure(const Call& call, const ListBuild::Source& from) {
  if (calibration_ == nullptr) {
    const int64_t live = from.live.live();
    if (live == 0 || from.listed->unmeasured < live / kUnmeasuredShare) {
      phase_ = Phase::kRest;
      return {};
    }
    Random random(static_cast<uint64_t>(live));
    std::vector<int64_t> rows = strata(live, ListCalibration::queries(live), &random);
    to_live_rows(from.live, &rows);
    calibration_ = std::make_unique<ListCalibration>(std::move(rows), from.dim);
  }
  RecallModel found(from.dim);
  NF_TRY(calibration_->advance(call, from.store, *from.listed->coarse, from.listed->lists, &found));
  if (!calibration_->is_done()) return {};
  recall_ = std::move(found);
  phase_ = Phase::kRest;
  return {};
}

// Whether a list may go: its rows are taken to go to the nearest list that remains.
bool ListMaintenance::merge_into(int32_t list, std::span<const Hit> near) {
  const int64_t size = sizes_[static_cast<size_t>(list)];
  if (static_cast<double>(size) >= kLeast * mean_) return false;  // others have been merged into it
  for (const Hit& hit : near) {
    const auto other = static_cast<int32_t>(hit.row);
    if (other == list) continue;
    if (std::find(split_.begin(), split_.end(), other) != split_.end()) return true;  // into one of its parts
    if (goes(other)) continue;
    int64_t& room = sizes_[static_cast<size_t>(other)];
    if (size != 0 && static_cast<double>(room + size) > kMostMerged * mean_) return false;
    room += size;
    return true;
  }
  return false;
}

// The centroids that there are from now on: those that stay, in order, and then the new ones.
Status ListMaintenance::plan(const Call& call, Context& context, const ListBuild::Source& from) {
  const CoarseQuantizer& coarse = *from.listed->coarse;
  const auto values_of = [&](int32_t list) {
    return std::span<const float>(coarse.values() + int64_t{list} * from.dim, static_cast<size_t>(from.dim));
  };
  std::vector<float> values, changed;
  int32_t kept = 0;
  for (int32_t list = 0; list < coarse.count(); ++list) {
    new_list_.push_back(goes(list) ? KnownLists::kNearest : kept++);
    if (goes(list)) continue;
    values.insert(values.end(), values_of(list).begin(), values_of(list).end());
  }
  values.insert(values.end(), children_.begin(), children_.end());
  for (const int32_t list : split_)
    changed.insert(changed.end(), values_of(list).begin(), values_of(list).end());
  changed.insert(changed.end(), children_.begin(), children_.end());
  if (!split_.empty())
    NF_TRY(CoarseQuantizer::create(call, context.device(), coarse.metric(), from.dim, std::move(changed),
                                   &changed_));
  NF_TRY(CoarseQuantizer::create(call, context.device(), coarse.metric(), from.dim, std::move(values),
                                 &coarse_));
  phase_ = Phase::kBuild;
  return {};
}

void ListMaintenance::give_store(std::unique_ptr<Store> store, const ListBuild::Source& from) {
  KnownLists known;
  known.of_row.resize(static_cast<size_t>(from.live.rows()));
  for (int64_t row = 0; row < from.live.rows(); ++row)
    known.of_row[static_cast<size_t>(row)] = new_list_[static_cast<size_t>(from.listed->lists.list_of(row))];
  known.split = std::move(changed_);
  known.gone = static_cast<int32_t>(split_.size());
  build_ = std::make_unique<ListBuild>(std::move(store), coarse_, from, false, std::move(known));
}

Status ListMaintenance::advance(const Call& call, Context& context, const ListBuild::Source& from) {
  switch (phase_) {
    case Phase::kCount:
      count(from);
      return {};
    case Phase::kSplit:
      return split(call, context, from);
    case Phase::kMerge:
      return merge(call, from);
    case Phase::kMeasure:
      return measure(call, from);
    case Phase::kPlan:
      return plan(call, context, from);
    case Phase::kBuild:
      return build_->advance(call, from);
    case Phase::kRest:
      break;
  }
  return {};
}

Status Index::maintain(const Call& call, Context& context, nf_maintain* request, nf_step* step) {
  std::unique_ptr<ListMaintenance> work = std::move(list_maintenance_);  // a step that fails ends it
  if (work != nullptr && work->position() != step->position) work.reset();
  if (work == nullptr) work = std::make_unique<ListMaintenance>();
  const auto start = Call::Clock::now();
  while (listed_ != nullptr && !work->is_done()) {
    NF_TRY(call.poll());
    if (work->wants_store()) {
      std::unique_ptr<Store> store;
      NF_TRY(new_store(call, context, live_.rows(), "its lists", &store));
      work->give_store(std::move(store), build_source());
    }
    NF_TRY(work->advance(call, context, build_source()));
    call.progress(kPhaseMaintain, work->position(), rows());
    const std::chrono::nanoseconds spent = Call::Clock::now() - start;
    if (step->budget_ns != 0 && spent.count() >= step->budget_ns) break;
  }
  request->split = request->merged = request->moved = 0;
  step->done = listed_ == nullptr || work->is_done() ? 1 : 0;
  if (step->done == 0) {
    step->position = work->position();
    list_maintenance_ = std::move(work);
    return {};
  }
  step->position = rows();
  if (work->build() == nullptr) {
    if (work->recall() == nullptr) return {};
    listed_->recall = *work->recall();
    listed_->unmeasured = 0;
    return {};
  }
  request->split = work->split();
  request->merged = work->merged();
  request->moved = work->build()->moved();
  const Drift before = listed_->drift;
  list_compaction_.reset();  // its copies lie elsewhere
  work->build()->finish(&store_, &listed_, &live_);
  listed_->drift.keep_trained(before);
  return {};
}

}  // namespace nearfield
