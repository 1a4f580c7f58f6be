// SPDX-License-Identifier: Apache-2.0
// Random numbers whose sequence is the same with every compiler and library, so that a printed seed replays.
#pragma once

#include <cstdint>
#include <string_view>

namespace nearfield::test {

// FNV-1a, 64 bits.
inline uint64_t hash(std::string_view text, uint64_t seed) {
  uint64_t h = 14695981039346656037u ^ seed;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return h;
}

// splitmix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // [0, n), n >= 1. The bias of the remainder does not matter here.
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
  // [0, 1)
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  double uniform(double from, double to) { return from + (to - from) * uniform(); }
  // Nearly normal, mean 0 and variance 1: the sum of four uniform variables of 16 bits (Irwin and Hall),
  // which takes a fraction of the time of a logarithm and a cosine.
  double gauss() {
    const uint64_t bits = next();
    const auto sum =
        static_cast<double>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
    return (sum - 2 * 65535.0) * (1.7320508075688772 / 65536);
  }

 private:
  uint64_t state_;
};

}  // namespace nearfield::test
