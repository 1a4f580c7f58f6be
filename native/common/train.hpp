// SPDX-License-Identifier: Apache-2.0
// A training under way of a flat index whose rows are coded: a sample is read, a basis fitted to it, and all
// rows are coded in it anew, while the index goes on serving.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend.hpp"
#include "checks.hpp"
#include "fit.hpp"
#include "lists.hpp"
#include "live_bits.hpp"

namespace nearfield {

// nf_train, checked.
struct TrainRequest {
  bool own_rows = true;  // else those of `data`
  MatrixView data;
  int64_t sample = 0;  // rows, 0: default_sample_rows()
  uint64_t seed = 0;
  // Of an index with lists, whose sample is list_sample.
  int32_t lists = 0, iterations = 0;
  int64_t list_sample = 0;

  // Of two steps' requests: whether they are of one training.
  bool matches(const TrainRequest& other) const {
    return own_rows == other.own_rows && data.rows == other.data.rows && sample == other.sample &&
           seed == other.seed && lists == other.lists && iterations == other.iterations &&
           list_sample == other.list_sample;
  }
};

// 32 rows a dimension, for each of whose axes that is a standard error of 1 / sqrt(16), and at most 128 MiB
// of them.
constexpr int64_t default_sample_rows(int64_t dim) {
  const int64_t wanted = dim < 128 ? 4096 : 32 * dim, most = (int64_t{1} << 25) / dim;
  return wanted < most ? wanted : most;
}

// Row numbers in the place of their ranks among the live rows, which ascend.
void to_live_rows(const LiveBits& live, std::vector<int64_t>* ranks);

class Training {
 public:
  // What a step works on.
  struct Rows {
    Store& store;
    const LiveBits& live;
    const VectorRules& rules;
    int32_t dim;
    bool dropped;        // codes alone
    const Lists* lists;  // NULL: a row's place is its number
  };

  // `before`: a fit that was given up, or NULL. It is waited for first, so that there is one at a time.
  Training(const TrainRequest& request, std::unique_ptr<Fit> before)
      : request_(request), before_(std::move(before)) {}

  const TrainRequest& request() const { return request_; }
  int64_t position() const { return position_; }  // rows coded anew
  bool is_done() const { return phase_ == Phase::kDone; }
  // The rows of the index have other numbers.
  void renumber();
  // Ends it. What is left must be kept until it is over.
  std::unique_ptr<Fit> give_up();

  // One piece of the work, of a few milliseconds. *waits: it needs the fit, which is not done; the call has
  // waited for `patience`. *fitted: the fit has just come to its end, and rows.store is to get basis() before
  // the next piece.
  Status advance(const Call& call, const Rows& rows, const TrainRequest& now,
                 std::chrono::nanoseconds patience, bool* waits, bool* fitted);
  BasisPtr basis() const { return basis_; }
  double tail_share() const { return tail_share_; }

 private:
  // Codes of an earlier training that came to no end are brought to theirs first: at most two bases are
  // alive.
  enum class Phase { kOutwait, kFinish, kChoose, kRead, kFit, kCode, kDone };
  Status choose(const Call& call, const Rows& rows);
  Status read(const Call& call, const Rows& rows, const TrainRequest& now);

  const TrainRequest request_;
  std::unique_ptr<Fit> before_, fit_;
  Phase phase_ = Phase::kOutwait;
  std::vector<int64_t> numbers_;  // of the sample's rows, in random order
  std::vector<float> sample_;
  BasisPtr basis_;
  double tail_share_ = 0;
  int64_t position_ = 0;
};

// How much less the basis suits the rows that are added than those it was fitted to.
class Loosening {
 public:
  Loosening() = default;
  explicit Loosening(double sample_share) : sample_share_(sample_share) {}
  // Looks at a few of the rows that an add has brought, their `side` as metric.hpp has it.
  void note(const Basis& basis, int32_t metric, const HostRows& rows);
  double value() const;  // as nf_index_info has it

 private:
  double sample_share_ = -1, sum_ = 0;  // below 0: nothing is fitted
  int64_t passed_ = 0, counted_ = 0;
};

}  // namespace nearfield
