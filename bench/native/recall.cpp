// SPDX-License-Identifier: Apache-2.0
// How many of a system's answers are right. A row counts when its true distance is not above the k-th true
// one by more than f32 arithmetic may err for that pair: of rows that f32 cannot tell apart, either is right.
// And which of its distances lie further from float64 than its form of the metric may err.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <string>
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

// What a library may err that sums in f32 in any order and expands squares, |q|^2 + |v|^2 - 2 q.v: n = D + 8
// roundings, D of a term in the longest chain and eight of what stands around the sum (products, inverse
// norms, differences, asinh), relative to the magnitudes that are summed. Poincare divides by 1 - |q|^2,
// which such a library also has from f32. As in kernels-test/oracle, u = 2^-24 and gamma = n u / (1 - n u).
double expanded_bound(int32_t metric, const oracle::Vector& q, const oracle::Vector& v, double value) {
  const double rounded = static_cast<double>(q.dim + 8) * 0x1p-24, gamma = rounded / (1 - rounded);
  switch (metric) {
    case NF_L2SQ:
      return gamma * (q.norm + v.norm) * (q.norm + v.norm);
    case NF_COSINE:
      return gamma * 2;  // of 1 and the cosine
    case NF_DOT:
      return gamma * (q.norm * v.norm + 1);  // some libraries return 1 - q.v
    case NF_MANHATTAN:
      return gamma * value;
    default: {
      const double root = std::sinh(value / 2), delta = root * root, off = gamma * delta * (1 + 1 / q.gap);
      const double high = 2 * std::asinh(std::sqrt(delta + off));
      return high - 2 * std::asinh(std::sqrt(std::max(0.0, delta - off))) + gamma * high;
    }
  }
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
  const auto distances = read<float>(command.text("answers") + ".distances", queries.rows() * k);
  const bool expanded = command.text("form", "canonical") == "expanded";
  int64_t right = 0, wrong_distances = 0;
  std::string first_wrong;
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
      const double answered = distances[static_cast<size_t>(i * k + j)];
      const double bound =
          expanded ? expanded_bound(metric, q, oracle::prepare(base.row(row), base.dim()), d.value) : d.bound;
      if (std::fabs(answered - d.value) <= bound) continue;  // false for NaN
      if (++wrong_distances == 1)
        first_wrong =
            format("query %lld and row %lld are %.9g apart in float64, the answer is %.9g, %.3g may be lost",
                   static_cast<long long>(i), static_cast<long long>(row), d.value, answered, bound);
    }
  }
  const auto wanted = static_cast<double>(queries.rows() * expected);
  return Reply()
      .set("recall", static_cast<double>(right) / wanted)
      .set("wrong_distances", wrong_distances)
      .set("first_wrong", first_wrong);
}

}  // namespace nearfield::bench
