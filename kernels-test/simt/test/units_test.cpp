// SPDX-License-Identifier: Apache-2.0
// The wrappers of asynchronous copies, and those of the matrix units against a plain product. Operands are
// placed, and results found, by the tables of PTX ISA ("Matrix Fragments for mma.m16n8k32" and "...
// mma.m16n8k8"), written down here once more: element i of a lane, groupID = lane / 4, threadID_in_group =
// lane % 4.
#include <random>

#include "../cuda_dialect.hpp"
#include "../memory.hpp"
#include "check.hpp"
#include "mma.cuh"
#include "tf32.hpp"

namespace nearfield::simt::test {
namespace {

constexpr uint64_t kSeed = 13;
constexpr unsigned kM = 16, kN = 8;

struct Place {
  unsigned row, column;
};

// C and D of both shapes.
Place accumulator_place(unsigned lane, unsigned i) {
  return {i < 2 ? lane / 4 : lane / 4 + 8, lane % 4 * 2 + (i & 1)};
}

// m16n8k32, elements of 8 bits: 16 of A, 8 of B a lane.
struct Int8 {
  using Element = int8_t;
  using Sum = int32_t;
  static constexpr unsigned kDepth = 32, kOfA = 16, kOfB = 8;
  static Place a_place(unsigned lane, unsigned i) {
    const bool low = i < 4 || (8 <= i && i < 12);
    return {low ? lane / 4 : lane / 4 + 8, lane % 4 * 4 + (i & 3) + (i < 8 ? 0 : 16)};
  }
  static Place b_place(unsigned lane, unsigned i) {
    return {lane % 4 * 4 + (i & 3) + (i < 4 ? 0 : 16), lane / 4};
  }
  static uint32_t word(const Element* e) {
    uint32_t bits;
    __builtin_memcpy(&bits, e, 4);
    return bits;
  }
  template <class Random>
  static Element draw(Random& random) {
    return static_cast<Element>(random() % 8 == 0 ? -128 : static_cast<int>(random() % 256) - 128);
  }
  static void multiply(Sum (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    nearfield::cuda::mma_s8(d, a, b);
  }
};

// m16n8k8, elements of 32 bits: 4 of A, 2 of B a lane. Small integers: no sum is rounded.
struct Tf32 {
  using Element = float;
  using Sum = float;
  static constexpr unsigned kDepth = 8, kOfA = 4, kOfB = 2;
  static Place a_place(unsigned lane, unsigned i) {
    return {i == 0 || i == 2 ? lane / 4 : lane / 4 + 8, i < 2 ? lane % 4 : lane % 4 + 4};
  }
  static Place b_place(unsigned lane, unsigned i) { return {i == 0 ? lane % 4 : lane % 4 + 4, lane / 4}; }
  static uint32_t word(const Element* e) { return __float_as_uint(*e) | 0x1fffu; }  // what is ignored
  template <class Random>
  static Element draw(Random& random) {
    return static_cast<float>(random() % 2048) - 1024;
  }
  static void multiply(Sum (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    nearfield::cuda::mma_tf32(d, a, b);
  }
};

// A fault to plant: fragments of the next lane.
enum class Fault { kNone, kA, kB, kD };

// Whether the wrapper's result is the plain product, in all lanes and registers of two warps.
template <class Unit>
bool multiplies(const NamedSchedule& s, Fault fault) {
  using Element = typename Unit::Element;
  using Sum = typename Unit::Sum;
  std::mt19937_64 random(kSeed);
  Element a[2][kM][Unit::kDepth], b[2][Unit::kDepth][kN];
  Sum before[2][kM][kN], after[2][kM][kN];
  for (unsigned w = 0; w < 2; ++w) {
    for (auto& row : a[w])
      for (Element& e : row) e = Unit::draw(random);
    for (auto& row : b[w])
      for (Element& e : row) e = Unit::draw(random);
    for (auto& row : before[w])
      for (Sum& e : row) e = static_cast<Sum>(static_cast<int>(random() % 2'000'000) - 1'000'000);
  }
  launch({1}, {64},
         [&] {
           const unsigned w = threadIdx.x / 32, lane = threadIdx.x % 32;
           const auto of = [&](Fault which) { return fault == which ? (lane + 1) % 32 : lane; };
           Element of_a[Unit::kOfA], of_b[Unit::kOfB];
           for (unsigned i = 0; i < Unit::kOfA; ++i) {
             const Place at = Unit::a_place(of(Fault::kA), i);
             of_a[i] = a[w][at.row][at.column];
           }
           for (unsigned i = 0; i < Unit::kOfB; ++i) {
             const Place at = Unit::b_place(of(Fault::kB), i);
             of_b[i] = b[w][at.row][at.column];
           }
           uint32_t left[4], right[2];
           for (unsigned i = 0; i < 4; ++i) left[i] = Unit::word(of_a + i * Unit::kOfA / 4);
           for (unsigned i = 0; i < 2; ++i) right[i] = Unit::word(of_b + i * Unit::kOfB / 2);
           Sum d[4];
           for (unsigned i = 0; i < 4; ++i) {
             const Place at = accumulator_place(lane, i);
             d[i] = before[w][at.row][at.column];
           }
           Unit::multiply(d, left, right);
           for (unsigned i = 0; i < 4; ++i) {
             const Place at = accumulator_place(of(Fault::kD), i);
             after[w][at.row][at.column] = d[i];
           }
         },
         {.schedule = s.schedule});
  for (unsigned w = 0; w < 2; ++w)
    for (unsigned r = 0; r < kM; ++r)
      for (unsigned c = 0; c < kN; ++c) {
        Sum sum = before[w][r][c];
        for (unsigned k = 0; k < Unit::kDepth; ++k)
          sum += static_cast<Sum>(a[w][r][k]) * static_cast<Sum>(b[w][k][c]);
        if (sum != after[w][r][c]) return false;
      }
  return true;
}

template <class Unit>
void fragments(Report& report, const NamedSchedule& s, const char* name) {
  const std::string of = std::string(name) + ", " + s.name;
  report.check(multiplies<Unit>(s, Fault::kNone), "the product of " + of);
  report.check(!multiplies<Unit>(s, Fault::kA), "planted: A of the next lane, " + of);
  report.check(!multiplies<Unit>(s, Fault::kB), "planted: B of the next lane, " + of);
  report.check(!multiplies<Unit>(s, Fault::kD), "planted: D of the next lane, " + of);
}

void convergence(Report& report, const NamedSchedule& s) {
  const auto call = [] {
    int32_t d[4] = {};
    const uint32_t a[4] = {}, b[2] = {};
    nearfield::cuda::mma_s8(d, a, b);
  };
  const auto other = [] {
    int32_t d[4] = {};
    const uint32_t a[4] = {}, b[2] = {};
    nearfield::cuda::mma_s8(d, a, b);
  };
  const auto finds = [&](unsigned threads, const char* part, const char* what,
                         const std::function<void()>& body) {
    const std::string said = error_of(threads, body, {.schedule = s.schedule});
    report.check(contains(said, part) && contains(said, "units_test.cpp:"),
                 std::string(what) + ", " + s.name + ": \"" + said + "\"");
  };
  finds(32, "names lane 20, which has returned", "a product without a lane", [&] {
    if (threadIdx.x != 20) call();
  });
  finds(16, "names lane 16", "a product in a warp of 16 lanes", call);
  finds(32, "divergent warp operation", "products in two branches", [&] {
    if (threadIdx.x < 16)
      call();
    else
      other();
  });
}

// One product of two TF32 rows through a whole warp: row 0 of A, column 0 of B.
float dot(const float (&a)[8], const float (&b)[8], float accumulator) {
  float result = 0;
  launch({1}, {32}, [&] {
    const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
    const auto of = [&](const float* row, unsigned k) { return g == 0 ? __float_as_uint(row[k]) : 0u; };
    float d[4] = {threadIdx.x == 0 ? accumulator : 0};
    nearfield::cuda::mma_tf32(d, {of(a, t), 0, of(a, t + 4), 0}, {of(b, t), of(b, t + 4)});
    if (threadIdx.x == 0) result = d[0];
  });
  return result;
}

// The sums lose what common/tf32.hpp says, and no more.
void sums(Report& report) {
  const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  const float low[8] = {0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f};
  report.check(dot(low, ones, 1) == 1, "eight terms below the last bit of the largest are lost");
  report.check(dot(low, ones, -1) == -1, "and of a negative sum");
  report.check(dot(low, ones, 0) == 0x1p-21f, "but not where there is no larger one");
  const float up[8] = {0x1.8p-23f, 0, 0, 0, 0, 0, 0, 0};
  report.check(dot(up, ones, 1) == 1 + 0x1p-23f && dot(up, ones, -1) == -1 + 0x1p-23f,
               "terms are cut towards zero");
  const float half[8] = {1, 0x1p-23f, 0, 0, 0, 0, 0, 0};
  report.check(dot(half, ones, 1) == 2, "and the sum too");
  const float big[8] = {0x1p30f, 0, 0, 0, 0x1p30f, 0, 0, 0}, tiny[8] = {0x1p-100f, 0, 0, 0, 0, 0, 0, 0};
  const float signs[8] = {1, 1, 1, 1, -1, 1, 1, 1};
  report.check(dot(big, signs, 1) == 0, "blocks are added one after the other");
  report.check(dot(tiny, tiny, 0) == 0 && dot(tiny, ones, 0) == 0x1p-100f,
               "products are not rounded themselves");
  const float infinite[8] = {std::numeric_limits<float>::infinity(), 0, 0, 0, 0, 0, 0, 0};
  report.check(std::isinf(dot(infinite, ones, 1)) && std::isnan(dot(infinite, big, -infinite[0])),
               "what is no number");

  std::mt19937_64 random(kSeed);
  std::normal_distribution<float> normal;
  bool within = true, towards_zero = true;
  for (int trial = 0; trial < 2000; ++trial) {
    float a[8], b[8];
    const auto tf32 = [&] { return __uint_as_float(nearfield::cuda::cvt_rna_tf32(normal(random))); };
    for (int k = 0; k < 8; ++k) a[k] = tf32(), b[k] = tf32();
    const bool positive = trial % 2 == 0;
    float c = normal(random);
    if (positive) {
      c = std::fabs(c);
      for (int k = 0; k < 8; ++k) a[k] = std::fabs(a[k]), b[k] = std::fabs(b[k]);
    }
    double exact = static_cast<double>(c), magnitude = std::fabs(exact);
    for (int k = 0; k < 8; ++k) {
      exact += static_cast<double>(a[k]) * static_cast<double>(b[k]);
      magnitude += std::fabs(static_cast<double>(a[k]) * static_cast<double>(b[k]));
    }
    const double got = static_cast<double>(dot(a, b, c));
    // Two blocks, in each of which every term loses a unit of the largest, and the sum one of its own.
    within &= std::fabs(got - exact) <= 2 * (kTf32Block + 2) * std::ldexp(magnitude, 1 - kTf32KeptBits);
    towards_zero &= !positive || got <= exact;
  }
  report.check(within, "random sums within the bound");
  report.check(towards_zero, "random sums of positive terms are not above the exact ones");
}

void conversion(Report& report) {
  const auto tf32 = [](float x) { return __uint_as_float(nearfield::cuda::cvt_rna_tf32(x)); };
  report.check(tf32(1 + 0x1p-11f) == 1 + 0x1p-10f && tf32(-1 - 0x1p-11f) == -1 - 0x1p-10f,
               "ties away from zero");
  report.check(tf32(1 + 0x1.ffcp-12f) == 1 && tf32(1 + 0x1.802p-11f) == 1 + 0x1p-10f, "to the nearest");
  report.check(tf32(0x1.ffffp0f) == 2 && std::isinf(tf32(0x1.fffffep127f)), "into the next power of two");
  report.check(std::isinf(tf32(-std::numeric_limits<float>::infinity())) &&
                   std::isnan(tf32(std::nanf("1"))) && std::isnan(tf32(__uint_as_float(0x7f800001u))),
               "what is no number");
  report.check(tf32(0x1p-149f) == 0 && tf32(0x1p-136f) == 0x1p-136f, "subnormal numbers");
}

// A ring of kStages stages, filled by asynchronous copies kStages - 1 ahead: the sum of everything, by
// threads that read what others copied. `LEFT` groups may be under way when a stage is used.
constexpr unsigned kThreads = 64, kStages = 3, kSteps = 8;

template <unsigned LEFT, bool COMMITS>
float ring(const float4* from) {
  NF_SHARED(float4, stages, kStages * kThreads);
  const auto load = [&](unsigned step) {
    nearfield::cuda::copy_async(&stages[step % kStages * kThreads + threadIdx.x],
                                from + step * kThreads + threadIdx.x, step < kSteps);
    // Of steps that there are not too: the groups behind a step are always as many.
    if (COMMITS) nearfield::cuda::copies_commit();
  };
  for (unsigned step = 0; step + 1 < kStages; ++step) load(step);
  float sum = 0;
  for (unsigned step = 0; step < kSteps; ++step) {
    nearfield::cuda::copies_wait<LEFT>();
    __syncthreads();
    load(step + kStages - 1);
    sum += stages[step % kStages * kThreads + (threadIdx.x + 1) % kThreads].x;
  }
  nearfield::cuda::copies_done();
  return sum;
}

void copies(Report& report, const NamedSchedule& s) {
  constexpr unsigned elements = kSteps * kThreads;
  auto* const from = static_cast<float4*>(allocate(elements * sizeof(float4)));
  for (unsigned i = 0; i < elements; ++i) from[i] = {static_cast<float>(i), 0, 0, 0};
  mark_written(from, elements * sizeof(float4));
  std::vector<float> sums(kThreads);
  // "": all sums are right.
  const auto outcome = [&](float (*kernel)(const float4*)) {
    std::string said = error_of(kThreads, [&] { sums[threadIdx.x] = kernel(from); },
                                {.name = "ring", .schedule = s.schedule});
    for (unsigned t = 0; t < kThreads && said.empty(); ++t) {
      float sum = 0;
      for (unsigned step = 0; step < kSteps; ++step)
        sum += static_cast<float>(step * kThreads + (t + 1) % kThreads);
      if (sums[t] != sum) said = std::isnan(sums[t]) ? "the sum is NaN" : "the sum is wrong";
    }
    return said;
  };
  const char* const seen = kChecked ? "never written: read" : "the sum is NaN";
  std::string said = outcome(ring<kStages - 2, true>);
  report.check(said.empty(), std::string("a ring of copies, ") + s.name + ": " + said);
  said = outcome(ring<kStages - 1, true>);
  report.check(contains(said, seen), std::string("planted: a wait too few, ") + s.name + ": " + said);
  said = outcome(ring<kStages - 2, false>);
  report.check(contains(said, seen), std::string("planted: copies in no group, ") + s.name + ": " + said);
  release(from);
}

}  // namespace
}  // namespace nearfield::simt::test

int main() {
  using namespace nearfield::simt::test;
  Report report;
  for (const NamedSchedule& schedule : kSchedules) {
    fragments<Int8>(report, schedule, "int8");
    fragments<Tf32>(report, schedule, "TF32");
    convergence(report, schedule);
    copies(report, schedule);
  }
  sums(report);
  conversion(report);
  return report.finish();
}
