// SPDX-License-Identifier: Apache-2.0
// Random numbers that are the same on every platform, unlike those of <random>'s distributions.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace nearfield {

// splitmix64 (Steele, Lea and Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  // In [0, count), count <= 2^53.
  int64_t below(int64_t count) { return static_cast<int64_t>(uniform() * static_cast<double>(count)); }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // in [0, 1)
  // Near enough to normal for a random subspace: the sum of twelve uniform ones (Irwin-Hall).
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

 private:
  uint64_t state_;
};

// `count` of the numbers below `all`, ascending: one of every stratum.
inline std::vector<int64_t> strata(int64_t all, int64_t count, Random* random) {
  std::vector<int64_t> chosen(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = all / count * i + all % count * i / count;
    const int64_t end = all / count * (i + 1) + all % count * (i + 1) / count;
    chosen[static_cast<size_t>(i)] = begin + random->below(end - begin);
  }
  return chosen;
}

}  // namespace nearfield
