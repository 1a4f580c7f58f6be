// SPDX-License-Identifier: Apache-2.0
// nf_assign and nf_kmeans. In a case of k-means k is the number of clusters.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "check.hpp"
#include "index.hpp"
#include "kmeans.hpp"
#include "random.hpp"
#include "tests.hpp"

namespace nearfield::test {
namespace {

constexpr double u = 0x1p-24;

nf_matrix matrix_of(const std::vector<float>& rows, int64_t cols) {
  nf_matrix matrix{};
  matrix.struct_size = sizeof(matrix);
  matrix.dtype = NF_F32;
  matrix.data = const_cast<float*>(rows.data());
  matrix.cols = cols;
  matrix.rows = static_cast<int64_t>(rows.size()) / cols;
  matrix.row_stride = cols * static_cast<int64_t>(sizeof(float));
  return matrix;
}

// Directions that are nearly one are clustered by their differences; products of floats may not see them.
bool is_blurred(const Bench& bench) { return bench.spec.metric == NF_DOT && bench.spec.data == Data::OFFSET; }

// What the tests of one case share.
class Clustered {
 public:
  explicit Clustered(const Bench& bench) : bench_(bench), p_(bench.problem), rows_(p_.data().rows()) {
    options_.metric = p_.metric();
    options_.clusters = static_cast<int32_t>(bench.spec.k);
    options_.sample = rows_;  // all
    options_.seed = p_.seed();
  }
  KmeansOptions options() const { return options_; }
  Clusters run(const KmeansOptions& options) const { return run(options, bench_.context()); }
  Clusters run(const KmeansOptions& options, nf_context* context) const {
    return kmeans(bench_.backend, context, p_.data().matrix(), options);
  }

  // In f64, of directions where the metric has them: places, more than any rounding apart.
  int64_t places() const {
    std::set<std::vector<float>> places;
    for (int64_t i = 0; i < rows_; ++i) {
      double norm = 0;
      for (int32_t j = 0; j < dim(); ++j) norm += std::pow(value(i, j), 2);
      norm = p_.metric() == NF_L2SQ || norm == 0 ? 1 : std::sqrt(norm);
      std::vector<float> place;
      for (int32_t j = 0; j < dim(); ++j) place.push_back(static_cast<float>(value(i, j) / norm));
      places.insert(place);
    }
    return static_cast<int64_t>(places.size());
  }

  // Labels are those of nf_assign, the inertia is their sum, no cluster is empty.
  void check_result(const Clusters& found, const std::vector<float>& weights = {}) const {
    Results nearest(rows_, 1);
    assign(bench_.backend, bench_.context(), p_.metric(), p_.data().matrix(),
           matrix_of(found.centroids, dim()), &nearest);
    std::vector<int64_t> sizes(static_cast<size_t>(options_.clusters), 0);
    double sum = 0, lengths = 0;
    for (int64_t i = 0; i < rows_; ++i) {
      const int32_t label = found.labels[static_cast<size_t>(i)];
      check(label == nearest.row(i, 0), "row %lld has label %d, its nearest centroid is %lld",
            static_cast<long long>(i), label, static_cast<long long>(nearest.row(i, 0)));
      ++sizes[static_cast<size_t>(label)];
      const double weight = weights.empty() ? 1 : static_cast<double>(weights[static_cast<size_t>(i)]);
      sum += weight * static_cast<double>(nearest.distance(i, 0));
      lengths += weight * std::fabs(static_cast<double>(nearest.distance(i, 0)));
    }
    // Sums of f64 in another order.
    check(std::fabs(found.inertia - sum) <= lengths * static_cast<double>(rows_) * 0x1p-52,
          "the inertia is %.17g, the distances sum up to %.17g", found.inertia, sum);
    for (size_t c = 0; c < sizes.size(); ++c)
      check(is_blurred(bench_) || sizes[c] != 0, "cluster %zu is empty", c);
    check_truth(found);
  }

  // By the oracle no centroid is nearer than that of the label, but for what f32 may err.
  void check_truth(const Clusters& found) const {
    for (int64_t i = 0; i < rows_; ++i) {
      const oracle::Vector row = oracle::prepare(p_.data().row(i), dim());
      const auto to = [&](int64_t c) {
        return oracle::distance(p_.metric(), row, oracle::prepare(found.centroids.data() + c * dim(), dim()));
      };
      const oracle::Distance own = to(found.labels[static_cast<size_t>(i)]);
      for (int64_t c = 0; c < options_.clusters; ++c) {
        const oracle::Distance other = to(c);
        check(own.value - own.bound <= other.value + other.bound,
              "row %lld has label %d at %.9g, centroid %lld is at %.9g", static_cast<long long>(i),
              found.labels[static_cast<size_t>(i)], own.value, static_cast<long long>(c), other.value);
      }
    }
  }

