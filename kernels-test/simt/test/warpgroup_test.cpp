// SPDX-License-Identifier: Apache-2.0
// Bulk tensor copies, mbarriers and products of warpgroups: a kernel that uses them against a plain product,
// and the same kernel with faults, each of which must be found. Where a sum lies, the kernel says by the
// tables of PTX ISA; where an operand does, this file says by tile32 and by "Matrix Descriptor Format".
#include <cmath>
#include <cstring>
#include <random>

#include "../cuda_dialect.hpp"
#include "../memory.hpp"
#include "check.hpp"
#include "warpgroup_product.cuh"

namespace nearfield::simt::test {
namespace {

using namespace nearfield::cuda;

constexpr uint64_t kSeed = 29;
constexpr uint32_t kBlocks = 2, kRows = kBlocks * kProductRows,
                   kRealRows = 448;                   // the last box is half empty
constexpr uint32_t kChunks = 18, kDim = kChunks * 4;  // and so is the last step

// Small integers, so that no sum is rounded, in tile32: [group][chunk][row of the group][4].
struct Tiles {
  uint32_t rows;
  float* values;

  Tiles(uint32_t count, std::mt19937_64& random) : rows(count) {
    values = static_cast<float*>(allocate(bytes()));
    for (uint32_t i = 0; i < rows * kDim; ++i) values[i] = static_cast<float>(random() % 64) - 32;
    mark_written(values, bytes());
  }
  ~Tiles() { release(values); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  size_t bytes() const { return size_t{rows} * kDim * sizeof(float); }
  double at(uint32_t row, uint32_t d) const {  // beyond the end: 0, as bulk copies have it
    if (row >= rows) return 0;
    return static_cast<double>(values[((row / 32 * kChunks + d / 4) * 32 + row % 32) * 4 + d % 4]);
  }
  cuda::TensorMap map(uint32_t box_groups, std::string* problem) const {
    const simt::TensorMap made{
        kTensorMapMark,       reinterpret_cast<char*>(values), {128, rows / 32, kChunks},
        {kChunks * 512, 512}, {128, box_groups, kBoxChunks},   4};
    *problem += problem_of(made);
    cuda::TensorMap map{};
    std::memcpy(&map, &made, sizeof(made));
    return map;
  }
};

struct Case {
  Tiles rows, queries;
  std::vector<float> out;
  explicit Case(std::mt19937_64& random)
      : rows(kRealRows, random), queries(kProductQueries, random), out(kRows * kProductQueries) {}

