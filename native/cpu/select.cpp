// SPDX-License-Identifier: Apache-2.0
#include "select.hpp"

#include <algorithm>

namespace nearfield::cpu {

namespace {
// A type of its own, where a pointer to better() would be called for each comparison.
constexpr auto kBetter = [](const Hit& a, const Hit& b) { return better(a, b); };
}  // namespace

void Queue::reset(int64_t k) {
  k_ = k;
  worst_ = none();
  hits_.clear();
  if (k <= kSorted) hits_.reserve(static_cast<size_t>(k));
}

void Queue::resume(int64_t k, float limit) {
  k_ = k;
  worst_ = last_of(limit);
  std::erase_if(hits_, [&](const Hit& hit) { return !better(hit, worst_); });
  if (static_cast<int64_t>(hits_.size()) >= k_)
    worst_ = *std::max_element(hits_.begin(), hits_.end(), kBetter);
}

void Queue::insert(const Hit& hit) {
  if (static_cast<int64_t>(hits_.size()) == k_) hits_.pop_back();
  hits_.insert(std::upper_bound(hits_.begin(), hits_.end(), hit, kBetter), hit);
  if (static_cast<int64_t>(hits_.size()) == k_) worst_ = hits_.back();
}

void Queue::append(const Hit& hit) {
  if (hits_.size() == hits_.capacity())
    hits_.reserve(std::min(static_cast<size_t>(2 * k_), std::max<size_t>(kSorted, 2 * hits_.size())));
  hits_.push_back(hit);
  const auto size = static_cast<int64_t>(hits_.size());
  if (size == k_) {  // for the first time: below, a full buffer is cut back to k and grows from there
    worst_ = *std::max_element(hits_.begin(), hits_.end(), kBetter);
  } else if (size == 2 * k_) {
    const auto last = hits_.begin() + k_ - 1;
    std::nth_element(hits_.begin(), last, hits_.end(), kBetter);
    worst_ = *last;
    hits_.resize(static_cast<size_t>(k_));
  }
}

uint64_t Queue::most_bytes(int64_t k, int64_t rows) {
  const int64_t hits = k <= kSorted ? k : std::min(2 * k, 2 * std::max(rows, kSorted));  // grown by doubling
  return static_cast<uint64_t>(hits) * sizeof(Hit);
}

void merge(std::vector<Hit>* scratch, int64_t k, Hit* out) {
  const auto found = std::min(k, static_cast<int64_t>(scratch->size()));
  const auto last = scratch->begin() + found;
  if (last != scratch->end()) std::nth_element(scratch->begin(), last, scratch->end(), kBetter);
  std::sort(scratch->begin(), last, kBetter);
  std::copy_n(scratch->begin(), found, out);
  std::fill(out + found, out + k, Hit());
}

}  // namespace nearfield::cpu
