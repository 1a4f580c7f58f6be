// SPDX-License-Identifier: Apache-2.0
// Indexes that keep int8 codes alone answer for what their codes decode to: bit for bit as an index of the
// rows that `read` gives, whatever has changed since, and no farther from the rows they were given than they
// say.
#include <algorithm>
#include <cmath>

#include "check.hpp"
#include "index.hpp"
#include "random.hpp"
#include "tests.hpp"

namespace nearfield::test {

namespace {

void require_codes_alone(const Bench& bench) {
  auto what = nf_capability{};
  what.struct_size = sizeof(what);
  what.op = NF_OP_INDEX;
  what.index_kind = NF_FLAT;
  what.metric = bench.spec.metric;
  what.input_dtype = NF_F32;
  what.store_dtype = what.scan_dtype = NF_I8;
  if (bench.backend.api().supports(bench.context(), &what) != 1)
    throw NotApplicable(text("no codes without rows for %s", metric_name(bench.spec.metric)));
}

std::vector<int64_t> all_rows(int64_t count) {
  std::vector<int64_t> rows(static_cast<size_t>(count));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  return rows;
}

// An index of codes alone, and the rows that it was given.
class Alone {
 public:
  Alone(const Bench& bench, const ContextOptions& options)
      : bench_(bench),
        context_(bench.backend.context(options)),
        path_(options.path.empty() ? "chosen path" : options.path),
        index_(bench.backend, context_, bench.spec.metric, bench.spec.dim, 0, NF_I8, NF_DROP_F32) {}

  Index& index() { return index_; }
  const std::string& path() const { return path_; }

  void add(const Vectors& from, int64_t first, int64_t count) {
    index_.add(from.matrix(first, count));
    for (int64_t i = 0; i < count; ++i) given_.push_back(from.row(first + i));
  }
  void replace(const std::vector<int64_t>& rows, const Vectors& data) {
    index_.replace(rows, data.matrix(0, static_cast<int64_t>(rows.size())));
    for (size_t i = 0; i < rows.size(); ++i)
      given_[static_cast<size_t>(rows[i])] = data.row(static_cast<int64_t>(i));
  }
  void set_live(const std::vector<int64_t>& rows, bool live) {
    index_.set_live(rows, live);
    dead_ = live ? std::vector<int64_t>() : rows;
  }
  // What is read is the same before and after.
  void compact() {
    const Vectors before = index_.read(all_rows(static_cast<int64_t>(given_.size())));
    const std::vector<int64_t> numbers = index_.compact();
    std::vector<const float*> left;
    std::vector<int64_t> from;
    for (size_t row = 0; row < numbers.size(); ++row)
      if (numbers[row] >= 0) {
        left.push_back(given_[row]);
        from.push_back(static_cast<int64_t>(row));
      }
    given_ = left;
    dead_.clear();
    const Vectors after = index_.read(all_rows(static_cast<int64_t>(given_.size())));
    for (size_t row = 0; row < from.size(); ++row)
      check(std::equal(after.row(static_cast<int64_t>(row)),
                       after.row(static_cast<int64_t>(row)) + bench_.spec.dim, before.row(from[row])),
            "%s: row %zu reads otherwise after a compaction", path_.c_str(), row);
  }

  void compare(const char* when) {
    const std::string what = path_ + ", " + when;
    const auto count = static_cast<int64_t>(given_.size());
    const Vectors read = index_.read(all_rows(count));
    Index plain(bench_.backend, context_, bench_.spec.metric, bench_.spec.dim);
    plain.add(read.matrix());
    plain.set_live(dead_, false);
    compare_searches(plain, count, what);
    compare_scores(plain, read, what);
  }

