// SPDX-License-Identifier: Apache-2.0
// Builds a table of bad arguments.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "arguments.hpp"

namespace nearfield_test {

inline constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

class Table {
 public:
  std::vector<Line> take() { return std::move(lines_); }

  void answers(Entry entry, const std::string& name, nf_status status, const std::string& words,
               const Change& change) {
    Line& line = lines_.emplace_back();
    line.entry = entry;
    line.name = name;
    line.expected.status = status;
    line.expected.words = words;
    line.change = change;
  }
  void bad(Entry entry, const std::string& name, const std::string& words, const Change& change) {
    answers(entry, name, NF_INVALID_ARGUMENT, words, change);
  }
  void unimplemented(Entry entry, const std::string& name, const std::string& words, const Change& change) {
    answers(entry, name, NF_UNIMPLEMENTED, words, change);
  }
  void fine(Entry entry, const std::string& name, const Change& change) {
    answers(entry, name, NF_OK, "", change);
  }

 private:
  std::vector<Line> lines_;
};

template <typename T>
T* misaligned(T* pointer) {
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(pointer) + alignof(T) / 2);
}

// The shape and the values of a matrix of vectors. `noun` begins the position of a bad value.
void vectors(Table& t, Entry entry, const std::string& name, nf_matrix Requests::Storage::*matrix,
             const std::string& noun);
void searches(Table& t);
void clusterings(Table& t);

}  // namespace nearfield_test
