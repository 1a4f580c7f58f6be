// SPDX-License-Identifier: Apache-2.0
// Where the rows of an index with lists lie. A row keeps its number; its place is its number in the store. A
// list is a chain of runs of groups that belong to it alone; its places are taken one after another, and one
// that is given up (the row was replaced by one of another list) stays empty until the lists are built anew.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend.hpp"
#include "tile32.hpp"

namespace nearfield {

inline constexpr int64_t kMostLists = 65536;

class Lists {
 public:
  // Of a place without a row.
  static constexpr uint32_t kNoNumber = 0xffffffff;
  // Rows and places are below it.
  static constexpr int64_t kMostPlaces = 0xfffffffe;

  explicit Lists(int32_t count) : lists_(static_cast<size_t>(count)) {}

  int32_t count() const { return static_cast<int32_t>(lists_.size()); }
  int64_t rows() const { return static_cast<int64_t>(place_of_row_.size()); }
  int64_t places() const { return static_cast<int64_t>(number_of_place_.size()); }
  int64_t place_of(int64_t row) const { return place_of_row_[static_cast<size_t>(row)]; }
  // In the place of row numbers.
  void to_places(std::vector<int64_t>* rows) const {
    for (int64_t& row : *rows) row = place_of(row);
  }
  int32_t list_of(int64_t row) const { return list_at(place_of(row)); }
  int32_t list_at(int64_t place) const { return list_of_group_[static_cast<size_t>(place / kGroupRows)]; }
  const uint32_t* number_of_place() const { return number_of_place_.data(); }
  const uint32_t* place_of_number() const { return place_of_row_.data(); }
  // Groups of a list, in the order in which they were filled.
  std::span<const GroupRun> runs(int32_t list) const { return lists_[static_cast<size_t>(list)].runs; }
  // Rows that a list holds, dead ones among them.
  int64_t rows_of(int32_t list) const { return lists_[static_cast<size_t>(list)].rows; }

  // Places for rows to come, one after another, of the list of each. Nothing changes before take().
  struct Plan {
    std::vector<int64_t> places;  // of each row
    int64_t room = 0;             // places that the store needs after the present ones
    struct Added {
      int32_t list;
      GroupRun run;
    };
    std::vector<Added> runs;  // that lists get, in order
  };
  // `store_rows`: places of the store, which may have more than the lists know of.
  Plan plan(std::span<const int32_t> list_of_row, int64_t store_rows) const;
  // Memory, so that take() cannot fail.
  void reserve(const Plan& plan, int64_t rows);
  // The store has the room. The rows are those after the present ones, or `replaced`.
  void take(const Plan& plan, std::span<const int32_t> list_of_row);
  void take(const Plan& plan, std::span<const int32_t> list_of_row, std::span<const int64_t> replaced);

  // The whole of each list in its turn, for lists that are built anew: `rows` of `list`, at the places from
  // the end on, padded to whole groups.
  void append(int32_t list, std::span<const int64_t> rows);
  // Makes room for the rows below `rows`, none of which has a place.
  void expect(int64_t rows) { place_of_row_.assign(static_cast<size_t>(rows), kNoNumber); }

 private:
  struct List {
    std::vector<GroupRun> runs;
    int64_t taken = 0;  // places of the runs
    int64_t room = 0;   // places in all
    int64_t rows = 0;
  };
  void add_run(int32_t list, const GroupRun& run);
  // Gives up the place of a row, which is to get another one.
  void leave(int64_t row);
  void put(const Plan& plan, std::span<const int32_t> list_of_row, size_t i, int64_t row);

  std::vector<List> lists_;
  std::vector<uint32_t> place_of_row_;
  std::vector<uint32_t> number_of_place_;
  std::vector<int32_t> list_of_group_;
};

}  // namespace nearfield
