// SPDX-License-Identifier: Apache-2.0
#include "lists.hpp"

#include <algorithm>
#include <unordered_map>

namespace nearfield {

namespace {
// A list that is full gets an eighth of its places more: of a chain's runs the last is a ninth of it at most,
// and there are few of them. From 4,096 rows on nothing would be gained.
constexpr int64_t kGrowthShare = 8, kMostGrowth = 4096;
}  // namespace

Lists::Plan Lists::plan(std::span<const int32_t> list_of_row, int64_t store_rows) const {
  struct Growing {
    int64_t left;      // places of the runs there are
    int64_t missing;   // places beyond them
    int64_t next = 0;  // of the new run, in the order of rows
  };
  std::unordered_map<int32_t, Growing> lists;
  for (const int32_t number : list_of_row) {
    const List& list = lists_[static_cast<size_t>(number)];
    Growing& growing = lists.try_emplace(number, Growing{list.room - list.taken, 0}).first->second;
    growing.left > 0 ? --growing.left : ++growing.missing;
  }
  Plan plan;
  for (size_t i = 0; i < list_of_row.size(); ++i) {
    Growing& growing = lists.at(list_of_row[i]);
    if (growing.missing == 0) continue;
    const List& list = lists_[static_cast<size_t>(list_of_row[i])];
    const int64_t wanted = std::max(growing.missing, std::min(list.room / kGrowthShare, kMostGrowth));
    const GroupRun run{(store_rows + plan.room) / kGroupRows, groups_of(wanted)};
    plan.runs.push_back({list_of_row[i], run});
    plan.room += run.count * kGroupRows;
    growing.next = run.first * kGroupRows;
    growing.missing = 0;  // a list gets one run
  }
  // Of each list the places that are left come first, in order, and then those of its new run.
  std::unordered_map<int32_t, int64_t> passed;
  plan.places.reserve(list_of_row.size());
  for (const int32_t number : list_of_row) {
    const List& list = lists_[static_cast<size_t>(number)];
    int64_t& taken = passed[number];
    const int64_t at = list.taken + taken++;
    if (at < list.room) {
      // Runs before the last are full.
      const GroupRun& last = list.runs.back();
      plan.places.push_back(last.first * kGroupRows + at - (list.room - last.count * kGroupRows));
    } else {
      plan.places.push_back(lists.at(number).next++);
    }
  }
  return plan;
}

void Lists::reserve(const Plan& plan, int64_t rows) {
  // Doubling, for rows may come one by one.
  const auto fit = [](auto& vector, size_t size) {
    if (size > vector.capacity()) vector.reserve(std::max(size, 2 * vector.capacity()));
  };
  fit(place_of_row_, place_of_row_.size() + static_cast<size_t>(rows));
  for (const Plan::Added& added : plan.runs) {
    const auto groups = static_cast<size_t>(added.run.first + added.run.count);
    fit(list_of_group_, groups);
    fit(number_of_place_, groups * kGroupRows);
    std::vector<GroupRun>& runs = lists_[static_cast<size_t>(added.list)].runs;
    fit(runs, runs.size() + 1);
  }
}

void Lists::add_run(int32_t number, const GroupRun& run) {
  List& list = lists_[static_cast<size_t>(number)];
  list.runs.push_back(run);
  list.room += run.count * kGroupRows;
  const auto groups = static_cast<size_t>(run.first + run.count);
  if (list_of_group_.size() < groups) {
    list_of_group_.resize(groups, -1);
    number_of_place_.resize(groups * kGroupRows, kNoNumber);
  }
  std::fill_n(list_of_group_.begin() + run.first, run.count, number);
}

void Lists::put(const Plan& plan, std::span<const int32_t> list_of_row, size_t i, int64_t row) {
  List& list = lists_[static_cast<size_t>(list_of_row[i])];
  ++list.taken;
  ++list.rows;
  place_of_row_[static_cast<size_t>(row)] = static_cast<uint32_t>(plan.places[i]);
  number_of_place_[static_cast<size_t>(plan.places[i])] = static_cast<uint32_t>(row);
}

void Lists::take(const Plan& plan, std::span<const int32_t> list_of_row) {
  for (const Plan::Added& added : plan.runs) add_run(added.list, added.run);
  const auto first = static_cast<size_t>(rows());
  place_of_row_.resize(first + list_of_row.size(), kNoNumber);
  for (size_t i = 0; i < list_of_row.size(); ++i) put(plan, list_of_row, i, static_cast<int64_t>(first + i));
}

void Lists::take(const Plan& plan, std::span<const int32_t> list_of_row, std::span<const int64_t> replaced) {
  for (const Plan::Added& added : plan.runs) add_run(added.list, added.run);
  for (size_t i = 0; i < replaced.size(); ++i) {
    leave(replaced[i]);
    put(plan, list_of_row, i, replaced[i]);
  }
}

void Lists::leave(int64_t row) {
  uint32_t& place = place_of_row_[static_cast<size_t>(row)];
  if (place == kNoNumber) return;
  --lists_[static_cast<size_t>(list_of_group_[place / kGroupRows])].rows;
  number_of_place_[place] = kNoNumber;
  place = kNoNumber;
}

void Lists::append(int32_t number, std::span<const int64_t> rows) {
  if (rows.empty()) return;
  const int64_t first = places();
  add_run(number, {first / kGroupRows, groups_of(static_cast<int64_t>(rows.size()))});
  List& list = lists_[static_cast<size_t>(number)];
  list.taken += static_cast<int64_t>(rows.size());
  list.rows += static_cast<int64_t>(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t place = first + static_cast<int64_t>(i);
    number_of_place_[static_cast<size_t>(place)] = static_cast<uint32_t>(rows[i]);
    place_of_row_[static_cast<size_t>(rows[i])] = static_cast<uint32_t>(place);
  }
}

}  // namespace nearfield
