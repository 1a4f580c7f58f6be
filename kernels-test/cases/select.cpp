// SPDX-License-Identifier: Apache-2.0
// Which cases each test runs at each effort.
#include <algorithm>
#include <cstdint>
#include <set>

#include "case.hpp"
#include "cover.hpp"
#include "nearfield/nearfield.h"

namespace nearfield::test {
namespace {

// Around every edge of the kernels: chunks of 4 dimensions, groups of 32 rows, queues of 8 and 128, and sizes
// that people use. 20,011 rows (a prime) pass every tile and partial result of a scan.
const std::vector<int32_t> kDims = {1, 3, 7, 33, 127, 768, 769, 1536, 4096};
const std::vector<int64_t> kRows = {0, 1, 31, 33, 1000, 20011};
constexpr int64_t kN = -1;       // k = rows
constexpr int64_t kNPlus1 = -2;  // k = rows + 1
const std::vector<int64_t> kKs = {1, 8, 9, 128, 129, 1000, kN, kNPlus1};
const std::vector<int64_t> kBatches = {1, 2, 7, 16, 65, 200};
const std::vector<Data> kData = {Data::GAUSS,  Data::CLUSTERED, Data::TIES,      Data::DUPLICATES,
                                 Data::OFFSET, Data::BOUNDARY,  Data::ZEROS,     Data::HUGE_NORMS,
                                 Data::TINY,   Data::SCALES,    Data::SUBNORMALS};

int64_t resolve_k(int64_t k, int64_t rows) {
  if (k == kN) return std::max<int64_t>(1, rows);
  return k == kNPlus1 ? rows + 1 : k;
}

// Multiply-adds of one search; the f64 oracle and a software GPU need a few ns for each.
double work(const Case& c) { return static_cast<double>(c.rows * c.batch) * c.dim; }

struct Limits {
  double work;
  int64_t elements;  // rows x dim: to generate, copy and check
  int64_t scores;    // rows x batch
  int64_t results;   // k x batch
};

Limits limits(Effort effort) {
  switch (effort) {
    case Effort::SMOKE:
      return {2e6, 200'000, 100'000, 20'000};
    case Effort::QUICK:
      // More results at once take an emulated GPU half of its time; kPairs has one such case.
      return {8e6, 4'200'000, 400'000, 70'000};
    case Effort::FULL:
      return {300e6, 31'000'000, 5'000'000, 5'000'000};
  }
  return {};
}

bool within(const Case& c, const Limits& limit) {
  return work(c) <= limit.work && c.rows * c.dim <= limit.elements && c.rows * c.batch <= limit.scores &&
         c.k * c.batch <= limit.results;
}

Case from_choice(const std::string& test, int32_t metric, const Choice& choice) {
  Case c;
  c.test = test;
  c.metric = metric;
  c.dim = kDims[static_cast<size_t>(choice[0])];
  c.rows = kRows[static_cast<size_t>(choice[1])];
  c.k = resolve_k(kKs[static_cast<size_t>(choice[2])], c.rows);
  c.batch = kBatches[static_cast<size_t>(choice[3])];
  c.data = kData[static_cast<size_t>(choice[4])];
  c.padded = choice[5] == 1;
  c.tiny_slabs = choice[6] == 1;
  return c;
}

// Every value of each parameter, or every pair of values, that fits the metric and the limits.
void covering(const std::string& test, int32_t metric, const Limits& limit, bool pairs, bool slabs,
              std::vector<Case>* to) {
  const std::vector<int> sizes = {static_cast<int>(kDims.size()),
                                  static_cast<int>(kRows.size()),
                                  static_cast<int>(kKs.size()),
                                  static_cast<int>(kBatches.size()),
                                  static_cast<int>(kData.size()),
                                  2,
                                  slabs ? 2 : 1};
  const Allowed allowed = [&](const Choice& choice) {
    const Case c = from_choice(test, metric, choice);
    // 20,011 rows in slabs of 32 are 626 launches for each query.
    return fits(c.data, metric) && within(c, limit) && !(c.tiny_slabs && c.rows > 1000);
  };
  for (const Choice& choice : pairs ? cover_pairs(sizes, allowed) : cover_values(sizes, allowed))
    to->push_back(from_choice(test, metric, choice));
}

// The product of dimensions, rows and k; the other parameters take turns.
void product(const std::string& test, int32_t metric, const Limits& limit, std::vector<Case>* to) {
  int turn = 0;
  for (int dim = 0; dim < static_cast<int>(kDims.size()); ++dim) {
    for (int rows = 0; rows < static_cast<int>(kRows.size()); ++rows) {
      for (int k = 0; k < static_cast<int>(kKs.size()); ++k) {
        Case c;
        do {
          ++turn;
          c = from_choice(test, metric, {dim, rows, k, turn % 6, turn % 11, turn % 2, turn / 2 % 2});
          if (c.rows > 1000) c.tiny_slabs = false;
        } while (!fits(c.data, metric) || (!within(c, limit) && c.batch > 1));
        to->push_back(c);
      }
    }
  }
}

struct Shape {
  int32_t dim;
  int64_t rows;
  int64_t k;
  int64_t batch;
};

// Tests of one property: a handful of shapes, each with another kind of data.
struct Property {
  const char* test;
  std::vector<Shape> shapes;
};

const std::vector<Property> kProperties = {
    {"score", {{33, 1000, 9, 7}, {1, 33, 5, 2}, {769, 1000, 20, 2}, {4096, 33, 33, 1}}},
    {"prefix", {{7, 1000, 128, 7}, {33, 1000, 8, 2}, {127, 33, 32, 16}}},
    {"bits-batch", {{33, 1000, 10, 65}, {3, 20011, 9, 16}, {769, 1000, 129, 16}, {16, 1000, 10, 200}}},
    {"bits-threads", {{33, 1000, 10, 16}, {127, 20011, 9, 2}, {768, 1000, 129, 7}}},
    {"bits-workspace", {{33, 1000, 10, 65}}},
    {"bits-slabs", {{33, 1000, 10, 7}, {7, 1000, 1000, 2}, {769, 1000, 9, 16}}},
    {"bits-paths", {{33, 1000, 10, 16}, {127, 20011, 9, 2}, {769, 1000, 129, 7}, {1, 33, 8, 65}}},
    {"bits-filter", {{33, 1000, 10, 7}, {127, 1000, 129, 16}, {7, 20011, 9, 2}}},
    {"filter", {{33, 1000, 10, 7}, {7, 33, 40, 16}, {127, 1000, 129, 2}, {3, 20011, 9, 2}}},
    {"within", {{33, 1000, 50, 7}, {7, 33, 33, 2}}},
    {"live", {{33, 1000, 10, 7}, {127, 33, 33, 2}, {7, 1000, 1000, 2}}},
    {"hidden", {{33, 1000, 10, 7}, {7, 300, 300, 2}}},
    {"knn-steps", {{33, 300, 40, 70}}},
    {"assign", {{33, 200, 5, 70}}},
    {"kmeans", {{17, 120, 5, 1}}},
    {"kmeans-warm", {{9, 70, 4, 1}}},
    {"kmeans-many", {{13, 2100, 200, 1}}},
    {"kmeans-far", {{4, 33, 3, 1}}},
    {"kmeans-balanced", {{6, 150, 5, 1}}},
    {"kmeans-ends", {{5, 40, 7, 1}}},
    {"replace", {{33, 1000, 10, 7}, {769, 33, 8, 2}}},
    {"read", {{33, 1000, 1, 1}, {1, 33, 1, 1}, {769, 1000, 1, 1}, {4096, 31, 1, 1}}},
    {"add", {{33, 1000, 10, 2}, {7, 33, 8, 2}}},
    {"memory", {{33, 1000, 10, 2}, {768, 100, 8, 2}}},
    {"compact", {{33, 1000, 10, 2}, {7, 300, 20, 7}, {769, 100, 8, 2}}},
    {"ties", {{16, 33000, 9, 200}}},
    {"room", {{8, 400, 1, 66}}},
    {"stop", {{33, 1000, 10, 7}}},
    {"model", {{7, 200, 8, 2}, {33, 120, 20, 1}, {3, 64, 5, 2}, {4, 400, 64, 1}}},
    {"codes", {{33, 1000, 10, 7}, {3, 300, 9, 20}, {128, 700, 70, 3}, {257, 300, 10, 40}, {1, 100, 5, 2}}},
    {"codes-capped", {{33, 1000, 10, 7}, {100, 400, 3, 20}}},
    {"codes-model", {{7, 200, 8, 2}, {33, 120, 20, 18}}},
    {"codes-alone", {{33, 700, 10, 7}, {3, 300, 9, 30}, {128, 500, 70, 3}, {1, 100, 5, 2}}},
    {"lists", {{33, 400, 10, 3}}},
    {"lists-many", {{33, 1000, 10, 7}, {3, 300, 9, 20}, {128, 700, 70, 3}, {1, 100, 5, 2}}},
    {"lists-model", {{7, 200, 8, 2}, {33, 120, 20, 18}}},
    {"lists-maintain", {{17, 200, 7, 3}}},
    {"agree", {{64, 20011, 10, 7}, {33, 1000, 129, 65}}},
};

void property(const Property& p, int32_t metric, Effort effort, std::vector<Case>* to) {
  size_t turn = static_cast<size_t>(metric);
  const int64_t rounds = effort == Effort::FULL ? 6 : 1;
  for (int64_t round = 0; round < rounds; ++round) {
    for (const Shape& shape : p.shapes) {
      while (!fits(kData[turn % kData.size()], metric)) ++turn;
      Case c{p.test,        metric, shape.dim, shape.rows, shape.k, shape.batch, kData[turn++ % kData.size()],
             turn % 2 == 0, false,  round};
      if (effort == Effort::SMOKE) c.batch = std::min<int64_t>(c.batch, 16);
      to->push_back(c);
      if (effort == Effort::SMOKE) return;
    }
  }
}

// A shape and a kind of data made for one another.
struct Pair {
  const char* test;
  Shape shape;
  Data data;
  int32_t metric = 0;  // 0: all that the data fit
  bool tiny_slabs = false;
};

const std::vector<Pair> kPairs = {
    // More rows than the CPU's product scans directly at first, more than a sample and a few windows of a
    // GPU.
    {"bits-paths", {64, 1000, 10, 20}, Data::DIRECTED},
    {"bits-paths", {64, 1000, 10, 20}, Data::UNDERFLOW},
    // So many near the limit that what TF32 leaves out of an element changes their order.
    {"bits-paths", {48, 1000, 129, 40}, Data::GAUSS, NF_L2SQ},
    // A step of a compaction copies 2^20 floats, 256 of these rows: two whole steps, and one of a part of a
    // group.
    {"compact", {4096, 2 * 256 + 24, 10, 2}, Data::GAUSS, NF_COSINE},
    // Beyond every GPU's lists: radix selection. Between Metal's and CUDA's: large lists of the matrix form.
    {"search", {7, 20011, 3000, 3}, Data::TIES, NF_L2SQ},
    {"search", {7, 20011, 3000, 7}, Data::HUGE_NORMS, NF_L2SQ},
    {"search", {7, 20011, 1500, 33}, Data::GAUSS, NF_DOT},
    // So little work that no GPU takes it in parts.
    {"bits-filter", {4, 400, 10, 7}, Data::GAUSS, NF_L2SQ},
    // A little more than the 128 dimensions of several queries that a block of CUDA's holds at once.
    {"bits-batch", {132, 300, 10, 4}, Data::GAUSS, NF_L2SQ},
    // Whatever finds a row by its number, over several slabs.
    {"filter", {33, 300, 10, 7}, Data::CLUSTERED, NF_L2SQ, true},
    {"score", {33, 300, 9, 7}, Data::GAUSS, NF_COSINE, true},
    {"compact", {33, 300, 10, 2}, Data::GAUSS, NF_COSINE, true},
    {"hidden", {33, 300, 10, 2}, Data::GAUSS, NF_L2SQ, true},
    {"search", {33, 1000, 1000, 200}, Data::SCALES, NF_L2SQ},
    // Ties across the blocks of a knn, and in every place of a queue.
    {"knn", {3, 20011, 20, 7}, Data::TIES, NF_L2SQ},
    {"search", {1, 20011, 128, 7}, Data::GAUSS, NF_COSINE},
    // Three blocks of 2,048 rows, two slices of queries.
    {"knn-steps", {3, 5000, 9, 130}, Data::CLUSTERED, NF_L2SQ},
    // Seven, of a metric that keeps the rows' norms.
    {"knn-steps", {16, 3400, 9, 20}, Data::CLUSTERED, NF_COSINE},
    // What k-means may find: nothing to find, groups far from the origin, of one row each.
    {"kmeans", {5, 120, 5, 1}, Data::OFFSET, NF_L2SQ},
    {"kmeans", {5, 100, 5, 1}, Data::DUPLICATES, NF_L2SQ},
    {"kmeans", {4, 100, 20, 1}, Data::SCALES, NF_L2SQ},
    {"kmeans", {17, 120, 5, 1}, Data::GAUSS, NF_DOT},
    {"kmeans-many", {13, 2100, 200, 1}, Data::GAUSS},
    {"kmeans-many", {4, 2100, 150, 1}, Data::TIES, NF_L2SQ},
    {"kmeans-levels", {6, 9000, 4200, 1}, Data::GAUSS},
    {"kmeans-warm", {9, 70, 4, 1}, Data::GAUSS, NF_DOT},
    {"kmeans-ends", {5, 40, 7, 1}, Data::GAUSS, NF_DOT},
    {"model", {7, 200, 8, 2}, Data::GAUSS, NF_COSINE, true},
    // Whatever a bound of codes may get wrong: dimensions around the levels, of one, of two and of many, over
    // one slab and several; few
    // queries, level by level, and many.
    {"codes", {40, 600, 10, 5}, Data::GAUSS},
    {"codes", {40, 600, 10, 30}, Data::CLUSTERED},
    {"codes", {40, 600, 10, 5}, Data::TIES},
    {"codes", {40, 600, 10, 30}, Data::DUPLICATES},
    {"codes", {40, 600, 10, 5}, Data::OFFSET},
    {"codes", {40, 600, 10, 30}, Data::OFFSET},
    {"codes", {40, 600, 10, 5}, Data::BOUNDARY},
    {"codes", {40, 600, 10, 30}, Data::BOUNDARY},
    {"codes", {40, 600, 10, 5}, Data::ZEROS},
    {"codes", {40, 600, 10, 5}, Data::HUGE_NORMS},
    {"codes", {40, 600, 10, 30}, Data::HUGE_NORMS},
    {"codes", {40, 600, 10, 5}, Data::TINY},
    {"codes", {40, 600, 10, 30}, Data::TINY},
    {"codes", {40, 600, 10, 5}, Data::SCALES},
    {"codes", {40, 600, 10, 30}, Data::SCALES},
    {"codes", {40, 600, 10, 5}, Data::SUBNORMALS},
    {"codes", {64, 600, 10, 20}, Data::DIRECTED},
    {"codes", {64, 600, 10, 5}, Data::UNDERFLOW},
    // Enough groups that the product of codes goes on after the first, which keep everything.
    {"codes", {24, 4000, 5, 30}, Data::GAUSS, NF_L2SQ},
    // A GPU's products of codes. k so small that a tile is a sample of a quarter of the rows, of one slab and
    // of
    // each. More queries than a tile, and rows of which, before a training, all are within their error of the
    // limit: no candidates find room, not eight times as many either.
    {"codes", {20, 900, 2, 20}, Data::CLUSTERED},
    {"codes", {9, 600, 2, 20}, Data::GAUSS, NF_DOT, true},
    {"codes", {1, 900, 10, 140}, Data::OFFSET, NF_L2SQ},
    {"codes", {8, 300, 10, 5}, Data::GAUSS, NF_L2SQ},
    {"codes", {9, 300, 10, 20}, Data::GAUSS, NF_DOT, true},
    {"codes", {33, 300, 10, 5}, Data::CLUSTERED, NF_L2SQ, true},
    {"codes", {770, 200, 10, 20}, Data::GAUSS, NF_COSINE},
    {"codes", {770, 200, 10, 3}, Data::CLUSTERED, NF_POINCARE},
    {"codes-model", {9, 200, 8, 18}, Data::CLUSTERED, NF_COSINE, true},
    {"lists", {3, 300, 9, 5}, Data::TIES, NF_L2SQ},
    {"lists", {40, 200, 10, 18}, Data::DUPLICATES, NF_DOT},
    {"lists", {128, 300, 70, 3}, Data::DUPLICATES, NF_COSINE},
    {"lists", {1, 100, 5, 2}, Data::OFFSET, NF_L2SQ},
    // Lists of kernels are shorter than all rows of a rank.
    {"lists", {3, 520, 257, 1}, Data::TIES, NF_L2SQ},
    {"lists", {33, 300, 10, 5}, Data::CLUSTERED, NF_L2SQ, true},
    {"lists-many", {40, 600, 10, 5}, Data::CLUSTERED},
    {"lists-many", {40, 600, 10, 30}, Data::DUPLICATES},
    {"lists-many", {3, 2000, 300, 5}, Data::TIES},
    {"lists-model", {9, 200, 8, 18}, Data::CLUSTERED, NF_COSINE, true},
    {"lists-maintain", {20, 300, 9, 5}, Data::GAUSS},
    {"lists-maintain", {3, 300, 9, 5}, Data::TIES, NF_L2SQ},
    {"lists-maintain", {9, 200, 9, 5}, Data::DUPLICATES, NF_DOT},
    {"lists-maintain", {9, 200, 9, 5}, Data::CLUSTERED, NF_L2SQ, true},
    // A step of a build takes 2^20 floats, 511 of these rows, so that rows change between its pieces.
    {"lists-maintain-wide", {2050, 300, 5, 2}, Data::GAUSS, NF_L2SQ},
    {"lists-maintain-memory", {20, 300, 8, 2}, Data::GAUSS},
    {"lists-drift", {16, 12000, 10, 1}, Data::GAUSS},
    {"codes-alone", {40, 600, 10, 30}, Data::OFFSET},
    {"codes-alone", {40, 600, 10, 5}, Data::SCALES},
    {"codes-alone", {40, 600, 10, 5}, Data::TINY},
    {"codes-alone", {40, 600, 10, 5}, Data::ZEROS},
    {"codes-alone", {40, 600, 10, 30}, Data::DUPLICATES},
    {"codes-alone", {64, 600, 10, 20}, Data::DIRECTED},
    {"codes-alone", {33, 500, 10, 5}, Data::CLUSTERED, NF_L2SQ, true},
    {"codes-alone", {770, 200, 10, 20}, Data::GAUSS, NF_COSINE},
};

}  // namespace

std::vector<Case> all_cases(Effort effort) {
  std::vector<Case> cases;
  const Limits limit = limits(effort);
  for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) {
    for (const Property& p : kProperties) property(p, metric, effort, &cases);
    for (const Pair& p : kPairs)
      if (effort != Effort::SMOKE && fits(p.data, metric) && (p.metric == 0 || p.metric == metric))
        cases.push_back({p.test, metric, p.shape.dim, p.shape.rows, p.shape.k, p.shape.batch, p.data, false,
                         p.tiny_slabs});
    covering("knn", metric, limit, effort == Effort::FULL, false, &cases);
    covering("search", metric, limit, effort != Effort::SMOKE, true, &cases);
    if (effort == Effort::FULL) product("search", metric, limit, &cases);
  }
  add_hardware_cases(effort, &cases);
  std::set<std::string> names;
  std::erase_if(cases, [&](const Case& c) { return !names.insert(c.name()).second; });
  return cases;
}

}  // namespace nearfield::test
