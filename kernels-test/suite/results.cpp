// SPDX-License-Identifier: Apache-2.0
#include "results.hpp"

#include <bit>
#include <cmath>

#include "check.hpp"

namespace nearfield::test {
namespace {

// No row, distance, count or flag has these values.
constexpr int64_t kRow = 0x5E5E5E5E5E5E5E5E;
constexpr float kDistance = std::bit_cast<float>(0x7F5E5E5Eu);  // 2.96e38
constexpr int32_t kCount = 0x5E5E5E5E;
constexpr uint8_t kFlag = 0x5E;

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

}  // namespace

Results::Results(int64_t batch, int64_t k, bool padded)
    : batch_(batch),
      k_(k),
      stride_(k + (padded ? 3 : 0)),
      rows_(2 * kGuard + static_cast<size_t>(batch * stride_), kRow),
      distances_(rows_.size(), kDistance),
      counts_(2 * kGuard + static_cast<size_t>(batch), kCount),
      certified_(counts_.size(), kFlag),
      rescored_(counts_.size(), kCount),
      lists_(counts_.size(), kCount) {
  abi_.struct_size = sizeof(abi_);
  abi_.k = static_cast<int32_t>(k);
  abi_.rows = rows_.data() + kGuard;
  abi_.distances = distances_.data() + kGuard;
  abi_.row_stride = stride_;
  abi_.count = counts_.data() + kGuard;
  abi_.certified = certified_.data() + kGuard;
  abi_.rescored = rescored_.data() + kGuard;
  abi_.lists_scanned = lists_.data() + kGuard;
}

nf_result* Results::abi() { return &abi_; }

void Results::check_guards(bool untouched) const {
  for (size_t i = 0; i < rows_.size(); ++i) {
    const auto at = static_cast<int64_t>(i) - static_cast<int64_t>(kGuard);
    const bool outside = at < 0 || at >= batch_ * stride_ || at % stride_ >= k_;
    if (!outside && !untouched) continue;
    check(rows_[i] == kRow, "rows[%lld] was written to (now %lld): %s", static_cast<long long>(at),
          static_cast<long long>(rows_[i]), outside ? "it is no result" : "the call failed");
    check(same_bits(distances_[i], kDistance), "distances[%lld] was written to (now %g): %s",
          static_cast<long long>(at), static_cast<double>(distances_[i]),
          outside ? "it is no result" : "the call failed");
  }
  for (size_t i = 0; i < counts_.size(); ++i) {
    const auto at = static_cast<int64_t>(i) - static_cast<int64_t>(kGuard);
    if (at >= 0 && at < batch_ && !untouched) continue;
    check(counts_[i] == kCount, "count[%lld] was written to", static_cast<long long>(at));
    check(certified_[i] == kFlag, "certified[%lld] was written to", static_cast<long long>(at));
    check(rescored_[i] == kCount, "rescored[%lld] was written to", static_cast<long long>(at));
    check(lists_[i] == kCount, "lists_scanned[%lld] was written to", static_cast<long long>(at));
  }
}

void Results::check_form(bool capped) const {
  check_guards(false);
  for (int64_t q = 0; q < batch_; ++q) {
    const auto query = static_cast<long long>(q);
    const int32_t found = count(q);
    check(found >= 0 && found <= k_, "count[%lld]=%d, k=%lld", query, found, static_cast<long long>(k_));
    const uint8_t flag = certified_[kGuard + static_cast<size_t>(q)];
    check(flag == 1 || (capped && flag == 0), "certified[%lld]=%d %s a cap", query, flag,
          capped ? "under" : "without");
    const int32_t rescored = rescored_[kGuard + static_cast<size_t>(q)];
    check(rescored >= 0 && rescored != kCount, "rescored[%lld]=%d", query, rescored);
    check(lists(q) >= 0 && lists(q) != kCount, "lists_scanned[%lld]=%d", query, lists(q));
    for (int64_t i = found; i < k_; ++i) {
      check(row(q, i) == -1 && std::isnan(distance(q, i)),
            "query %lld: count is %d, but result %lld is row %lld at %g instead of -1 at NaN", query, found,
            static_cast<long long>(i), static_cast<long long>(row(q, i)),
            static_cast<double>(distance(q, i)));
    }
  }
}

void Results::check_untouched() const { check_guards(true); }

void Results::check_same(int64_t query, const Results& other, int64_t other_query, int64_t k,
                         const char* what) const {
  for (int64_t i = 0; i < k; ++i) {
    // All NaN are the missing result.
    const bool same = row(query, i) == other.row(other_query, i) &&
                      (row(query, i) == -1 || same_bits(distance(query, i), other.distance(other_query, i)));
    check(same, "%s: query %lld, result %lld is row %lld at %.9g and row %lld at %.9g", what,
          static_cast<long long>(query), static_cast<long long>(i), static_cast<long long>(row(query, i)),
          static_cast<double>(distance(query, i)), static_cast<long long>(other.row(other_query, i)),
          static_cast<double>(other.distance(other_query, i)));
  }
}

void Results::check_same(const Results& other, const char* what) const {
  check(batch_ == other.batch_ && k_ == other.k_, "%s: shapes differ", what);
  for (int64_t q = 0; q < batch_; ++q) {
    check_same(q, other, q, k_, what);
    check(count(q) == other.count(q), "%s: query %lld has count %d and %d", what, static_cast<long long>(q),
          count(q), other.count(q));
  }
}

}  // namespace nearfield::test