 private:
  void compare_searches(Index& plain, int64_t count, const std::string& what) {
    const int64_t batch = bench_.spec.batch, k = bench_.spec.k;
    const Vectors& queries = bench_.problem.queries();
    Results wanted(batch, k), found(batch, k);
    plain.search(queries.matrix(), &wanted);
    index_.search(queries.matrix(), &found);
    found.check_same(wanted, what.c_str());
    for (int64_t q = 0; q < batch; ++q)
      check(!found.certified(q), "%s: query %lld is certified", what.c_str(), static_cast<long long>(q));
    for (int64_t q = 0; q < std::min<int64_t>(2, batch); ++q) {
      Results one(1, k);
      index_.search(queries.matrix(q, 1), &one);
      one.check_same(0, wanted, q, k, (what + ", alone").c_str());
    }
    SearchOptions options;
    options.max_oversample = 1e9f;
    index_.search(queries.matrix(), &found, options);
    found.check_same(wanted, (what + ", under a wide cap").c_str());
    for (const int64_t step : {int64_t{3}, int64_t{50}}) {
      Filters filters;
      filters.add_bits(bitset(count, [step](int64_t row) { return row % step == 1; }));
      options = {};
      options.filters = &filters;
      plain.search(queries.matrix(), &wanted, options);
      index_.search(queries.matrix(), &found, options);
      found.check_same(wanted, (what + ", filtered").c_str());
    }
  }

  void compare_scores(Index& plain, const Vectors& read, const std::string& what) {
    const auto count = static_cast<int64_t>(given_.size());
    const std::vector<int64_t> offsets{0, count};
    const nf_matrix query = bench_.problem.queries().matrix(0, 1);
    std::vector<float> errors;
    const std::vector<float> found = index_.score(query, offsets, all_rows(count), &errors);
    const std::vector<float> wanted = plain.score(query, offsets, all_rows(count));
    for (int64_t row = 0; row < count; ++row) {
      const auto i = static_cast<size_t>(row);
      check(std::isnan(found[i]) == std::isnan(wanted[i]) && (std::isnan(found[i]) || found[i] == wanted[i]),
            "%s: row %lld scores %.9g, read and scored %.9g", what.c_str(), static_cast<long long>(row),
            static_cast<double>(found[i]), static_cast<double>(wanted[i]));
      if (std::isnan(found[i])) {
        check(std::isnan(errors[i]), "%s: dead row %lld has an error", what.c_str(),
              static_cast<long long>(row));
        continue;
      }
      double squared = 0, rest = 0, largest = 0;
      for (int32_t j = 0; j < bench_.spec.dim; ++j) squared += std::pow(static_cast<double>(given_[i][j]), 2);
      const double scale = bench_.spec.metric == NF_COSINE ? 1 / std::sqrt(squared) : 1;
      for (int32_t j = 0; j < bench_.spec.dim; ++j) {
        const double exact = scale * static_cast<double>(given_[i][j]);
        rest += std::pow(exact - static_cast<double>(read.row(row)[j]), 2);
        largest = std::max(largest, std::fabs(exact));
      }
      // Normalising in f32 rounds twice.
      const double room = bench_.spec.metric == NF_COSINE ? 3 * 0x1p-24 : 0;
      check(std::sqrt(rest) <= static_cast<double>(errors[i]) * (1 + 1e-12) + room,
            "%s: row %lld is %.9g from what it decodes to, its error is %.9g", what.c_str(),
            static_cast<long long>(row), std::sqrt(rest), static_cast<double>(errors[i]));
      check(static_cast<double>(errors[i]) <= std::sqrt(rest) * (1 + 1e-6) + 2 * room + 0x1p-149,
            "%s: row %lld is %.9g from what it decodes to, its error is said to be %.9g", what.c_str(),
            static_cast<long long>(row), std::sqrt(rest), static_cast<double>(errors[i]));
    }
  }