  // What may be lost between two iterations: ranks are rounded, and centroids to f32.
  double slack(const Clusters& found) const {
    double length = 0;
    for (int64_t i = 0; i < rows_; ++i) {
      const oracle::Distance d = oracle::distance(
          p_.metric(), oracle::prepare(p_.data().row(i), dim()),
          oracle::prepare(found.centroids.data() + found.labels[static_cast<size_t>(i)] * int64_t{dim()},
                          dim()));
      double norm = 0;
      for (int32_t j = 0; j < dim(); ++j) norm += std::pow(value(i, j), 2);
      // Rounding moves a centroid by u of each element: of L2 that adds its square; of the others, whose
      // centroids have length 1, a share u of the row's.
      length += 2 * d.bound + (p_.metric() == NF_L2SQ ? norm * 4 * u * u : 4 * u * std::sqrt(norm));
    }
    return length;
  }

  // In f64, of the rows that carry these labels.
  void check_means(const Clusters& moved, const std::vector<int64_t>& labels) const {
    for (int64_t c = 0; c < options_.clusters; ++c) {
      std::vector<double> mean(static_cast<size_t>(dim()), 0.0);
      double count = 0, lengths = 0, norm = 0;
      for (int64_t i = 0; i < rows_; ++i) {
        if (labels[static_cast<size_t>(i)] != c) continue;
        double squared = 0;
        for (int32_t j = 0; j < dim(); ++j) squared += std::pow(value(i, j), 2);
        const double scale = p_.metric() == NF_COSINE ? 1 / std::sqrt(squared) : 1;
        for (size_t j = 0; j < mean.size(); ++j) mean[j] += scale * value(i, static_cast<int32_t>(j));
        lengths += scale * std::sqrt(squared);
        count += 1;
      }
      if (count == 0) continue;  // repaired
      for (const double x : mean) norm += x * x;
      norm = p_.metric() == NF_L2SQ ? count : std::sqrt(norm);
      if (norm < lengths * 0x1p-16) continue;  // hardly a direction
      for (size_t j = 0; j < mean.size(); ++j) {
        const double wanted = mean[j] / norm;
        const auto got = static_cast<double>(moved.centroids[static_cast<size_t>(c * dim()) + j]);
        // One rounding to f32, and of normalised rows two more of each.
        const double room = (p_.metric() == NF_L2SQ ? 1.01 * std::fabs(wanted) + lengths / count * 0x1p-20
                                                    : 4 * lengths / norm) *
                                u +
                            0x1p-149;
        check(std::fabs(got - wanted) <= room, "centroid %lld, dimension %zu is %.9g, the mean %.17g",
              static_cast<long long>(c), j, got, wanted);
      }
    }
  }

  // Some rows; of dot at length 1, as centroids are.
  std::vector<float> start() const {
    std::vector<float> start;
    for (int32_t c = 0; c < options_.clusters; ++c) {
      const int64_t row = c * rows_ / options_.clusters;
      double norm = 0;
      for (int32_t j = 0; j < dim(); ++j) norm += std::pow(value(row, j), 2);
      norm = p_.metric() == NF_DOT ? std::sqrt(norm) : 1;
      for (int32_t j = 0; j < dim(); ++j)
        start.push_back(static_cast<float>(norm == 0 ? (j == 0 ? 1 : 0) : value(row, j) / norm));
    }
    return start;
  }

  int32_t dim() const { return bench_.spec.dim; }
  int64_t rows() const { return rows_; }
  double value(int64_t row, int32_t j) const { return static_cast<double>(p_.data().row(row)[j]); }

