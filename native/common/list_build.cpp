// SPDX-License-Identifier: Apache-2.0
#include "list_build.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "metric.hpp"
#include "random.hpp"

namespace nearfield {

namespace {
// Of a piece: 4 MiB of vectors are 1 ms of copying, and products with all centroids some 2 ms of a core.
constexpr int64_t kBlockFloats = int64_t{1} << 20;
constexpr int64_t kBlockProducts = int64_t{1} << 27;
// Rows whose list is known and stays, a millisecond of looking.
constexpr int64_t kBlockRows = int64_t{1} << 20;
}  // namespace

ListBuild::ListBuild(std::unique_ptr<Store> shadow, std::shared_ptr<CoarseQuantizer> coarse,
                     const Source& from, bool drops, KnownLists known)
    : shadow_(std::move(shadow)),
      rows_(from.live.rows()),
      drops_(drops),
      dim_(from.dim),
      phase_(drops ? Phase::kSort : Phase::kAssign),
      assigned_(drops ? rows_ : 0),
      known_(std::move(known)) {
  next_.reset(new ListedRows{coarse, Lists(coarse->count()), RecallModel(from.dim), 0, {}});
  // Rows that are left out change little.
  if (drops) next_->recall = from.listed->recall;
  if (drops) {
    kept_ = from.live;
    kept_before_.reserve(static_cast<size_t>(kept_.word_count()));
    int64_t before = 0;
    for (int64_t word = 0; word < kept_.word_count(); ++word) {
      kept_before_.push_back(before);
      before += std::popcount(kept_.words()[word]);
    }
  }
  known_.of_row.resize(static_cast<size_t>(rows_), KnownLists::kNearest);
  late_.resize(static_cast<size_t>(rows_));
  next_->lists.expect(drops ? kept_.live() : rows_);
}

Status put_listed(const Call& call, Store& store, const Lists::Plan& plan, const HostRows& from) {
  // Room that a failed write leaves behind belongs to no list: a compaction drops it.
  const std::vector<int64_t> room(static_cast<size_t>(plan.room), kNoRow);
  if (!room.empty()) NF_TRY(store.append_from(store, room, call));
  return store.write(plan.places, from, call);
}

int64_t ListBuild::new_number(int64_t row) const {
  if (!drops_) return row;
  if (row >= rows_) return kept_.live() + row - rows_;
  if (!kept_.is_live(row)) return kNoRow;
  const auto word = static_cast<size_t>(row / kGroupRows);
  const uint32_t below = (uint32_t{1} << (row % kGroupRows)) - 1;
  return kept_before_[word] + std::popcount(kept_.words()[word] & below);
}

int64_t ListBuild::position() const {
  if (rows_ == 0) return 0;
  const double copied =
      order_.empty() ? 0 : static_cast<double>(copied_) / static_cast<double>(order_.size());
  const double assigned = static_cast<double>(assigned_) / static_cast<double>(rows_);
  const double share = drops_ ? copied : (assigned + copied) / 2;
  return std::min(rows_ - 1, static_cast<int64_t>(share * static_cast<double>(rows_)));
}

int64_t ListBuild::block_rows() const {
  return std::max<int64_t>(kGroupRows, kBlockFloats / padded_dim(dim_));
}

Status ListBuild::advance(const Call& call, const Source& from) {
  switch (phase_) {
    case Phase::kAssign:
      return assign(call, from);
    case Phase::kSort:
      if (drops_)
        for (int64_t row = 0; row < rows_; ++row)
          known_.of_row[static_cast<size_t>(row)] = from.listed->lists.list_of(row);
      sort();
      phase_ = Phase::kCopy;
      return {};
    case Phase::kCopy:
      return copy(call, from);
    case Phase::kMeasure:
      NF_TRY(measure(call, from));
      begin_calibration(from);
      return {};
    case Phase::kCalibrate:
      NF_TRY(calibration_->advance(call, *shadow_, *next_->coarse, next_->lists, &next_->recall));
      if (calibration_->is_done()) phase_ = Phase::kFollow;
      return {};
    case Phase::kFollow:
      return follow(call, from);
    case Phase::kDone:
      break;
  }
  return {};
}

Status ListBuild::read(const Call& call, const Source& from, std::span<const int64_t> rows,
                       std::vector<float>* to, std::vector<double>* squared) const {
  to->resize(rows.size() * static_cast<size_t>(dim_));
  squared->resize(rows.size());
  std::vector<int64_t> places(rows.begin(), rows.end());
  if (from.listed != nullptr) from.listed->lists.to_places(&places);
  NF_TRY(from.store.read(places, to->data(), dim_, call));
  for (size_t i = 0; i < rows.size(); ++i)
    (*squared)[i] = squared_norm(to->data() + i * static_cast<size_t>(dim_), dim_);
  return {};
}

Status ListBuild::assign(const Call& call, const Source& from) {
  const int64_t products = int64_t{dim_} * next_->coarse->count();
  const auto most =
      static_cast<size_t>(std::clamp<int64_t>(kBlockProducts / products, kGroupRows, block_rows()));
  std::vector<int64_t> open, known;
  int64_t end = assigned_;
  const int64_t last = std::min(rows_, assigned_ + kBlockRows);
  for (; end < last && open.size() < most && known.size() < most; ++end) {
    if (known_.of_row[static_cast<size_t>(end)] == KnownLists::kNearest)
      open.push_back(end);
    else if (known_.split != nullptr)
      known.push_back(end);
  }
  if (!known.empty()) NF_TRY(find_moving(call, from, known, &open));
  if (!open.empty()) {
    std::vector<float> vectors;
    std::vector<double> squared;
    std::vector<int32_t> lists(open.size());
    NF_TRY(read(call, from, open, &vectors, &squared));
    NF_TRY(next_->coarse->assign(call, {vectors.data(), static_cast<int64_t>(open.size()), dim_, dim_},
                                 squared.data(), lists.data()));
    for (size_t i = 0; i < open.size(); ++i) {
      int32_t& list = known_.of_row[static_cast<size_t>(open[i])];
      moved_ += list == lists[i] ? 0 : 1;
      list = lists[i];
    }
  }
  assigned_ = end;
  if (assigned_ == rows_) phase_ = Phase::kSort;
  return {};
}

// Appends to *open the rows that may have a nearer centroid now. Of equal distances the centroid that is gone
// comes first here, and there the row's own before the new ones: the row stays.
Status ListBuild::find_moving(const Call& call, const Source& from, const std::vector<int64_t>& rows,
                              std::vector<int64_t>* open) const {
  std::vector<float> vectors;
  std::vector<double> squared;
  std::vector<int32_t> nearest(rows.size());
  NF_TRY(read(call, from, rows, &vectors, &squared));
  NF_TRY(known_.split->assign(call, {vectors.data(), static_cast<int64_t>(rows.size()), dim_, dim_},
                              squared.data(), nearest.data()));
  for (size_t i = 0; i < rows.size(); ++i)
    if (nearest[i] >= known_.gone) open->push_back(rows[i]);
  return {};
}

// By list, in each by number.
void ListBuild::sort() {
  const auto lists = static_cast<size_t>(next_->lists.count());
  list_begin_.assign(lists + 1, 0);
  for (int64_t row = 0; row < rows_; ++row)
    if (is_kept(row)) ++list_begin_[static_cast<size_t>(known_.of_row[static_cast<size_t>(row)]) + 1];
  std::partial_sum(list_begin_.begin(), list_begin_.end(), list_begin_.begin());
  order_.resize(static_cast<size_t>(list_begin_.back()));
  std::vector<int64_t> next(list_begin_.begin(), list_begin_.end() - 1);
  for (int64_t row = 0; row < rows_; ++row)
    if (is_kept(row))
      order_[static_cast<size_t>(next[static_cast<size_t>(known_.of_row[static_cast<size_t>(row)])]++)] =
          static_cast<uint32_t>(row);
}

Status ListBuild::copy(const Call& call, const Source& from) {
  const auto end_of = [&](int32_t list) { return list_begin_[static_cast<size_t>(list) + 1]; };
  std::vector<int64_t> places;
  for (const int64_t most = block_rows(); static_cast<int64_t>(places.size()) < most;) {
    if (list_ == next_->lists.count()) break;
    const int64_t end = end_of(list_);
    if (copied_ == list_begin_[static_cast<size_t>(list_)]) {
      // Those that were written since may belong elsewhere.
      std::vector<int64_t> numbers;
      for (int64_t i = copied_; i < end; ++i)
        if (!late_[order_[static_cast<size_t>(i)]])
          numbers.push_back(new_number(order_[static_cast<size_t>(i)]));
      next_->lists.append(list_, numbers);
    }
    for (; copied_ < end && static_cast<int64_t>(places.size()) < most; ++copied_) {
      const int64_t row = order_[static_cast<size_t>(copied_)];
      // A row that has become late since its list began has a place, and is copied to be left behind.
      if (next_->lists.place_of(new_number(row)) == Lists::kNoNumber) continue;
      places.push_back(from.listed != nullptr ? from.listed->lists.place_of(row) : row);
    }
    if (copied_ < end) break;
    while ((shadow_->rows() + static_cast<int64_t>(places.size())) % kGroupRows != 0)
      places.push_back(kNoRow);
    ++list_;
  }
  if (!places.empty()) NF_TRY(shadow_->append_from(from.store, places, call));
  if (list_ == next_->lists.count()) phase_ = Phase::kMeasure;
  return {};
}

// New numbers of some of the rows that are copied and alive.
std::vector<int64_t> ListBuild::sample(const Source& from, int64_t count) const {
  const auto all = static_cast<int64_t>(order_.size());
  Random random(static_cast<uint64_t>(all));
  std::vector<int64_t> rows = strata(all, std::min(all, count), &random);
  for (int64_t& row : rows) row = order_[static_cast<size_t>(row)];
  std::erase_if(rows,
                [&](int64_t row) { return late_[static_cast<size_t>(row)] || !from.live.is_live(row); });
  for (int64_t& row : rows) row = new_number(row);
  return rows;
}

// How well the lists suit the rows; of lists that stay as they are it is known.
Status ListBuild::measure(const Call& call, const Source& from) {
  if (drops_) return {};
  const std::vector<int64_t> rows = sample(from, std::min(Drift::kSample, block_rows()));
  if (rows.empty()) return {};
  std::vector<int64_t> places = rows;
  next_->lists.to_places(&places);
  std::vector<float> vectors(rows.size() * static_cast<size_t>(dim_));
  NF_TRY(shadow_->read(places, vectors.data(), dim_, call));
  double sum = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const float* const row = vectors.data() + i * static_cast<size_t>(dim_);
    sum += next_->coarse->cost(row, squared_norm(row, dim_), next_->lists.list_of(rows[i]));
  }
  next_->drift.begin(sum / static_cast<double>(rows.size()));
  return {};
}