  const Bench& bench_;
  nf_context* context_;
  std::string path_;
  Index index_;
  std::vector<const float*> given_;  // per row
  std::vector<int64_t> dead_;
};

void check_refusals(const Bench& bench, Alone* alone) {
  Results results(bench.spec.batch, bench.spec.k);
  SearchOptions options;
  options.flags = NF_EXACT;
  const Answer exact = alone->index().try_search(bench.problem.queries().matrix(), &results, options);
  check(exact.code == NF_FAILED_PRECONDITION, "NF_EXACT of codes alone answers %d", exact.code);
  results.check_untouched();
  nf_step step{};
  const Answer late = alone->index().try_train(0, 3, &step);
  check(late.code == NF_FAILED_PRECONDITION, "a training after the first add answers %d", late.code);
}

// What rows of 2^48 decode to is longer or shorter, can be added all the same, in another basis too, and over
// again; rows beyond 2^50 cannot.
void check_longest(const Bench& bench, const ContextOptions& path) {
  if (bench.spec.metric == NF_COSINE) return;
  const int32_t dim = bench.spec.dim;
  Vectors rows(64, dim, bench.spec.padded);
  Random random(bench.problem.seed() + 5);
  for (int64_t i = 0; i < rows.rows(); ++i) {
    std::vector<double> row(static_cast<size_t>(dim));
    double squared = 0;
    for (double& x : row) {
      // Half of them grow most: one element of 127 steps, and others that are rounded from a half up.
      x = i % 2 != 0 ? random.gauss() : &x == row.data() ? 127 : 0.51;
      squared += x * x;
    }
    const double scale = 0x1p48 * (1 - 0x1p-20) / std::sqrt(squared);  // each is rounded by 2^-24
    for (int32_t j = 0; j < dim; ++j)
      rows.row(i)[j] = static_cast<float>(row[static_cast<size_t>(j)] * scale);
  }
  nf_context* const context = bench.backend.context(path);
  Vectors held = rows;
  for (int generation = 0; generation < 3; ++generation) {
    Index index(bench.backend, context, bench.spec.metric, dim, 0, NF_I8, NF_DROP_F32);
    if (generation != 1) index.train_on(held.matrix(), 11);
    index.add(held.matrix());
    held = index.read(all_rows(held.rows()));
  }
  Index index(bench.backend, context, bench.spec.metric, dim, 0, NF_I8, NF_DROP_F32);
  Vectors longer(1, dim, bench.spec.padded);
  std::fill_n(longer.row(0), dim, 0.0f);
  longer.row(0)[dim - 1] = 0x1.000002p50f;
  int64_t first = -1;
  const Answer answer = index.try_add(longer.matrix(), &first);
  check(answer.code == NF_INVALID_ARGUMENT, "a row longer than 2^50 is answered %d", answer.code);
}

}  // namespace

void test_codes_alone(const Bench& bench) {
  require_codes_alone(bench);
  const Problem& p = bench.problem;
  const int64_t rows = bench.spec.rows, first = rows * 2 / 3 + 1;
  for (int64_t row = 0; row < rows; ++row) {
    double squared = 0;
    for (int32_t j = 0; j < bench.spec.dim; ++j)
      squared += std::pow(static_cast<double>(p.data().row(row)[j]), 2);
    if (p.metric() != NF_COSINE && squared > 0x1p100) throw NotApplicable("rows too long for codes alone");
  }
  Vectors fresh((rows + 4) / 5, bench.spec.dim, bench.spec.padded);
  generate(bench.spec.data, p.metric(), p.seed(), p.seed() + 3, &fresh);
  std::vector<int64_t> replaced, removed;
  for (int64_t row = 2; row < rows; row += 5) replaced.push_back(row);
  for (int64_t row = 3; row < rows; row += 4) removed.push_back(row);
  // Where codes are forced, unless another path is, and what is chosen for so few rows.
  std::vector<ContextOptions> paths;
  if (!bench.backend.paths().empty()) paths = code_paths(bench);
  paths.push_back({.threads = 2, .slab_bytes = bench.spec.tiny_slabs ? 1u : 0u});
  check_longest(bench, paths.front());
  for (const ContextOptions& path : paths)
    for (const bool trained : {true, false}) {
      Alone alone(bench, path);
      if (trained) alone.index().train_on(p.data().matrix(), 7);
      const nf_index_info info = alone.index().info();
      check(info.trained == (trained ? 1 : 0), "trained=%d", info.trained);
      alone.add(p.data(), 0, first);
      alone.compare(trained ? "trained" : "not trained");
      check_refusals(bench, &alone);
      for (int64_t row = first; row < rows; row += 40)
        alone.add(p.data(), row, std::min<int64_t>(40, rows - row));
      alone.replace(replaced, fresh);
      alone.set_live(removed, false);
      alone.compare("added, replaced and removed");
      alone.compact();
      alone.compare("compacted");
      const nf_index_info after = alone.index().info();
      check(after.certified == 0 && after.code_bytes <= after.device_bytes, "%lld answers certified",
            static_cast<long long>(after.certified));
    }
  p.check_inputs_unchanged();
}

}  // namespace nearfield::test