 private:
  const Bench& bench_;
  const Problem& p_;
  int64_t rows_;
  KmeansOptions options_;
};

void require_means(const Bench& bench) {
  if (!bench.backend.supports(NF_OP_KMEANS, bench.spec.metric)) throw NotApplicable("no means");
}

void require_sight(const Bench& bench) {
  if (is_blurred(bench)) throw NotApplicable("labels by products of floats are not those of directions");
}

// Fewer places than clusters: refused with both numbers. True when this is such a case.
bool check_refused(const Bench& bench, const Clustered& all) {
  const int64_t places = all.places();
  if (places >= bench.spec.k) return false;
  Clusters none;
  const Answer answer =
      try_kmeans(bench.backend, bench.context(), bench.problem.data().matrix(), all.options(), &none);
  fails(answer, NF_INVALID_ARGUMENT, "kmeans of few places");
  const std::string wanted = "lie in " + std::to_string(places) + " different places";
  check(answer.message.find(wanted) != std::string::npos, "\"%s\" is not in: %s", wanted.c_str(),
        answer.message.c_str());
  return true;
}

}  // namespace

// Rows are the problem's queries, centroids its rows.
void test_assign(const Bench& bench) {
  const Problem& p = bench.problem;
  Results searched(bench.spec.batch, bench.spec.k, bench.spec.padded),
      assigned(bench.spec.batch, bench.spec.k, bench.spec.padded);
  knn(bench.backend, bench.context(), p.metric(), p.queries().matrix(), p.data().matrix(), &searched);
  assign(bench.backend, bench.context(), p.metric(), p.queries().matrix(), p.data().matrix(), &assigned);
  assigned.check_same(searched, "assign and knn");
  p.check_ranking(assigned);
  nf_context* const small = bench.backend.context({.workspace_limit = uint64_t{1} << 20});
  assign(bench.backend, small, p.metric(), p.queries().matrix(), p.data().matrix(), &assigned);
  assigned.check_same(searched, "assign in little workspace and knn");
  p.check_inputs_unchanged();
}

// Seeded: the inertia falls with each iteration, the answer is the same again.
void test_kmeans(const Bench& bench) {
  require_means(bench);
  const Clustered all(bench);
  if (check_refused(bench, all)) return;
  KmeansOptions options = all.options();
  Clusters last;
  for (int32_t iterations = 1; iterations <= 3; ++iterations) {
    options.iterations = iterations;
    const Clusters found = all.run(options);
    all.check_result(found);
    if (iterations > 1)
      check(found.inertia <= last.inertia + all.slack(last), "the inertia rises from %.17g to %.17g",
            last.inertia, found.inertia);
    last = found;
  }
  check(all.run(options) == last, "the same seed gives another answer");
  KmeansOptions stepped = options;
  stepped.budget_ns = 1;
  const Clusters in_steps = all.run(stepped, bench.backend.context({.threads = 3, .slab_bytes = 1}));
  check(in_steps == last, "in steps, on other threads and slabs, the answer is another");
  check(in_steps.steps > 4, "kmeans in steps of 1 ns takes %lld", static_cast<long long>(in_steps.steps));
  options.wants_rows = false;
  check(all.run(options).centroids == last.centroids, "without labels the centroids are others");
  bench.problem.check_inputs_unchanged();
}

// From a start: means in f64 of the rows that are nearest to it, with weights, with clusters that are empty,
// and on from where it ended.
void test_kmeans_warm(const Bench& bench) {
  require_means(bench);
  require_sight(bench);
  const Clustered all(bench);
  KmeansOptions options = all.options();
  options.start = all.start();
  options.iterations = 1;
  if (all.places() < bench.spec.k) return;  // test_kmeans has it
  Results nearest(all.rows(), 1);
  assign(bench.backend, bench.context(), options.metric, bench.problem.data().matrix(),
         matrix_of(options.start, all.dim()), &nearest);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < all.rows(); ++i) labels.push_back(nearest.row(i, 0));
  const bool has_empty =
      std::set<int64_t>(labels.begin(), labels.end()).size() < static_cast<size_t>(options.clusters);
  const Clusters moved = all.run(options);
  if (!has_empty) all.check_means(moved, labels);
  all.check_result(moved);

  // A weight of 2 is the row twice: to the bit but for the order of additions.
  Vectors twice(2 * all.rows(), all.dim(), false);
  for (int64_t i = 0; i < twice.rows(); ++i) twice.set_row(i, bench.problem.data().row(i / 2));
  KmeansOptions doubled = options;
  doubled.sample = twice.rows();
  const Clusters of_twice = kmeans(bench.backend, bench.context(), twice.matrix(), doubled);
  doubled.sample = all.rows();
  doubled.weights.assign(static_cast<size_t>(all.rows()), 2.0f);
  const Clusters of_weights = all.run(doubled);
  all.check_result(of_weights, doubled.weights);
  if (!has_empty) {
    check(of_weights.centroids == moved.centroids, "weights of 2 and of 1 give other centroids");
    all.check_means(of_twice, labels);
  }
  // A row of weight 0 has a label and nothing else.
  KmeansOptions light = options;
  light.weights.assign(static_cast<size_t>(all.rows()), 1.0f);
  light.weights[0] = 0;
  if (!has_empty && std::count(labels.begin(), labels.end(), labels[0]) > 1) {
    const Clusters without = all.run(light);
    check(without.labels.size() == labels.size(), "a row of weight 0 has no label");
  }

