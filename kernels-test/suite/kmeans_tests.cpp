// SPDX-License-Identifier: Apache-2.0
// nf_assign and nf_kmeans. In a case of k-means k is the number of clusters.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "check.hpp"
#include "clustered.hpp"
#include "index.hpp"
#include "kmeans.hpp"
#include "random.hpp"
#include "tests.hpp"

namespace nearfield::test {
namespace {

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
  const int64_t rows = bench.backend.is_slow() ? 500 : 1'000'000;
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
// tiles, and with ties.
void test_kmeans_many(const Bench& bench) {
  require_speed(bench);
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
  require_speed(bench);
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
