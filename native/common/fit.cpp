// SPDX-License-Identifier: Apache-2.0
#include "fit.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <numeric>
#include <system_error>

#include "axes.hpp"
#include "code_layout.hpp"
#include "coded_query.hpp"
#include "float_mode.hpp"
#include "signals.hpp"

namespace nearfield {
namespace {

// One row in so many is left out, the farthest: a row at 1e6 among others at 1 would be the first axis, and
// its place in the mean keeps 99.9% of all rows from being left out (docs/numerics.md).
constexpr int64_t kOutliers = 100;
// A rotation must read less than this share of what is read without: below that the rows pay for being
// rotated on their way in, and a spectrum that is flat gains nothing.
constexpr double kWorthRotating = 0.95;
// That is judged on this share of the sample, which the axes have not seen: on the rows of the axes, noise
// fitted by them looked like 0.95 of what is read at 128 dimensions of a flat spectrum.
constexpr int64_t kJudges = 4;
// More than rounding to f32 can leave, which is 2^-24 sqrt(dim): an R that is none.
constexpr double kLargestDeparture = 0x1p-10;
// Factors that round more than so many times what R does, in place of 2 to 3, are not worth their speed.
constexpr double kRoughest = 4;
// Of read_share(): queries, and the largest number of multiplications for rotating the other rows (1 s).
constexpr int64_t kQueries = 32;
constexpr int64_t kRotations = int64_t{1} << 31;

std::vector<double> mean_of(const SampleRows& sample) {
  std::vector<double> mean(static_cast<size_t>(sample.dim));
  for (size_t i = 0; i < sample.kept.size(); ++i)
    for (size_t j = 0; j < mean.size(); ++j) mean[j] += static_cast<double>(sample.row(i)[j]);
  for (double& value : mean) value /= static_cast<double>(sample.kept.size());
  return mean;
}

// The rows but for the farthest from their mean.
std::vector<int64_t> without_outliers(const SampleRows& all) {
  std::vector<int64_t> kept(all.kept.begin(), all.kept.end());
  const auto count = static_cast<int64_t>(kept.size());
  const int64_t out = (count + kOutliers - 1) / kOutliers;
  if (count - out < 2) return kept;
  const std::vector<double> mean = mean_of(all);
  std::vector<double> distances(kept.size());
  for (size_t i = 0; i < kept.size(); ++i)
    for (size_t j = 0; j < mean.size(); ++j) {
      const double difference = static_cast<double>(all.row(i)[j]) - mean[j];
      distances[i] += difference * difference;
    }
  const auto nearer = [&](int64_t a, int64_t b) {
    const double first = distances[static_cast<size_t>(a)], second = distances[static_cast<size_t>(b)];
    return first < second || (first == second && a < b);
  };
  std::nth_element(kept.begin(), kept.begin() + (count - out), kept.end(), nearer);
  kept.resize(static_cast<size_t>(count - out));
  std::sort(kept.begin(), kept.end());
  return kept;
}

// A row's coordinates, with |y from level l on| for every l, and the error of its codes.
struct Row {
  std::vector<float> y;
  std::vector<double> tails;
  double error = 0;
};

Row coordinates(const Basis& basis, const float* vector) {
  const auto level = static_cast<size_t>(basis.level_dims), dim = static_cast<size_t>(basis.dim);
  Row row;
  row.y.resize(dim);
  rotate_query(basis, NF_L2SQ, vector, row.y.data());
  float most = 0;
  for (const float value : row.y) most = std::max(most, std::fabs(value));
  const double scale = std::max(static_cast<double>(most) / 127, static_cast<double>(kLeastScale));
  row.tails.assign((dim + level - 1) / level + 1, 0.0);
  double tail = 0, error = 0;
  for (size_t i = dim; i-- > 0;) {
    const auto value = static_cast<double>(row.y[i]);
    const double rest = value - scale * std::nearbyint(value / scale);
    error += rest * rest;
    tail += value * value;
    if (i % level == 0) row.tails[i / level] = std::sqrt(tail);
  }
  row.error = std::sqrt(error);
  return row;
}

double distance(const Row& a, const Row& b) {
  double sum = 0;
  for (size_t i = 0; i < a.y.size(); ++i) {
    const double difference = static_cast<double>(a.y[i]) - static_cast<double>(b.y[i]);
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

// Levels that a scan reads of rows [begin, end) before no row of them can be within the limit.
size_t levels_read(const Basis& basis, const Row& query, const std::vector<Row>& rows, size_t begin,
                   size_t end, double limit) {
  const auto level = static_cast<size_t>(basis.level_dims);
  const size_t levels = query.tails.size() - 1;
  std::vector<double> seen(end - begin);
  for (size_t l = 0; l < levels; ++l) {
    bool needed = false;
    for (size_t r = begin; r < end; ++r) {
      for (size_t i = l * level; i < std::min(query.y.size(), (l + 1) * level); ++i) {
        const double difference = static_cast<double>(query.y[i]) - static_cast<double>(rows[r].y[i]);
        seen[r - begin] += difference * difference;
      }
      const double tails = query.tails[l + 1] - rows[r].tails[l + 1], reach = limit + rows[r].error;
      needed = needed || seen[r - begin] + tails * tails <= reach * reach;
    }
    if (!needed) return l + 1;
  }
  return levels;
}

}  // namespace

double tail_share(const Basis& basis, const float* row) {
  std::vector<float> y(static_cast<size_t>(basis.dim));
  rotate_query(basis, NF_L2SQ, row, y.data());
  double head = 0, tail = 0;
  for (size_t i = 0; i < y.size(); ++i)
    (i < y.size() / 4 ? head : tail) += static_cast<double>(y[i]) * static_cast<double>(y[i]);
  return tail > 0 ? tail / (head + tail) : 0;
}

double read_share(const Basis& basis, std::span<const float> sample) {
  const int64_t dim = basis.dim, rows = static_cast<int64_t>(sample.size()) / dim;
  const int64_t queries = std::min(kQueries, rows / 2);
  const int64_t others =
      std::min(rows - queries, std::clamp(kRotations / (dim * dim), int64_t{512}, int64_t{4096}));
  if (queries < 1) return 1;
  std::vector<Row> looked_at;
  for (int64_t i = 0; i < others; ++i)
    looked_at.push_back(coordinates(basis, sample.data() + (queries + i) * dim));
  size_t read = 0, whole = 0;
  for (int64_t q = 0; q < queries; ++q) {
    const Row query = coordinates(basis, sample.data() + q * dim);
    double limit = std::numeric_limits<double>::infinity();
    for (const Row& row : looked_at) limit = std::min(limit, distance(query, row));
    for (size_t begin = 0; begin < looked_at.size(); begin += kGroupRows) {
      const size_t end = std::min<size_t>(begin + kGroupRows, looked_at.size());
      read += levels_read(basis, query, looked_at, begin, end, limit);
      whole += query.tails.size() - 1;
    }
  }
  return static_cast<double>(read) / static_cast<double>(whole);
}

Fit::Fit(int32_t dim, std::vector<float> sample, uint64_t seed)
    : dim_(dim), seed_(seed), sample_(std::move(sample)) {}

Status Fit::begin(const char* operation, int32_t dim, std::vector<float> sample, uint64_t seed,
                  std::unique_ptr<Fit>* out) {
  std::unique_ptr<Fit> made(new Fit(dim, std::move(sample), seed));
  try {
    const SignalsBlocked blocked;
    made->thread_ = std::thread([raw = made.get()] { raw->run(); });
  } catch (const std::system_error& failure) {
    return Status(NF_RESOURCE_EXHAUSTED,
                  std::string(operation) + ": the system starts no thread for the fit (" +
                      failure.code().message() + ")",
                  failure.code().value());
  }
  *out = std::move(made);
  return {};
}

Fit::~Fit() {
  give_up();
  if (thread_.joinable()) thread_.join();
}

bool Fit::is_over(std::chrono::nanoseconds patience) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, patience, [this] { return over_; });
}

void Fit::run() {
  const DefaultFloatMode mode;
  Status status;
  try {
    if (!fit()) status = Status(NF_CANCELLED, "the fit was given up");
  } catch (const std::bad_alloc&) {  // texts so short that they need none
    status = Status(NF_RESOURCE_EXHAUSTED, "no host memory");
  } catch (...) {
    status = Status(NF_INTERNAL, "exception");
  }
  sample_ = {};
  const std::lock_guard lock(mutex_);
  status_ = std::move(status);
  over_ = true;
  ended_.notify_all();
}

// False when given up.
bool Fit::fit() {
  std::vector<int64_t> all(sample_.size() / static_cast<size_t>(dim_));
  std::iota(all.begin(), all.end(), int64_t{0});
  const std::vector<int64_t> kept = without_outliers({sample_.data(), dim_, all});
  const SampleRows rows{sample_.data(), dim_, kept};
  if (stop_) return false;

  auto centred = std::make_shared<Basis>();
  centred->dim = dim_;
  centred->level_dims = default_level_dims(dim_);
  for (const double value : mean_of(rows)) centred->mean.push_back(static_cast<float>(value));
  basis_ = centred;

  if (dim_ > 1 && dim_ <= kMostRotatedDim) {
    auto rotated = std::make_shared<Basis>(*centred);
    const auto count = static_cast<int64_t>(all.size());
    const int64_t judged_from = count - count / kJudges;
    const std::span<const float> judges = std::span(sample_).subspan(static_cast<size_t>(judged_from * dim_));
    const auto seen = std::lower_bound(kept.begin(), kept.end(), judged_from) - kept.begin();
    const SampleRows shown{sample_.data(), dim_, std::span(kept).first(static_cast<size_t>(seen))};
    if (!find_axes(shown, centred->mean.data(), seed_, stop_, &rotated->rotation, &rotated->factors))
      return false;
    if (rotated->is_rotated()) {
      if (!measure_axes(rotated->rotation, dim_, stop_, &rotated->departure)) return false;
      if (rotated->factors.count != 0 &&
          !measure_factors(rotated->rotation, dim_, rotated->departure, stop_, &rotated->factors))
        return false;
      if (rotated->factors.rounding > kRoughest * rotated->rounding()) rotated->factors = {};
      if (rotated->departure <= kLargestDeparture &&
          read_share(*rotated, judges) < kWorthRotating * read_share(*centred, judges))
        basis_ = std::move(rotated);
    }
  }
  double shares = 0;
  constexpr size_t kShareRows = 512;
  const size_t counted = std::min(kept.size(), kShareRows);
  for (size_t i = 0; i < counted; ++i) shares += nearfield::tail_share(*basis_, rows.row(i));
  tail_share_ = shares / static_cast<double>(counted);
  return !stop_;
}

}  // namespace nearfield