  // All centroids but one where no row is, or where the first is: the clusters are filled.
  KmeansOptions astray = options;
  astray.iterations = 4;
  for (size_t i = static_cast<size_t>(all.dim()); i < astray.start.size(); ++i)
    astray.start[i] = options.metric == NF_L2SQ ? 1e6f + static_cast<float>(i)
                                                : astray.start[i % static_cast<size_t>(all.dim())];
  all.check_result(all.run(astray));

  // Two and two are four, unless a repair draws anew.
  options.iterations = 2;
  const Clusters half = all.run(options);
  KmeansOptions rest = options;
  rest.start = half.centroids;
  options.iterations = 4;
  if (!has_empty) check(all.run(rest) == all.run(options), "two iterations and two are not four");
}

// Far from all others, however few they are beside them: each group has its centroid.
void test_kmeans_far(const Bench& bench) {
  require_means(bench);
  const bool slow = bench.backend.info().emulated != 0 || bench.backend.info().software != 0;
  const int64_t rows = slow ? 500 : 1'000'000;
  const int32_t dim = bench.spec.dim;
  Vectors data(rows, dim, false);
  Random random(bench.problem.seed());
  const int64_t far[] = {rows / 3, rows / 3 + 1, rows - 1};
  for (int64_t i = 0; i < rows; ++i)
    for (int32_t j = 0; j < dim; ++j)
      data.row(i)[j] = static_cast<float>((j == 0 ? 10 : 0) + 1e-3 * random.gauss());
  for (const int64_t row : far) data.row(row)[1] = 20000;
  KmeansOptions options;
  options.metric = bench.spec.metric;
  options.clusters = static_cast<int32_t>(bench.spec.k);
  options.sample = rows;
  options.iterations = 1;
  options.seed = bench.problem.seed();
  const Clusters found = kmeans(bench.backend, bench.context(), data.matrix(), options);
  for (const int64_t row : far)
    check(found.labels[static_cast<size_t>(row)] == found.labels[static_cast<size_t>(far[0])] &&
              found.labels[static_cast<size_t>(row)] != found.labels[0],
          "row %lld of the far group shares a cluster with the others", static_cast<long long>(row));
}

// So many rows and clusters that a CPU takes them by codes, in tiles: on every path, in steps that end within
// tiles, and with ties. Of an emulated device its time is too much.
void test_kmeans_many(const Bench& bench) {
  const bool on_cpu = bench.backend.row().rfind("cpu", 0) == 0;
  if (!on_cpu && (bench.backend.info().emulated != 0 || bench.backend.info().software != 0))
    throw NotApplicable("too long on an emulated device");
  const Problem& p = bench.problem;
  const int64_t batch = bench.spec.rows;
  Results two(batch, 2), nearest(batch, 1);
  const nf_matrix centroids = p.data().matrix(batch / 3, bench.spec.k);
  knn(bench.backend, bench.context(), p.metric(), p.data().matrix(), centroids, &two);
  std::vector<ContextOptions> paths = {ContextOptions(), {.threads = 3, .slab_bytes = 1}};
  for (const std::string& path : bench.backend.paths()) paths.push_back({.path = path});
  const Clustered all(bench);
  const bool means = bench.backend.supports(NF_OP_KMEANS, p.metric()) && all.places() >= bench.spec.k;
  KmeansOptions options = all.options();
  options.iterations = 3;
  Clusters first;
  if (means) {
    first = all.run(options);
    all.check_result(first);
  }
  for (const ContextOptions& path : paths) {
    const std::string name = path.path.empty() ? "chosen path" : path.path;
    nf_context* const context = bench.backend.context(path);
    assign(bench.backend, context, p.metric(), p.data().matrix(), centroids, &nearest);
    for (int64_t i = 0; i < batch; ++i) nearest.check_same(i, two, i, 1, (name + ": assign and knn").c_str());
    if (!means) continue;
    options.budget_ns = path.threads == 3 ? 1 : -1;
    check(all.run(options, context) == first, "%s: another clustering", name.c_str());
  }
}

