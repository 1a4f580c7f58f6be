// SPDX-License-Identifier: Apache-2.0
// Searches and scores against the scalar reference, bit for bit: every path this CPU has, every metric,
// threads, slab sizes, batches on both sides of the matrix form, masks and dead rows.
#include <array>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "fixture.hpp"
#include "kernels.hpp"
#include "sample.hpp"

namespace nearfield::cpu::test {
namespace {

std::string describe(const DeviceOptions& device, const Rows& rows, int64_t batch, int32_t k) {
  return device.force_path + " metric " + std::to_string(rows.metric) + " dim " + std::to_string(rows.dim) +
         " rows " + std::to_string(rows.count) + " batch " + std::to_string(batch) + " k " +
         std::to_string(k) + " threads " + std::to_string(device.threads) + " slab " +
         std::to_string(device.slab_bytes);
}

// Of test_digest(); first computed by the AVX-512 path.
constexpr uint64_t kDigest = 0xff3fcdd5b9a5b176u;

struct Masks {
  std::vector<std::vector<bool>> wanted;  // per query; empty: all
  std::vector<std::vector<uint32_t>> words;
  std::vector<const uint32_t*> pointers;
};

Masks make_masks(std::mt19937_64& random, int64_t rows, int64_t batch) {
  Masks masks;
  for (int64_t i = 0; i < batch; ++i) {
    std::vector<bool> wanted;
    std::vector<uint32_t> words;
    if (i % 4 != 0) {  // none of the rows, few, half of them
      const uint64_t one_in = i % 4 == 1 ? 0 : i % 4 == 2 ? 50 : 2;
      words.resize(static_cast<size_t>(groups_of(rows)));
      for (int64_t row = 0; row < rows; ++row) {
        wanted.push_back(one_in != 0 && random() % one_in == 0);
        if (wanted.back()) words[static_cast<size_t>(row / 32)] |= 1u << (row % 32);
      }
    }
    masks.wanted.push_back(wanted);
    masks.words.push_back(words);
  }
  for (const auto& words : masks.words) masks.pointers.push_back(words.empty() ? nullptr : words.data());
  return masks;
}

void compare(const DeviceOptions& device, const Rows& rows, std::mt19937_64& random, int64_t batch, int32_t k,
             float offset, bool filtered) {
  const std::string where = describe(device, rows, batch, k) + (filtered ? " filtered" : "");
  Opened opened;
  if (!CHECK_IN(where, open(device, rows.metric, rows.dim, &opened).ok())) return;
  // In two appends, so that the second starts inside a group.
  const int64_t first = rows.count / 3;
  if (first > 0) CHECK_IN(where, opened.store->append(rows.host(0, first), kCall).ok());
  CHECK_IN(where, opened.store->append(rows.host(first), kCall).ok());
  CHECK_IN(where, opened.store->rows() == rows.count);

  const Queries queries = make_queries(random, rows, batch, offset);
  Masks masks;
  std::vector<bool> live(static_cast<size_t>(rows.count), true);
  if (filtered) {
    masks = make_masks(random, rows.count, batch);
    std::vector<int64_t> dead;
    for (int64_t row = 0; row < rows.count; ++row)
      if (random() % 4 == 0 || row / 64 == 1) dead.push_back(row);
    CHECK_IN(where, opened.store->set_live(dead, false, kCall).ok());
    for (const int64_t row : dead) live[static_cast<size_t>(row)] = false;
  }

  std::vector<Hit> hits(static_cast<size_t>(batch * k), Hit{-7, 0, 0});
  SearchPlan plan;
  plan.queries = queries.data.data();
  plan.query_stride = queries.stride;
  plan.batch = batch;
  plan.k = k;
  plan.mask_of_query = filtered ? masks.pointers.data() : nullptr;
  plan.hits = hits.data();
  CHECK_IN(where, opened.store->search(plan, kCall).ok());
  int64_t wrong = 0;
  for (int64_t i = 0; i < batch; ++i) {
    std::vector<bool> wanted = live;
    if (filtered && !masks.wanted[static_cast<size_t>(i)].empty())
      for (size_t row = 0; row < wanted.size(); ++row)
        wanted[row] = wanted[row] && masks.wanted[static_cast<size_t>(i)][row];
    const std::vector<Hit> expected = reference_search(rows, queries.row(i), k, wanted);
    for (int32_t j = 0; j < k; ++j)
      wrong += same(hits[static_cast<size_t>(i * k + j)], expected[static_cast<size_t>(j)]) ? 0 : 1;
  }
  CHECK_IN(where + " wrong " + std::to_string(wrong), wrong == 0);

  // score(): the same bits for any rows, in any order, live or not.
  std::vector<int64_t> offsets = {0}, chosen;
  for (int64_t i = 0; i < batch; ++i) {
    for (uint64_t j = random() % 7; j > 0; --j)
      chosen.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(rows.count)));
    offsets.push_back(static_cast<int64_t>(chosen.size()));
  }
  std::vector<float> ranks(chosen.size());
  CHECK_IN(where, opened.store
                      ->score({queries.data.data(), queries.stride, batch, offsets.data(), chosen.data(),
                               ranks.data()},
                              kCall)
                      .ok());
  wrong = 0;
  for (int64_t i = 0; i < batch; ++i)
    for (int64_t j = offsets[static_cast<size_t>(i)]; j < offsets[static_cast<size_t>(i + 1)]; ++j) {
      const float expected = reference_rank(rows, chosen[static_cast<size_t>(j)], queries.row(i));
      wrong += std::memcmp(&expected, &ranks[static_cast<size_t>(j)], sizeof(float)) == 0 ? 0 : 1;
    }
  CHECK_IN(where + " score", wrong == 0);
}

