// SPDX-License-Identifier: Apache-2.0
// Output buffers with sentinels around and, where row_stride > k, between the results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "nearfield/nearfield.h"

namespace nearfield::test {

class Results {
 public:
  // row_stride is k, or k + 3 when padded.
  Results(int64_t batch, int64_t k, bool padded = false);
  Results(Results&&) = default;  // no copies: the struct for the ABI points into the vectors

  nf_result* abi();
  int64_t batch() const { return batch_; }
  int64_t k() const { return k_; }
  int64_t row(int64_t query, int64_t i) const { return rows_[slot(query, i)]; }
  float distance(int64_t query, int64_t i) const { return distances_[slot(query, i)]; }
  bool certified(int64_t query) const { return certified_[kGuard + static_cast<size_t>(query)] == 1; }
  int32_t rescored(int64_t query) const { return rescored_[kGuard + static_cast<size_t>(query)]; }
  int32_t lists(int64_t query) const { return lists_[kGuard + static_cast<size_t>(query)]; }
  int32_t count(int64_t query) const { return counts_[kGuard + static_cast<size_t>(query)]; }

  // After a successful call: everything but the results is as it was, the counts are in 0..k, entries beyond
  // them are row -1 and NaN, and every answer is certified, but under a cap.
  void check_form(bool capped = false) const;
  // After a failed call: nothing was written.
  void check_untouched() const;

  // Throws unless the first `k` results of a query equal those of another query of `other`, bit for bit.
  void check_same(int64_t query, const Results& other, int64_t other_query, int64_t k,
                  const char* what) const;
  void check_same(const Results& other, const char* what) const;

 private:
  static constexpr size_t kGuard = 16;
  size_t slot(int64_t query, int64_t i) const { return kGuard + static_cast<size_t>(query * stride_ + i); }
  void check_guards(bool untouched) const;

  int64_t batch_;
  int64_t k_;
  int64_t stride_;
  std::vector<int64_t> rows_;
  std::vector<float> distances_;
  std::vector<int32_t> counts_;
  std::vector<uint8_t> certified_;
  std::vector<int32_t> rescored_, lists_;
  nf_result abi_{};
};

}  // namespace nearfield::test
