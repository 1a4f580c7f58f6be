// SPDX-License-Identifier: Apache-2.0
// How many of a system's answers are right. A row counts when its true distance is not above the k-th true
// one by more than f32 arithmetic may err for that pair: of rows that f32 cannot tell apart, either is right.
#include <algorithm>
#include <fstream>
#include <limits>
#include <set>
#include <vector>

#include "commands.hpp"
#include "fbin.hpp"
#include "oracle.hpp"

namespace nearfield::bench {
namespace {

template <typename Number>
std::vector<Number> read(const std::string& file, int64_t count) {
  std::vector<Number> numbers(static_cast<size_t>(count));
  const auto bytes = static_cast<std::streamsize>(numbers.size() * sizeof(Number));
  std::ifstream in(file, std::ios::binary);
  in.read(reinterpret_cast<char*>(numbers.data()), bytes);
  if (in.gcount() != bytes || in.peek() != std::ifstream::traits_type::eof())
    throw Refused(format("recall: %s does not hold %lld numbers of %zu bytes", file.c_str(),
                         static_cast<long long>(count), sizeof(Number)));
  return numbers;
}

}  // namespace

Reply recall(const Command& command) {
  const Fbin base(command.text("base")), queries(command.text("queries"));
  const int32_t metric = metric_number(command.text("metric"));
  // An index of fewer rows than k answers with all of them, and -1 for the rest.
  const int64_t k = command.integer("k"), expected = std::min(k, base.rows());
  if (queries.dim() != base.dim()) throw Refused("recall: base and queries differ in dimensions");
  const auto truths = read<int64_t>(command.text("truth") + ".rows", queries.rows() * expected);
  const auto answers = read<int64_t>(command.text("answers") + ".rows", queries.rows() * k);
  int64_t right = 0;
  for (int64_t i = 0; i < queries.rows(); ++i) {
    const oracle::Vector q = oracle::prepare(queries.row(i), base.dim());
    const auto distance = [&](int64_t row) {
      return oracle::distance(metric, q, oracle::prepare(base.row(row), base.dim()));
    };
    double worst = -std::numeric_limits<double>::infinity();  // of the k nearest
    for (int64_t j = 0; j < expected; ++j) {
      const int64_t row = truths[static_cast<size_t>(i * expected + j)];
      if (row < 0 || row >= base.rows())
        throw Refused(format("recall: the truth of query %lld names row %lld, the base has %lld",
                             static_cast<long long>(i), static_cast<long long>(row),
                             static_cast<long long>(base.rows())));
      worst = std::max(worst, distance(row).value);
    }
    std::set<int64_t> seen;
    for (int64_t j = 0; j < k; ++j) {
      const int64_t row = answers[static_cast<size_t>(i * k + j)];
      if (row < 0 || row >= base.rows() || !seen.insert(row).second) continue;
      const oracle::Distance d = distance(row);
      if (d.value <= worst + d.bound) ++right;
    }
  }
  const auto wanted = static_cast<double>(queries.rows() * expected);
  return Reply().set("recall", static_cast<double>(right) / wanted);
}

}  // namespace nearfield::bench