void test_searches(uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const Kernels* path : compiled_paths()) {
    if (!path->supported()) {
      std::printf("path %s: not on this CPU\n", path->name);
      continue;
    }
    for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric)
      for (const int32_t dim : {1, 3, 7, 33, 128})
        for (const int64_t count : {1, 33, 700}) {
          const Rows rows = make_rows(random, metric, dim, count);
          for (const int64_t batch : {1, 5, 61}) {
            DeviceOptions device;
            device.force_path = path->name;
            device.threads = std::array{1, 2, 5}[random() % 3];
            device.slab_bytes = std::array<uint64_t, 3>{0, 1, 40000}[random() % 3];
            const auto k =
                static_cast<int32_t>(std::min<int64_t>(count, std::array{1, 8, 65, 700}[random() % 4]));
            compare(device, rows, random, batch, k, 0, random() % 2 == 0);
          }
        }
  }
}

// More than one block per worker, enough work for the pool, and data on which the matrix form excludes
// nothing: far offsets and duplicates.
void test_matrix_form(uint64_t seed) {
  std::mt19937_64 random(seed + 1);
  for (const int32_t metric : {NF_L2SQ, NF_COSINE, NF_DOT})
    for (const float offset : {0.0f, 1000.0f}) {
      Rows rows = make_rows(random, metric, 40, 9000, offset);
      for (int64_t i = 2000; i < 3000; ++i) {  // one row a thousand times
        std::copy_n(rows.row(17), rows.dim, rows.data.data() + i * rows.dim);
        rows.side[static_cast<size_t>(i)] = rows.side[17];
      }
      for (const int32_t threads : {1, 2, 5})
        for (const Kernels* path : compiled_paths()) {
          if (!path->supported() || (std::string(path->name) == "emu128" && threads != 2)) continue;
          DeviceOptions device;
          device.force_path = path->name;
          device.threads = threads;
          std::mt19937_64 same_queries(seed + 2);
          compare(device, rows, same_queries, 20, 10, offset, false);
          compare(device, rows, same_queries, 9, 100, offset, true);
        }
    }
}

void test_rescored_counts() {
  std::mt19937_64 random(5);
  const Rows rows = make_rows(random, NF_L2SQ, 64, 20000);
  const Queries queries = make_queries(random, rows, 16);
  Opened opened;
  CHECK(open({}, NF_L2SQ, 64, &opened).ok());
  CHECK(opened.store->append(rows.host(), kCall).ok());
  std::vector<Hit> hits(160);
  std::vector<int32_t> rescored(16, -1);
  SearchPlan plan;
  plan.queries = queries.data.data();
  plan.query_stride = queries.stride;
  plan.batch = 16;
  plan.k = 10;
  plan.hits = hits.data();
  plan.rescored = rescored.data();
  CHECK(opened.store->search(plan, kCall).ok());
  // The certificate must exclude nearly all of well-spread data: k ln(n/k) rows per worker are expected.
  for (const int32_t count : rescored) CHECK_IN(std::to_string(count), count > 0 && count < 2000);
}

// Many hits: the limits of a sample. Rows without order; rows of the sample alone near the queries, which
// misleads every query; one row over and over, in all of the sample and a tenth of the rest, so that queues
// drop equal ranks that belong to the answer.
enum class Order { kNone, kNearInSample, kTies };

