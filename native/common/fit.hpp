// SPDX-License-Identifier: Apache-2.0
// Fits a basis to a sample: its mean, its principal axes, and whether they are worth being rotated into.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "basis.hpp"
#include "status.hpp"

namespace nearfield {

// Rotating costs dim^2 multiplications a row and dim^2 floats in all, 64 MiB here. Rows of more dimensions
// are centred only.
inline constexpr int32_t kMostRotatedDim = 4096;

// Works on a thread of its own, since nothing can end Eigen's solver early (axes.hpp). On one core of an AMD
// EPYC (SSE2) a fit of the default sample takes 0.1 s at 128 dimensions, 0.5 s at 384, 2.1 s at 768, 4.5 s at
// 1,024, 2.9 s at 1,536 and 40 s at 4,096; of that the solver has 2 ms, 0.1 s, 0.5 s and 2 s. Above 1,024
// dimensions it sees 256 alone.
class Fit {
 public:
  // `sample`: at least 2 rows of `dim` floats as the canonical form sees them (cosine: normalised), in random
  // order. The same sample and seed give the same basis.
  static Status begin(const char* operation, int32_t dim, std::vector<float> sample, uint64_t seed,
                      std::unique_ptr<Fit>* out);
  // Waits for the thread. Within the solver that may take as long as is said above.
  ~Fit();
  Fit(const Fit&) = delete;
  Fit& operator=(const Fit&) = delete;

  // Whether the thread is done, after a wait of at most `patience`.
  bool is_over(std::chrono::nanoseconds patience);
  // The thread ends as soon as it can; its sample is freed then.
  void give_up() { stop_ = true; }

  // Once it is over. NF_RESOURCE_EXHAUSTED when memory ran out.
  Status status() const { return status_; }
  BasisPtr basis() const { return basis_; }
  // Of the sample's rows: tail_share().
  double tail_share() const { return tail_share_; }

 private:
  Fit(int32_t dim, std::vector<float> sample, uint64_t seed);
  void run();
  bool fit();

  const int32_t dim_;
  const uint64_t seed_;
  std::vector<float> sample_;
  BasisPtr basis_;
  double tail_share_ = 0;
  Status status_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool over_ = false;
  std::thread thread_;
};

// The share of |y|^2 that lies beyond the first quarter of a row's coordinates, in which a basis that suits
// it has nearly all.
double tail_share(const Basis& basis, const float* row);

// The share of the levels that a scan reads, of 32 rows at a time: some rows of a sample as queries against
// others, each with the distance of the nearest as its limit.
double read_share(const Basis& basis, std::span<const float> sample);

}  // namespace nearfield
