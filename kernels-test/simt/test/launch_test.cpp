// SPDX-License-Identifier: Apache-2.0
// What the emulator does for correct kernels, and the faults that it sees in every build: divergence, wrong
// masks, too much shared memory.
#include "../cuda_dialect.hpp"
#include "../metal_dialect.hpp"
#include "../metal_dialect_end.hpp"
#include "check.hpp"

namespace nearfield::simt::test {
namespace {

void positions(Report& report, const NamedSchedule& s) {
  std::vector<int> seen(3 * 2 * 8 * 6);
  launch({3, 2}, {8, 6},
         [&] {
           const unsigned block = blockIdx.y * gridDim.x + blockIdx.x;
           ++seen[block * 48 + threadIdx.y * blockDim.x + threadIdx.x];
         },
         {.schedule = s.schedule});
  bool once = true;
  for (const int n : seen) once &= n == 1;
  report.check(once, std::string("every thread of every block runs once, ") + s.name);
}

// A sum over the block by shuffles, shared memory and an atomic.
void sums(Report& report, const NamedSchedule& s) {
  for (const unsigned threads : {32u, 64u, 96u, 256u, 1024u}) {
    std::vector<unsigned> out(4, 0);
    unsigned atomics = 0;
    launch({4}, {threads},
           [&] {
             NF_SHARED(unsigned, per_warp, 32);
             unsigned sum = threadIdx.x + 1000 * blockIdx.x;
             for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
             if (threadIdx.x % 32 == 0) per_warp[threadIdx.x / 32] = sum;
             atomicAdd(&atomics, 1u);
             __syncthreads();
             if (threadIdx.x != 0) return;
             for (unsigned w = 0; w < blockDim.x / 32; ++w) out[blockIdx.x] += per_warp[w];
           },
           {.schedule = s.schedule, .seed = threads});
    for (unsigned b = 0; b < 4; ++b)
      report.check(out[b] == threads * (threads - 1) / 2 + 1000 * b * threads,
                   std::string("sum of a block, ") + s.name);
    report.check(atomics == 4 * threads, std::string("atomicAdd, ") + s.name);
  }
}

void warp_operations(Report& report, const NamedSchedule& s) {
  std::vector<int> got(64);
  launch({1}, {64},
         [&] {
           const unsigned lane = threadIdx.x % 32, mask = lane < 16 ? 0xffffu : 0xffff0000u;
           got[threadIdx.x] = __shfl_sync(mask, static_cast<int>(threadIdx.x), lane < 16 ? 3 : 20) * 100 +
                              __popc(__ballot_sync(mask, lane % 4 == 0));
         },
         {.schedule = s.schedule});
  report.check(got[0] == 304 && got[17] == 2004 && got[40] == 3504 && got[63] == 5204,
               std::string("two disjoint masks at one place, ") + s.name);
  launch({1}, {32},
         [&] {
           const int lane = static_cast<int>(threadIdx.x);
           bool right = __shfl_up_sync(~0u, lane, 3) == (lane < 3 ? lane : lane - 3);
           right &= __shfl_down_sync(~0u, lane, 3, 8) == (lane % 8 + 3 < 8 ? lane + 3 : lane);
           right &= __shfl_xor_sync(~0u, lane, 4, 8) == (lane ^ 4);
           right &= __match_any_sync(~0u, lane / 8) == 0xffu << lane / 8 * 8;
           right &= __all_sync(~0u, lane < 32) && !__all_sync(~0u, lane < 31) && !__any_sync(~0u, lane < 0);
           right &= __reduce_min_sync(~0u, 7u + threadIdx.x) == 7;
           right &= __syncthreads_count(lane < 5) == 5 && __syncthreads_or(lane == 9) &&
                    !__syncthreads_and(lane == 9);
           right &= metal::simd_sum(1u) == 32 && metal::simd_max(lane) == 31;
           right &= metal::simd_prefix_exclusive_sum(2u) == 2 * threadIdx.x;
           right &= metal::simd_is_first() == (lane == 0) && metal::simd_broadcast_first(lane) == 0;
           right &= metal::simd_vote::vote_t(metal::simd_ballot(lane % 2 == 1)) == 0xaaaaaaaau;
           got[threadIdx.x] = right;
         },
         {.schedule = s.schedule});
  for (int lane = 0; lane < 32; ++lane)
    report.check(got[lane] == 1, std::string("warp operations, ") + s.name);
  launch({1}, {32},
         [&] {
           if (threadIdx.x >= 20) return;
           got[threadIdx.x] = static_cast<int>(metal::simd_sum(1u));
         },
         {.schedule = s.schedule});
  report.check(got[0] == 20 && got[19] == 20,
               std::string("MSL reduces over the lanes that still run, ") + s.name);
}

void arithmetic(Report& report) {
  // Bytes 1, -128, 127, -1 by 2, -128, -127, 127, lowest first.
  report.check(__dp4a(static_cast<int>(0xff7f8001), 0x7f818002, 5) == 2 + 16384 - 16129 - 127 + 5, "__dp4a");
  report.check(__float2int_rn(2.5f) == 2 && __float2int_rn(-3.5f) == -4 &&
                   __float2int_rn(1e10f) == INT32_MAX && __float2int_rn(-1e10f) == INT32_MIN &&
                   __float2int_rn(std::nanf("")) == 0,
               "__float2int_rn");
  const metal::float4 a(2.5f, -3.5f, std::nanf(""), 1.0f), b(1.0f);
  const metal::float4 least = metal::fmin(a, b), most = metal::fmax(a, b), whole = metal::rint(a);
  report.check(
      least.x == 1 && least.y == -3.5f && least.z == 1 && most.x == 2.5f && most.y == 1 && most.z == 1,
      "fmin and fmax of MSL take the number that is none for missing");
  report.check(whole.x == 2 && whole.y == -4 && whole.w == 1, "rint of MSL");
  bool back = true;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto h = std::bit_cast<metal::half>(static_cast<uint16_t>(bits));
    back &= (bits & 0x7fff) > 0x7c00 ? std::isnan(float(h)) && std::isnan(float(metal::half(float(h))))
                                     : metal::half(float(h)).bits == bits;
  }
  report.check(back, "every half is the half of its float");
  const auto rounded = [](float x) { return float(metal::half(x)); };
  report.check(rounded(2049) == 2048 && rounded(2051) == 2052 && rounded(65519) == 65504 &&
                   std::isinf(rounded(65520)) && rounded(0x1.8p-24f) == 0x1p-23f && rounded(0x1p-25f) == 0 &&
                   rounded(-1.0f / 3) == -0x1.554p-2f && float(metal::half(0x1p-14f)) == 0x1p-14f,
               "halves round to the nearest, ties to even");
}

void matrix_fragments(Report& report, const NamedSchedule& s) {
  for (unsigned row = 0; row < 8; ++row)
    for (unsigned column = 0; column < 8; ++column) {
      const metal::FragmentPlace at = metal::fragment_place(metal::fragment_lane(row, column));
      report.check(at.row == row && at.column == column / 2 * 2,
                   "fragment_lane is the inverse of fragment_place");
    }
  // 8 x 8 corners of 10-wide arrays, b given transposed, offset by (1, 1).
  std::vector<float> a(100), b(100), product(100, -1), back(100, -1);
  for (int i = 0; i < 100; ++i) a[i] = static_cast<float>(i % 7 - 3), b[i] = static_cast<float>(i % 5 - 2);
  launch({1}, {32},
         [&] {
           metal::simdgroup_float8x8 x, y, sum = metal::make_filled_simdgroup_matrix<float, 8, 8>(0.5f);
           metal::simdgroup_load(x, a.data(), 10);
           metal::simdgroup_load(y, b.data(), 10, metal::ulong2(1, 1), true);
           metal::simdgroup_multiply_accumulate(sum, x, y, sum);
           metal::simdgroup_store(sum, product.data(), 10);
           metal::simdgroup_store(x, back.data(), 10, metal::ulong2(1, 0), true);
         },
         {.schedule = s.schedule});
  bool right = true;
  for (int r = 0; r < 10; ++r)
    for (int c = 0; c < 10; ++c) {
      float sum = 0.5f;
      for (int k = 0; k < 8; ++k) sum += a[r * 10 + k] * b[(1 + c) * 10 % 100 + 1 + k];
      right &= product[r * 10 + c] == (r < 8 && c < 8 ? sum : -1);
      right &= back[r * 10 + c] == (r < 8 && c >= 1 && c < 9 ? a[(c - 1) * 10 + r] : -1);
    }
  report.check(right, std::string("simdgroup_matrix: load, transposed load, product, store, ") + s.name);

  // Of halves, whose products and sums only a float has: 2047 * 2047 each.
  const std::vector<metal::half> large(64, metal::half(2047.0f));
  launch({1}, {32},
         [&] {
           metal::simdgroup_half8x8 x, y;
           metal::simdgroup_float8x8 sum = metal::make_filled_simdgroup_matrix<float, 8, 8>(-1.0f);
           metal::simdgroup_load(x, large.data(), 8);
           metal::simdgroup_load(y, large.data(), 8);
           for (int i = 0; i < 2; ++i) metal::simdgroup_multiply_accumulate(sum, x, y, sum);
           metal::simdgroup_store(sum, product.data(), 8);
         },
         {.schedule = s.schedule});
  // The chain as it is: beyond 2^24 it rounds.
  float chain = -1;
  for (int k = 0; k < 16; ++k) chain += 2047.0f * 2047.0f;
  report.check(std::count(product.begin(), product.begin() + 64, chain) == 64,
               std::string("simdgroup_matrix: halves add up in float, ") + s.name);
}

void async_copies(Report& report, const NamedSchedule& s) {
  std::vector<float> from(64, 1.0f), out(64);
  const auto run = [&](unsigned left) {
    launch({1}, {32},
           [&] {
             NF_SHARED(float, to, 64);
             to[threadIdx.x] = to[threadIdx.x + 32] = 0;
             copy_async(&to[threadIdx.x], &from[threadIdx.x], 4);
             copy_async_commit();
             copy_async(&to[threadIdx.x + 32], &from[threadIdx.x + 32], 4);
             copy_async_commit();
             copy_async_wait(left);
             out[threadIdx.x] = to[threadIdx.x];
             out[threadIdx.x + 32] = to[threadIdx.x + 32];
           },
           {.schedule = s.schedule});
  };
  run(0);
  report.check(out[0] == 1 && out[63] == 1, std::string("copies have arrived after the wait, ") + s.name);
  run(1);
  report.check(out[31] == 1 && std::isnan(out[32]),
               std::string("the newest group is still on its way, ") + s.name);
}

void faults(Report& report, const NamedSchedule& s) {
  const Options options{.schedule = s.schedule};
  const auto finds = [&](const char* part, const char* what, const std::function<void()>& body) {
    const std::string said = error_of(64, body, options);
    report.check(contains(said, part) && contains(said, "launch_test.cpp:"),
                 std::string(what) + ", " + s.name + ": \"" + said + "\"");
  };
  finds("divergent barrier", "two barriers", [] {
    if (threadIdx.x < 32)
      __syncthreads();
    else
      __syncthreads();
  });
  finds("has returned", "a barrier after a return", [] {
    if (threadIdx.x == 40) return;
    __syncthreads();
  });
  finds("divergent barrier", "a barrier that one thread never reaches", [] {
    if (threadIdx.x == 0) __syncwarp();
    __syncthreads();
  });
  finds("names lane 5, which has returned", "a mask with a lane that has returned", [] {
    if (threadIdx.x % 32 == 5) return;
    __shfl_sync(~0u, 1, 0);
  });
  finds("reads lane 20, which takes no part", "a shuffle from outside of the mask", [] {
    if (threadIdx.x % 32 < 16) __shfl_sync(0xffffu, 1, 20);
  });
  finds("is not in its own mask", "a lane outside of its mask", [] { __shfl_sync(1u, 1, 0); });
  finds("divergent warp operation", "a shuffle in a branch", [] {
    if (threadIdx.x % 2 == 0)
      __shfl_sync(~0u, 1, 0);
    else
      __shfl_sync(~0u, 2, 0);
  });
  finds("divergent warp operation", "simd_sum in a branch", [] {
    if (threadIdx.x % 2 == 0)
      metal::simd_sum(1);
    else
      metal::simd_sum(2);
  });
  finds("with another mask", "two masks that overlap", [] { __syncwarp(threadIdx.x % 32 < 16 ? ~0u : ~1u); });
  finds("shared memory: 80000 bytes, the limit is 49152", "too much shared memory", [] {
    NF_SHARED(float, big, 20000);
    big[0] = 1;
  });
  finds("no dynamic shared memory", "dynamic shared memory that the launch does not give", [] {
    NF_DYNAMIC_SHARED(float, memory);
    memory[0] = 1;
  });
  report.check(contains(error_of(
                            1056, [] {}, options),
                        "a block of 1056 threads, the limit is 1024"),
               "too many threads");
}

// Shared memory that nobody wrote differs from schedule to schedule.
void patterns(Report& report) {
  std::vector<float> values;
  for (const NamedSchedule& s : kSchedules)
    launch({1}, {1},
           [&] {
             NF_SHARED(float, nothing, 4);
             values.push_back(nothing[2]);
           },
           {.schedule = s.schedule, .seed = 3});
  report.check(values[0] != values[1] && values[1] != values[2],
               "three patterns of memory that nobody wrote");
}

}  // namespace
}  // namespace nearfield::simt::test

int main() {
  using namespace nearfield::simt::test;
  Report report;
  for (const NamedSchedule& schedule : kSchedules) {
    positions(report, schedule);
    sums(report, schedule);
    warp_operations(report, schedule);
    matrix_fragments(report, schedule);
    async_copies(report, schedule);
    faults(report, schedule);
  }
  patterns(report);
  arithmetic(report);
  return report.finish();
}