  // "": every product is right.
  template <int FAULT>
  std::string outcome(const NamedSchedule& s) {
    std::string said;
    const cuda::TensorMap row_map = rows.map(kBoxGroups, &said), query_map = queries.map(kQueryGroups, &said);
    if (!said.empty()) return said;
    std::fill(out.begin(), out.end(), -1.0f);
    said = error_of(
        kProductThreads, [&] { warpgroup_product<FAULT>(row_map, query_map, kChunks, out.data()); },
        {.name = "product",
         .schedule = s.schedule,
         .seed = kSeed,
         .shared_limit = 227 * 1024,
         .dynamic_shared = kProductBytes},
        kBlocks);
    for (uint32_t r = 0; r < kRows && said.empty(); ++r)
      for (uint32_t q = 0; q < kProductQueries; ++q) {
        double sum = 0;
        for (uint32_t d = 0; d < kDim; ++d) sum += rows.at(r, d) * queries.at(q, d);
        const float got = out[r * kProductQueries + q];
        if (static_cast<double>(got) != sum) return std::isnan(got) ? "a sum is NaN" : "a sum is wrong";
      }
    return said;
  }
};

template <int FAULT>
void planted(Report& report, Case& c, const NamedSchedule& s, const char* what, const char* said,
             const char* said_checked = nullptr) {
  const std::string got = c.outcome<FAULT>(s);
  report.check(!got.empty() && contains(got, kChecked && said_checked != nullptr ? said_checked : said),
               std::string("planted: ") + what + ", " + s.name + ": \"" + got + "\"");
}

void products(Report& report, const NamedSchedule& s) {
  std::mt19937_64 random(kSeed);
  Case c(random);
  const std::string right = c.outcome<kRight>(s);
  report.check(right.empty(), std::string("the product, ") + s.name + ": " + right);
  const char* const unwritten = "never written: read";
  planted<kWaitForOtherParity>(report, c, s, "a wait for the phase before", "more than 1 arrivals",
                               unwritten);
  planted<kNoWaitForCopy>(report, c, s, "no wait for a copy", "more than 1 arrivals", unwritten);
  planted<kTooFewBytes>(report, c, s, "fewer bytes expected than come", "deadlock");
  planted<kTooManyBytes>(report, c, s, "more bytes expected than come", "deadlock");
  planted<kCopyIntoOperand>(report, c, s, "a copy to where products read", "a sum is NaN", unwritten);
  planted<kNoFence>(report, c, s, "no wgmma.fence", "no wgmma.fence");
  planted<kUseBeforeWait>(report, c, s, "sums used before the wait", "that nobody has waited for");
  planted<kStridesSwapped>(report, c, s, "a descriptor's strides swapped", "");
  planted<kNextChunk>(report, c, s, "an operand a chunk too far", "a sum is wrong");
  planted<kAddsToOlder>(report, c, s, "a first product that adds", "a sum is wrong");
  planted<kSumsOfNextLane>(report, c, s, "the sums of the next lane", "a sum is wrong");
  planted<kOtherRows>(report, c, s, "one warp's operand is another", "warps of a warpgroup with different");
  planted<kNoProductOfOneWarp>(report, c, s, "a product without a warp",
                               "warps of a warpgroup with different");
  planted<kCopyToOddPlace>(report, c, s, "a copy to 16 bytes behind a line", "no multiple of 128");
  planted<kNoBarrierMade>(report, c, s, "an mbarrier that nobody made", "no mbarrier was made there",
                          "never written: atomic operation");
}

// Phases of an mbarrier by arrivals alone: a producer and a consumer warp take turns.
void phases(Report& report, const NamedSchedule& s) {
  std::vector<int> seen;
  const auto turns = [&](bool waits) {
    seen.clear();
    return error_of(64,
                    [&] {
                      NF_SHARED(uint64_t, barriers, 2);
                      if (threadIdx.x == 0) {
                        cuda::mbarrier_init(&barriers[0], 32);
                        cuda::mbarrier_init(&barriers[1], 32);
                      }
                      __syncthreads();
                      const unsigned warp = threadIdx.x / 32;
                      for (uint32_t turn = 0; turn < 5; ++turn) {
                        // The second warp waits for the first one's turn, the first for the second one's
                        // before.
                        if (waits || turn != 3)
                          cuda::mbarrier_wait(&barriers[1 - warp], warp == 0 ? (turn & 1) ^ 1 : turn & 1);
                        if (threadIdx.x % 32 == 7) seen.push_back(static_cast<int>(turn * 2 + warp));
                        cuda::mbarrier_arrive(&barriers[warp]);
                      }
                    },
                    {.schedule = s.schedule});
  };
  std::string said = turns(true);
  bool ordered = said.empty() && seen.size() == 10;
  for (int i = 0; ordered && i < 10; ++i) ordered = seen[static_cast<size_t>(i)] == i;
  report.check(ordered, std::string("two warps take turns, ") + s.name + ": " + said);
  said = turns(false);
  bool same = said.empty() && seen.size() == 10;
  for (int i = 0; same && i < 10; ++i) same = seen[static_cast<size_t>(i)] == i;
  report.check(!same, std::string("planted: a wait is left out, ") + s.name);

  const auto finds = [&](const char* part, const char* what, const std::function<void(uint64_t*)>& body) {
    const std::string found = error_of(32,
                                       [&] {
                                         NF_SHARED(uint64_t, barrier, 1);
                                         if (threadIdx.x == 0) cuda::mbarrier_init(barrier, 2);
                                         __syncthreads();
                                         body(barrier);
                                       },
                                       {.schedule = s.schedule});
    report.check(contains(found, part) && contains(found, "warpgroup_test.cpp:"),
                 std::string(what) + ", " + s.name + ": \"" + found + "\"");
  };
  finds("deadlock", "an arrival that never comes", [](uint64_t* barrier) {
    if (threadIdx.x == 0) cuda::mbarrier_arrive(barrier);
    cuda::mbarrier_wait(barrier, 0);
  });
  finds("more than 2 arrivals", "an arrival too many", [](uint64_t* barrier) {
    if (threadIdx.x == 0) cuda::mbarrier_expect(barrier, 16);
    if (threadIdx.x == 0) cuda::mbarrier_arrive(barrier);
    if (threadIdx.x == 0) cuda::mbarrier_arrive(barrier);
  });
  finds("the limit is 1048575", "too many bytes",
        [](uint64_t* barrier) { cuda::mbarrier_expect(barrier, 1 << 20); });
}

// The limits that PTX ISA and the driver's documentation name.
void maps(Report& report) {
  alignas(16) char memory[64];
  const simt::TensorMap right{kTensorMapMark, memory, {128, 3, 5}, {2560, 512}, {128, 8, 8}, 4};
  const auto problem = [&](const auto& change) {
    simt::TensorMap map = right;
    change(map);
    return problem_of(map);
  };
  report.check(problem_of(right).empty(), "a tensor map");
  report.check(contains(problem([](auto& m) { m.address += 8; }), "address"), "an address of 8");
  report.check(contains(problem([](auto& m) { m.strides[1] = 520; }), "stride is 520"), "a stride of 520");
  report.check(contains(problem([](auto& m) { m.box[1] = 257; }), "box is 257"), "a box of 257");
  report.check(contains(problem([](auto& m) { m.box[0] = 3; }), "box in bytes is 12"), "a line of 12 bytes");
  report.check(contains(problem([](auto& m) { m.sizes[2] = 0; }), "size is 0"), "no planes");
}

}  // namespace
}  // namespace nearfield::simt::test

int main() {
  using namespace nearfield::simt::test;
  Report report;
  for (const NamedSchedule& schedule : kSchedules) {
    products(report, schedule);
    phases(report, schedule);
  }
  maps(report);
  return report.finish();
}