void test_sample(uint64_t seed) {
  constexpr int64_t count = 20000;
  constexpr int32_t k = 500;
  static_assert(pays_to_sample(k, count));
  std::mt19937_64 random(seed + 5);
  for (const int32_t metric : {NF_L2SQ, NF_DOT, NF_MANHATTAN})
    for (const Order order : {Order::kNone, Order::kNearInSample, Order::kTies}) {
      Rows rows = make_rows(random, metric, 9, count);
      for (int64_t i = 0; order != Order::kNone && i < count; ++i) {
        float* x = rows.data.data() + i * rows.dim;
        const bool sampled = in_sample(i / 32);
        if (order == Order::kTies && (sampled || i % 10 == 0))
          std::copy_n(rows.row(0), rows.dim, x);
        else if (!sampled)
          for (int32_t j = 0; j < rows.dim; ++j) x[j] = metric == NF_DOT ? 0 : x[j] + 100;
        rows.side[static_cast<size_t>(i)] = row_side(metric, squared_norm(x, rows.dim));
      }
      for (const int32_t threads : {1, 3}) {
        DeviceOptions device;
        device.threads = threads;
        compare(device, rows, random, 8, k, 0, false);
        compare(device, rows, random, 8, k, 0, true);
      }
      DeviceOptions parts;  // of five queries, whose queues take 16 KiB each
      parts.threads = 1;
      parts.workspace_limit = 90'000;
      compare(parts, rows, random, 10, k, 0, false);
    }
  // That it is used: without a sample a query meets k (1 + ln(64)) = 5,200 of these rows at least.
  const Rows rows = make_rows(random, NF_L2SQ, 8, 64000);
  const Queries queries = make_queries(random, rows, 16);
  Opened opened;
  CHECK(open({}, NF_L2SQ, 8, &opened).ok());
  CHECK(opened.store->append(rows.host(), kCall).ok());
  std::vector<Hit> hits(16 * 1000);
  std::vector<int32_t> rescored(16, -1);
  CHECK(opened.store
            ->search({queries.data.data(), queries.stride, 16, 1000, nullptr, nullptr, hits.data(),
                      rescored.data()},
                     kCall)
            .ok());
  for (const int32_t rescores : rescored)
    CHECK_IN(std::to_string(rescores), rescores > 1000 && rescores < 3500);
}

// With limits all hits up to them are found, and others are left out where that saves work.
void test_limits(uint64_t seed) {
  constexpr float kNone = std::numeric_limits<float>::infinity();
  std::mt19937_64 random(seed + 6);
  const auto run = [](const Rows& rows, const Queries& queries, int64_t batch, int32_t k, const float* limits,
                      std::vector<Hit>* hits, std::vector<int32_t>* rescored) {
    Opened opened;
    CHECK(open({}, rows.metric, rows.dim, &opened).ok());
    CHECK(opened.store->append(rows.host(), kCall).ok());
    hits->assign(static_cast<size_t>(batch * k), Hit{-7, 0, 0});
    rescored->assign(static_cast<size_t>(batch), -1);
    SearchPlan plan;
    plan.queries = queries.data.data();
    plan.query_stride = queries.stride;
    plan.batch = batch;
    plan.k = k;
    plan.limits = limits;
    plan.hits = hits->data();
    plan.rescored = rescored->data();
    CHECK(opened.store->search(plan, kCall).ok());
  };
  std::vector<Hit> hits;
  std::vector<int32_t> rescored;
  for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) {
    Rows rows = make_rows(random, metric, 9, 3000);
    for (int64_t i = 0; i < rows.count; i += 3) {  // ties, also at a limit
      std::copy_n(rows.row(i / 30), rows.dim, rows.data.data() + i * rows.dim);
      rows.side[static_cast<size_t>(i)] = rows.side[static_cast<size_t>(i / 30)];
    }
    for (const int64_t batch : {2, 16})
      for (const int32_t k : {10, 100}) {
        const Queries queries = make_queries(random, rows, batch);
        std::vector<std::vector<Hit>> expected;
        std::vector<float> limits;
        for (int64_t i = 0; i < batch; ++i) {
          expected.push_back(reference_search(rows, queries.row(i), k,
                                              std::vector<bool>(static_cast<size_t>(rows.count), true)));
          const std::vector<Hit>& best = expected.back();
          limits.push_back(i % 3 == 0   ? kNone
                           : i % 3 == 1 ? best[static_cast<size_t>(k / 2)].rank
                                        : std::nextafter(best[0].rank, -kNone));
        }
        run(rows, queries, batch, k, limits.data(), &hits, &rescored);
        int64_t wrong = 0;
        for (int64_t i = 0; i < batch; ++i)
          for (int32_t j = 0; j < k; ++j) {
            const Hit& hit = hits[static_cast<size_t>(i * k + j)];
            const Hit& wanted = expected[static_cast<size_t>(i)][static_cast<size_t>(j)];
            const float limit = limits[static_cast<size_t>(i)];
            const bool right =
                wanted.rank <= limit ? same(hit, wanted) : hit.row == kNoRow || hit.rank > limit;
            wrong += right ? 0 : 1;
          }
        CHECK_IN("metric " + std::to_string(metric) + " batch " + std::to_string(batch) + " k " +
                     std::to_string(k) + " wrong " + std::to_string(wrong),
                 wrong == 0);
      }
  }
  const Rows rows = make_rows(random, NF_L2SQ, 64, 20000);
  const Queries queries = make_queries(random, rows, 16);
  run(rows, queries, 16, 10, nullptr, &hits, &rescored);
  std::vector<float> last;
  for (size_t i = 0; i < 16; ++i) last.push_back(hits[i * 10 + 9].rank);
  const std::vector<int32_t> without = rescored;
  run(rows, queries, 16, 10, last.data(), &hits, &rescored);
  for (size_t i = 0; i < 16; ++i)
    CHECK_IN(std::to_string(rescored[i]) + " of " + std::to_string(without[i]),
             rescored[i] >= 10 && 2 * rescored[i] < without[i]);
}