void ListBuild::begin_calibration(const Source& from) {
  phase_ = Phase::kFollow;
  if (next_->recall.is_measured() || order_.empty()) return;
  std::vector<int64_t> rows = sample(from, ListCalibration::queries(static_cast<int64_t>(order_.size())));
  if (rows.empty()) return;
  calibration_ = std::make_unique<ListCalibration>(std::move(rows), dim_);
  phase_ = Phase::kCalibrate;
}

Status ListBuild::follow(const Call& call, const Source& from) {
  std::vector<int64_t> rows;
  const int64_t most = block_rows();
  const bool is_late = !late_rows_.empty();
  if (is_late) {
    const auto count = std::min(late_rows_.size(), static_cast<size_t>(most));
    rows.assign(late_rows_.end() - static_cast<ptrdiff_t>(count), late_rows_.end());
  } else {
    const int64_t first = rows_ + followed_;
    rows.resize(static_cast<size_t>(std::min(most, from.live.rows() - first)));
    std::iota(rows.begin(), rows.end(), first);
  }
  if (rows.empty()) {
    phase_ = Phase::kDone;
    return {};
  }
  std::vector<float> vectors;
  std::vector<double> squared;
  NF_TRY(read(call, from, rows, &vectors, &squared));
  const auto count = static_cast<int64_t>(rows.size());
  const MatrixView data{vectors.data(), count, dim_, dim_};
  std::vector<int32_t> list_of_row(rows.size());
  if (drops_)
    std::transform(rows.begin(), rows.end(), list_of_row.begin(),
                   [&](int64_t row) { return from.listed->lists.list_of(row); });
  else
    NF_TRY(next_->coarse->assign(call, data, squared.data(), list_of_row.data()));

  Lists& lists = next_->lists;
  const Lists::Plan plan = lists.plan(list_of_row, shadow_->rows());
  lists.reserve(plan, is_late ? 0 : static_cast<int64_t>(rows.size()));
  std::vector<float> side(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) side[i] = row_side(from.rules.metric, squared[i]);
  NF_TRY(put_listed(call, *shadow_, plan, {vectors.data(), count, dim_, side.data(), true}));
  std::vector<int64_t> live, numbers, left;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (from.live.is_live(rows[i])) live.push_back(plan.places[i]);
    numbers.push_back(new_number(rows[i]));
    if (is_late && lists.place_of(numbers[i]) != Lists::kNoNumber) left.push_back(lists.place_of(numbers[i]));
  }
  if (!left.empty()) NF_TRY(shadow_->set_live(left, false, call));
  if (!live.empty()) NF_TRY(shadow_->set_live(live, true, call));
  if (is_late) {
    lists.take(plan, list_of_row, numbers);
    for (const int64_t row : rows) late_[static_cast<size_t>(row)] = false;
    late_rows_.resize(late_rows_.size() - rows.size());
  } else {
    lists.take(plan, list_of_row);
    followed_ += count;
  }
  for (size_t i = 0; i < rows.size() && !drops_; ++i)
    next_->drift.note(next_->coarse->cost(data.row(static_cast<int64_t>(i)), squared[i], list_of_row[i]));
  return {};
}

