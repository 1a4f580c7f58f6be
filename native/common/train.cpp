// SPDX-License-Identifier: Apache-2.0
#include "train.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "index.hpp"
#include "metric.hpp"
#include "random.hpp"

namespace nearfield {
namespace {

// 4 MiB of vectors: about 1 ms on a host.
constexpr int64_t kBlockFloats = int64_t{1} << 20;
// Multiplications of a piece of coding: rotating takes dim^2 a row, 10 ms of one core at 8 a nanosecond.
constexpr int64_t kBlockProducts = int64_t{1} << 26;
// A step that can do nothing but wait gives the device back after so long.
constexpr std::chrono::milliseconds kPatience(1);
// One row of so many that are added is looked at, of one add no more than this, and no more than take the
// products of 2,048 rotated dimensions.
constexpr int64_t kLookedAt = 64, kMostLookedAt = 8;
constexpr int64_t kLookedAtProducts = int64_t{1} << 22;
// Shares of a sample below that of the rounding to codes, 1/127^2, are no better to a scan.
constexpr double kLeastShare = 0x1p-14;

int64_t recoded_at_once(const Basis& basis) {
  const int64_t dim = basis.dim;
  const int64_t rows =
      std::min(kBlockFloats / dim, basis.is_rotated() ? kBlockProducts / (dim * dim) : kMaxRows);
  return std::max(kGroupRows, rows / kGroupRows * kGroupRows);
}

}  // namespace

void to_live_rows(const LiveBits& live, std::vector<int64_t>* ranks) {
  int64_t before = 0, word = -1;
  uint32_t bits = 0;
  int64_t passed = 0;  // live rows of the words before `word`, and of it
  for (int64_t& rank : *ranks) {
    while (passed <= rank) {
      before = passed;
      bits = live.words()[++word];
      passed += std::popcount(bits);
    }
    uint32_t left = bits;
    for (int64_t i = before; i < rank; ++i) left &= left - 1;
    rank = word * kGroupRows + std::countr_zero(left);
  }
}

void Training::renumber() {
  if (phase_ != Phase::kRead || !request_.own_rows) return;
  phase_ = Phase::kChoose;
}

std::unique_ptr<Fit> Training::give_up() {
  if (fit_ != nullptr) fit_->give_up();
  return std::move(fit_ != nullptr ? fit_ : before_);
}

Status Training::choose(const Call& call, const Rows& rows) {
  const int64_t all = request_.own_rows ? rows.live.live() : request_.data.rows;
  if (all < 2)
    return error(NF_FAILED_PRECONDITION,
                 "%s: the index holds %lld live rows, a basis is fitted to at least 2", call.operation(),
                 static_cast<long long>(all));
  const int64_t wanted = request_.sample != 0 ? request_.sample : default_sample_rows(rows.dim);
  Random random(request_.seed);
  numbers_ = strata(all, std::min(all, wanted), &random);
  if (request_.own_rows) to_live_rows(rows.live, &numbers_);
  for (size_t i = numbers_.size(); i > 1; --i)
    std::swap(numbers_[i - 1], numbers_[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
  sample_.clear();
  sample_.reserve(numbers_.size() * static_cast<size_t>(rows.dim));
  return {};
}

// The next rows of the sample, as the canonical form sees them.
Status Training::read(const Call& call, const Rows& rows, const TrainRequest& now) {
  const auto dim = static_cast<size_t>(rows.dim);
  const size_t first = sample_.size() / dim;
  const size_t count =
      std::min(numbers_.size() - first, static_cast<size_t>(std::max<int64_t>(1, kBlockFloats / rows.dim)));
  sample_.resize((first + count) * dim);
  float* const to = sample_.data() + first * dim;
  const std::span<const int64_t> block(numbers_.data() + first, count);
  if (request_.own_rows) {
    std::vector<int64_t> places(block.begin(), block.end());
    if (rows.lists != nullptr) rows.lists->to_places(&places);
    NF_TRY(rows.store.read(places, to, rows.dim, call));
  }
  for (size_t i = 0; i < count; ++i) {
    float* const row = to + i * dim;
    double squared = 0;
    if (request_.own_rows) {
      squared = squared_norm(row, rows.dim);
    } else {
      const MatrixView given = now.data.slice(block[i], 1);
      NF_TRY(check_vectors(call, "data row", block[i], rows.rules, given, &squared));
      if (rows.dropped) NF_TRY(check_coded_norm(call, "data row", block[i], rows.rules.metric, squared));
      std::copy_n(given.data, dim, row);
    }
    prepare_query(rows.rules.metric, row, rows.dim, squared, row);
  }
  return {};
}

Status Training::advance(const Call& call, const Rows& rows, const TrainRequest& now,
                         std::chrono::nanoseconds patience, bool* waits, bool* fitted) {
  *waits = *fitted = false;
  int64_t left = 0;
  switch (phase_) {
    case Phase::kOutwait:
      *waits = before_ != nullptr && !before_->is_over(patience);
      if (*waits) return {};
      before_.reset();
      phase_ = Phase::kFinish;
      return {};
    case Phase::kFinish:
      NF_TRY(rows.store.recode(recoded_at_once(*rows.store.basis()), &left, call));
      if (left == 0) phase_ = Phase::kChoose;
      return {};
    case Phase::kChoose:
      NF_TRY(choose(call, rows));
      phase_ = Phase::kRead;
      return {};
    case Phase::kRead:
      NF_TRY(read(call, rows, now));
      if (sample_.size() < numbers_.size() * static_cast<size_t>(rows.dim)) return {};
      NF_TRY(Fit::begin(call.operation(), rows.dim, std::move(sample_), request_.seed, &fit_));
      phase_ = Phase::kFit;
      return {};
    case Phase::kFit:
      *waits = !fit_->is_over(patience);
      if (*waits) return {};
      if (!fit_->status().ok())
        return Status(fit_->status().code(), std::string(call.operation()) + ": " + fit_->status().message());
      basis_ = fit_->basis();
      tail_share_ = fit_->tail_share();
      fit_.reset();
      *fitted = true;
      phase_ = Phase::kCode;
      return {};
    case Phase::kCode:
      NF_TRY(rows.store.recode(recoded_at_once(*rows.store.basis()), &left, call));
      position_ = std::max<int64_t>(0, rows.live.rows() - left);
      if (left == 0) phase_ = Phase::kDone;
      return {};
    case Phase::kDone:
      break;
  }
  return {};
}

Status Index::train(const Call& call, const TrainRequest& request, nf_step* step) {
  const bool too_late = options_.drop_rows && rows() != 0;
  // A step that fails ends the work.
  struct Ending {
    Index& index;
    std::unique_ptr<Training> training;
    ~Ending() {
      if (training != nullptr) index.given_up_ = training->give_up();
    }
  } work{*this, std::move(training_)};
  std::unique_ptr<Training>& training = work.training;
  if (training != nullptr &&
      (!training->request().matches(request) || training->position() != step->position)) {
    given_up_ = training->give_up();
    training.reset();
  }
  if (training == nullptr) training = std::make_unique<Training>(request, std::move(given_up_));

  if (too_late)
    return error(
        NF_FAILED_PRECONDITION,
        "%s: the index holds %lld rows as codes alone, whose basis can only be fitted before the first add",
        call.operation(), static_cast<long long>(rows()));
  const auto start = Call::Clock::now();
  while (!training->is_done()) {
    NF_TRY(call.poll());
    const std::chrono::nanoseconds budget(step->budget_ns);
    bool waits = false, fitted = false;
    NF_TRY(training->advance(
        call,
        {*store_, live_, rules_, dim(), options_.drop_rows, listed_ != nullptr ? &listed_->lists : nullptr},
        request, step->budget_ns != 0 ? std::min<std::chrono::nanoseconds>(budget, kPatience) : kPatience,
        &waits, &fitted));
    if (fitted) {
      compaction_.reset();  // their copies have the codes of before
      list_compaction_.reset();
      list_maintenance_.reset();
      store_->set_basis(training->basis());
      loosening_ = Loosening(training->tail_share());
    }
    call.progress(kPhaseTrain, training->position(), rows());
    if (step->budget_ns != 0 && (waits || Call::Clock::now() - start >= budget)) break;
  }
  step->position = training->position();
  step->done = training->is_done() ? 1 : 0;
  if (step->done == 0) {
    training_ = std::move(training);
  } else {
    trained_ = true;
    training.reset();
  }
  return {};
}

void Loosening::note(const Basis& basis, int32_t metric, const HostRows& rows) {
  if (sample_share_ < 0) return;
  const auto dim = static_cast<int64_t>(basis.dim);
  const int64_t most = std::clamp(kLookedAtProducts / (dim * dim), int64_t{1}, kMostLookedAt);
  std::vector<float> row(static_cast<size_t>(dim));
  const int64_t first = (kLookedAt - passed_ % kLookedAt) % kLookedAt;
  passed_ += rows.rows;
  if (first >= rows.rows) return;
  // Of a large add, evenly.
  const int64_t looked_at = std::min(most, (rows.rows - first - 1) / kLookedAt + 1);
  for (int64_t i = 0; i < looked_at; ++i) {
    const int64_t at = first + (rows.rows - first) / looked_at * i;
    const float* const from = rows.data + at * rows.stride;
    const float scale = metric == NF_COSINE ? rows.side[at] : 1;
    std::transform(from, from + dim, row.begin(), [scale](float value) { return value * scale; });
    sum_ += tail_share(basis, row.data());
    ++counted_;
  }
}

double Loosening::value() const {
  if (counted_ == 0) return 0;
  return sum_ / static_cast<double>(counted_) / std::max(sample_share_, kLeastShare);
}

}  // namespace nearfield