// More clusters than one level makes: none is empty, and a cluster is no larger than its rows are apart.
void test_kmeans_levels(const Bench& bench) {
  require_means(bench);
  if (bench.backend.info().emulated != 0 || bench.backend.info().software != 0)
    throw NotApplicable("too long on an emulated device");
  const Clustered all(bench);
  KmeansOptions options = all.options();
  check(bench.spec.k > 4096, "so few clusters are of one level");
  if (all.places() < all.rows()) throw NotApplicable("rows of one place");
  const Clusters found = all.run(options);
  Results nearest(all.rows(), 1);
  assign(bench.backend, bench.context(), options.metric, bench.problem.data().matrix(),
         matrix_of(found.centroids, all.dim()), &nearest);
  std::vector<int64_t> sizes(static_cast<size_t>(bench.spec.k), 0);
  for (int64_t i = 0; i < all.rows(); ++i) {
    check(found.labels[static_cast<size_t>(i)] == nearest.row(i, 0), "row %lld has label %d",
          static_cast<long long>(i), found.labels[static_cast<size_t>(i)]);
    ++sizes[static_cast<size_t>(found.labels[static_cast<size_t>(i)])];
  }
  check(std::count(sizes.begin(), sizes.end(), 0) == 0, "%lld clusters are empty",
        static_cast<long long>(std::count(sizes.begin(), sizes.end(), 0)));
  check(all.run(options) == found, "the same seed gives another answer");
  options.budget_ns = 1'000'000;
  check(all.run(options) == found, "in steps the answer is another");
  // Rows of a start, one for each cluster, are a worse clustering than what two levels find.
  KmeansOptions warm = all.options();
  warm.start = all.start();
  warm.iterations = 1;
  const Clusters started = all.run(warm);
  check(found.inertia <= started.inertia, "two levels end at %.9g, a start of rows at %.9g", found.inertia,
        started.inertia);
}

// No cluster of much more than its share, though most rows lie in one place of many.
void test_kmeans_balanced(const Bench& bench) {
  require_means(bench);
  const int64_t rows = bench.spec.rows;
  const int32_t dim = bench.spec.dim;
  Vectors data(rows, dim, false);
  Random random(bench.problem.seed());
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t group = i % 10 < 8 ? 0 : i % 10 + i / 10 % 4 * 10;
    Random centre(static_cast<uint64_t>(group) + 1);
    for (int32_t j = 0; j < dim; ++j)
      data.row(i)[j] = static_cast<float>(centre.uniform(-10, 10) + random.gauss());
  }
  KmeansOptions options;
  options.metric = bench.spec.metric;
  options.clusters = static_cast<int32_t>(bench.spec.k);
  options.sample = rows;
  options.iterations = 8;
  options.balanced = true;
  const Clusters found = kmeans(bench.backend, bench.context(), data.matrix(), options);
  // Of dot a row weighs its length.
  std::vector<double> masses(static_cast<size_t>(bench.spec.k), 0.0);
  double total = 0;
  for (int64_t i = 0; i < rows; ++i) {
    double squared = 0;
    for (int32_t j = 0; j < dim; ++j) squared += std::pow(static_cast<double>(data.row(i)[j]), 2);
    const double weight = bench.spec.metric == NF_DOT ? std::sqrt(squared) : 1;
    masses[static_cast<size_t>(found.labels[static_cast<size_t>(i)])] += weight;
    total += weight;
  }
  const auto [least, most] = std::minmax_element(masses.begin(), masses.end());
  const double mean = total / static_cast<double>(bench.spec.k);
  check(*least > 0 && *most <= 2 * mean * (1 + 1e-9), "clusters of %.6g to %.6g, the mean is %.6g", *least,
        *most, mean);
  check(kmeans(bench.backend, bench.context(), data.matrix(), options) == found,
        "a balanced clustering is another the second time");
}

// Cancelled between and within steps, too little memory; k = rows; a sample.
void test_kmeans_ends(const Bench& bench) {
  require_means(bench);
  require_sight(bench);
  const Clustered all(bench);
  if (check_refused(bench, all)) return;
  const nf_matrix data = bench.problem.data().matrix();
  KmeansOptions options = all.options();
  Clusters none;
  options.budget_ns = 1;
  for (const int64_t step : {1, 2, 4})
    fails(try_kmeans(bench.backend, bench.context(), data, options, &none, step), NF_CANCELLED,
          "kmeans cancelled");
  options.budget_ns = -1;
  fails(try_kmeans(bench.backend, bench.backend.context({.memory_limit = 1}), data, options, &none),
        NF_RESOURCE_EXHAUSTED, "kmeans in a byte of memory");

  // Of part of the rows: labels of all.
  options.sample = std::max(bench.spec.k, all.rows() / 2);
  all.check_truth(all.run(options));
  options.iterations = 1;
  options.sample = all.rows();
  options.clusters = static_cast<int32_t>(all.rows());
  if (all.places() == all.rows()) {
    const Clusters found = all.run(options);
    const std::set<int32_t> labels(found.labels.begin(), found.labels.end());
    check(static_cast<int64_t>(labels.size()) == all.rows(), "%zu of as many clusters as rows are used",
          labels.size());
  }
}

}  // namespace nearfield::test