void ListBuild::follow_write(std::span<const int64_t> rows) {
  for (const int64_t row : rows) {
    const bool is_to_come = row < rows_ ? !drops_ && row >= assigned_ : row >= rows_ + followed_;
    if (row < rows_ && is_to_come) known_.of_row[static_cast<size_t>(row)] = KnownLists::kNearest;
    if (is_to_come || (row < rows_ && !is_kept(row))) continue;
    if (late_.size() <= static_cast<size_t>(row)) late_.resize(static_cast<size_t>(row) + 1);
    if (late_[static_cast<size_t>(row)]) continue;
    late_[static_cast<size_t>(row)] = true;
    late_rows_.push_back(row);
  }
}

bool ListBuild::follow_live(const Call& call, std::span<const int64_t> rows, bool live) {
  std::vector<int64_t> places;
  for (const int64_t row : rows) {
    const int64_t number = new_number(row);
    if (number == kNoRow) {
      if (live) return false;
      continue;
    }
    if (number >= next_->lists.rows()) continue;
    const int64_t place = next_->lists.place_of(number);
    // What is not copied yet comes with its bit.
    if (place != Lists::kNoNumber && place < shadow_->rows()) places.push_back(place);
  }
  return places.empty() || shadow_->set_live(places, live, call).ok();
}

void ListBuild::finish(std::unique_ptr<Store>* store, std::unique_ptr<ListedRows>* listed, LiveBits* live) {
  if (drops_) {
    LiveBits next;
    next.reserve(next_->lists.rows());
    for (int64_t row = 0; row < live->rows(); ++row)
      if (row >= rows_ || kept_.is_live(row)) next.append(1, live->is_live(row));
    next_->unmeasured = (*listed)->unmeasured;
    next_->drift = (*listed)->drift;
    next_->drift.keep_share(static_cast<double>(next.rows()) / static_cast<double>(live->rows()));
    *live = std::move(next);
  }
  *store = std::move(shadow_);
  *listed = std::move(next_);
}

}  // namespace nearfield