// Extremes that common/ lets through: the longest and shortest vectors, exact zeros, denormals.
void test_extremes(uint64_t seed) {
  std::mt19937_64 random(seed + 3);
  for (const int32_t metric : {NF_L2SQ, NF_COSINE, NF_DOT, NF_MANHATTAN})
    for (const float scale : {0x1p58f, 0x1p-58f, 0x1p-70f, 0x1p-140f}) {
      if (metric == NF_COSINE && scale < 0x1p-60f) continue;  // refused by common/
      Rows rows = make_rows(random, metric, 12, 400);
      for (float& x : rows.data) x *= scale;
      for (int64_t i = 0; i < rows.count; i += 7)  // lengths far apart in one group
        for (int32_t j = 0; j < rows.dim; ++j)
          rows.data[static_cast<size_t>(i * rows.dim + j)] *= scale > 1 ? 0x1p-60f : 0x1p4f;
      for (int64_t i = 0; i < rows.count; ++i)
        rows.side[static_cast<size_t>(i)] = row_side(metric, squared_norm(rows.row(i), rows.dim));
      for (const Kernels* path : compiled_paths()) {
        if (!path->supported()) continue;
        DeviceOptions device;
        device.force_path = path->name;
        std::mt19937_64 same_queries(seed + 4);
        compare(device, rows, same_queries, 12, 5, 0, false);
      }
    }
}

// The bits are those of every other platform, too: a hash of the answers, equal on x86-64 and arm64.
void test_digest() {
  uint64_t digest = 1469598103934665603u;  // FNV-1a
  std::mt19937_64 random(11);
  for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) {
    const Rows rows = make_rows(random, metric, 45, 600);
    const Queries queries = make_queries(random, rows, 16);
    Opened opened;
    CHECK(open({}, metric, 45, &opened).ok());
    CHECK(opened.store->append(rows.host(), kCall).ok());
    std::vector<Hit> hits(160);
    SearchPlan plan;
    plan.queries = queries.data.data();
    plan.query_stride = queries.stride;
    plan.batch = 16;
    plan.k = 10;
    plan.hits = hits.data();
    CHECK(opened.store->search(plan, kCall).ok());
    for (const Hit& hit : hits) {
      uint32_t rank;
      std::memcpy(&rank, &hit.rank, sizeof(rank));
      digest = (digest ^ rank ^ static_cast<uint64_t>(hit.row) << 32) * 1099511628211u;
    }
  }
  char text[32];
  std::snprintf(text, sizeof(text), "%016" PRIx64, digest);
  CHECK_IN(text, digest == kDigest);
}

}  // namespace
}  // namespace nearfield::cpu::test

int main(int argc, char** argv) {
  using namespace nearfield::cpu::test;
  const uint64_t seed = seed_from(argc, argv, 20250301);
  test_searches(seed);
  test_matrix_form(seed);
  test_extremes(seed);
  test_sample(seed);
  test_limits(seed);
  test_rescored_counts();
  test_digest();
  return finish();
}
