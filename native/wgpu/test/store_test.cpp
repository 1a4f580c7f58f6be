// SPDX-License-Identifier: Apache-2.0
// The store against a float64 reference: every metric, masks, dead rows, both selections, growth, moves.
#include <cstring>
#include <numeric>

#include "gpu/test/fixture.hpp"

namespace nearfield::wgpu::test {

using namespace gpu::test;

namespace {

struct Case {
  int32_t metric, dim;
  int64_t rows;
  DeviceOptions options;
  std::string name() const {
    return "metric " + std::to_string(metric) + " dim " + std::to_string(dim) + " rows " +
           std::to_string(rows) + " slab " + std::to_string(options.slab_bytes) + " " + options.force_path;
  }
};

std::unique_ptr<Store> make_store(Device& device, int32_t metric, int32_t dim) {
  StoreOptions options;
  options.metric = metric;
  options.dim = dim;
  std::unique_ptr<Store> store;
  CHECK_OK(device.create_store(options, &store, kCall));
  return store;
}

std::vector<float> all_ranks(Store& store, const Queries& queries, int64_t q) {
  std::vector<int64_t> rows(static_cast<size_t>(store.rows()));
  std::iota(rows.begin(), rows.end(), 0);
  const int64_t offsets[] = {0, store.rows()};
  std::vector<float> ranks(rows.size());
  ScorePlan plan;
  plan.queries = queries.row(q);
  plan.query_stride = queries.stride;
  plan.batch = 1;
  plan.offsets = offsets;
  plan.rows = rows.data();
  plan.ranks = ranks.data();
  CHECK_OK(store.score(plan, kCall));
  return ranks;
}

// Searches equal the sorted scores of all wanted rows, bit for bit.
void check_search(const Case& c, Store& store, const Queries& queries, const std::vector<uint32_t>& live,
                  const std::vector<const uint32_t*>& masks, int32_t k,
                  const std::vector<std::vector<float>>& ranks) {
  std::vector<Hit> hits(static_cast<size_t>(queries.batch * k));
  SearchPlan plan;
  plan.queries = queries.data.data();
  plan.query_stride = queries.stride;
  plan.batch = queries.batch;
  plan.k = k;
  plan.mask_of_query = masks.empty() ? nullptr : masks.data();
  plan.hits = hits.data();
  const Status status = store.search(plan, kCall);
  if (!CHECK_IN(c.name() + " " + status.message(), status.ok())) return;
  for (int64_t q = 0; q < queries.batch; ++q) {
    std::vector<Hit> expected;
    for (int64_t row = 0; row < store.rows(); ++row) {
      uint32_t word = live[static_cast<size_t>(row / 32)];
      if (!masks.empty() && masks[static_cast<size_t>(q)] != nullptr)
        word &= masks[static_cast<size_t>(q)][row / 32];
      if ((word >> (row % 32) & 1) != 0)
        expected.push_back({row, ranks[static_cast<size_t>(q)][static_cast<size_t>(row)], 0});
    }
    std::sort(expected.begin(), expected.end(), better);
    expected.resize(static_cast<size_t>(k));
    for (int32_t i = 0; i < k; ++i) {
      const Hit& got = hits[static_cast<size_t>(q * k + i)];
      const Hit& want = expected[static_cast<size_t>(i)];
      if (!CHECK_IN(c.name() + " batch " + std::to_string(queries.batch) + " k " + std::to_string(k) +
                        " query " + std::to_string(q) + " entry " + std::to_string(i) + " got row " +
                        std::to_string(got.row) + " want " + std::to_string(want.row),
                    got.row == want.row &&
                        (want.row == kNoRow || std::memcmp(&got.rank, &want.rank, sizeof(float)) == 0)))
        return;
    }
  }
}

void run(Backend& backend, std::mt19937_64& random, const Case& c) {
  std::unique_ptr<Device> device;
  CHECK_OK(backend.create_device(c.options, &device, kCall));
  if (device == nullptr) return;
  const Rows rows = make_rows(random, c.metric, c.dim, c.rows);
  auto store = make_store(*device, c.metric, c.dim);
  // In three unequal pieces, so that groups and slabs are cut anywhere.
  for (const auto& [from, to] :
       {std::pair{int64_t{0}, c.rows / 3}, {c.rows / 3, c.rows / 3 + 1}, {c.rows / 3 + 1, c.rows}})
    if (from < to && to <= c.rows) CHECK_OK(store->append(rows.host(from, to), kCall));
  if (!CHECK_IN(c.name(), store->rows() == c.rows)) return;

  std::vector<int64_t> numbers(static_cast<size_t>(c.rows));
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), random);
  std::vector<float> back(static_cast<size_t>(c.rows * (c.dim + 1)), -7.0f);
  CHECK_OK(store->read(numbers, back.data(), c.dim + 1, kCall));
  bool same = true;
  for (size_t i = 0; i < numbers.size(); ++i)
    same = same &&
           std::equal(rows.row(numbers[i]), rows.row(numbers[i]) + c.dim,
                      back.data() + static_cast<int64_t>(i) * (c.dim + 1)) &&
           back[(i + 1) * static_cast<size_t>(c.dim + 1) - 1] == -7.0f;
  CHECK_IN(c.name(), same);

  const Queries queries = make_queries(random, rows, 5);
  std::vector<std::vector<float>> ranks;
  for (int64_t q = 0; q < queries.batch; ++q) {
    ranks.push_back(all_ranks(*store, queries, q));
    bool within = true;
    for (int64_t row = 0; row < c.rows; ++row) {
      const Exact exact = exact_rank(rows, row, queries.row(q));
      const float rank = ranks.back()[static_cast<size_t>(row)];
      within = within && std::fabs(rank - exact.rank) <= exact.bound && !(rank == 0 && std::signbit(rank));
    }
    CHECK_IN(c.name() + " query " + std::to_string(q), within);
  }

  const auto words = static_cast<size_t>(groups_of(c.rows));
  std::vector<uint32_t> live(words, 0);
  for (int64_t row = 0; row < c.rows; ++row) live[static_cast<size_t>(row / 32)] |= 1u << (row % 32);
  std::vector<uint32_t> half(words), none(words, 0), one(words, 0);
  for (uint32_t& word : half) word = static_cast<uint32_t>(random());
  one[static_cast<size_t>((c.rows - 1) / 32)] = 1u << ((c.rows - 1) % 32);
  const Queries single{queries.stride, 1, {queries.data.begin(), queries.data.begin() + queries.stride}};
  const auto n = static_cast<int32_t>(c.rows);
  for (const int32_t k : {1, 10, 128, 129, 512, 513, n - 1, n}) {
    if (k < 1 || k > n) continue;
    check_search(c, *store, queries, live, {}, k, ranks);
    check_search(c, *store, single, live, {half.data()}, k, ranks);
  }
  const std::vector<const uint32_t*> masks = {half.data(), nullptr, none.data(), one.data(), half.data()};
  for (const int32_t k : {std::min(n, 10), n}) check_search(c, *store, queries, live, masks, k, ranks);

  std::vector<int64_t> dead(numbers.begin(), numbers.begin() + n / 2);
  CHECK_OK(store->set_live(dead, false, kCall));
  for (const int64_t row : dead) live[static_cast<size_t>(row / 32)] &= ~(1u << (row % 32));
  for (const int32_t k : {std::min(n, 10), n}) check_search(c, *store, queries, live, masks, k, ranks);

  // Compaction: another store with the live rows in order, among them one dead row, which stays dead.
  std::vector<int64_t> kept;
  for (int64_t row = 0; row < c.rows; ++row)
    if ((live[static_cast<size_t>(row / 32)] >> (row % 32) & 1) != 0 || row == dead[0]) kept.push_back(row);
  auto other = make_store(*device, c.metric, c.dim);
  CHECK_OK(other->append_from(*store, kept, kCall));
  std::vector<uint32_t> other_live(static_cast<size_t>(groups_of(static_cast<int64_t>(kept.size()))), 0);
  std::vector<std::vector<float>> other_ranks(ranks.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] != dead[0]) other_live[i / 32] |= 1u << (i % 32);
    for (size_t q = 0; q < ranks.size(); ++q)
      other_ranks[q].push_back(ranks[q][static_cast<size_t>(kept[i])]);
  }
  check_search(c, *other, queries, other_live, {}, std::min<int32_t>(10, static_cast<int32_t>(kept.size())),
               other_ranks);

  // Replacing rows 0.. by the last ones in reverse.
  std::vector<int64_t> targets(static_cast<size_t>(std::min<int64_t>(c.rows, 40)));
  std::iota(targets.begin(), targets.end(), 0);
  std::reverse(targets.begin(), targets.end());
  CHECK_OK(store->write(targets, rows.host(0, static_cast<int64_t>(targets.size())), kCall));
  for (size_t q = 0; q < ranks.size(); ++q) {
    const std::vector<float> before = ranks[q];
    for (size_t i = 0; i < targets.size(); ++i) ranks[q][static_cast<size_t>(targets[i])] = before[i];
  }
  check_search(c, *store, queries, live, masks, std::min(n, 10), ranks);
}

// Rows that come ever closer to the queries: every tile fills every list, every sort happens, every merge
// too.
void approach(Backend& backend, int64_t count, const DeviceOptions& options) {
  const Case c{NF_L2SQ, 1, count, options};
  std::unique_ptr<Device> device;
  CHECK_OK(backend.create_device(c.options, &device, kCall));
  if (device == nullptr) return;
  Rows rows{NF_L2SQ, 1, count, {}, std::vector<float>(static_cast<size_t>(count))};
  for (int64_t i = 0; i < count; ++i) rows.data.push_back(static_cast<float>(count - i));
  auto store = make_store(*device, NF_L2SQ, 1);
  CHECK_OK(store->append(rows.host(), kCall));
  Queries queries{4, 5, std::vector<float>(20, 0.0f)};
  std::vector<std::vector<float>> ranks(5, all_ranks(*store, queries, 0));
  std::vector<uint32_t> live(static_cast<size_t>(groups_of(count)), ~0u);
  if (count % 32 != 0) live.back() = (1u << (count % 32)) - 1;
  for (const int32_t k : {1, 127, 128, 129, 512, 600}) check_search(c, *store, queries, live, {}, k, ranks);
}

}  // namespace
}  // namespace nearfield::wgpu::test

int main(int argc, char** argv) {
  using namespace nearfield::wgpu::test;
  std::mt19937_64 random(seed_from(argc, argv, 1));
  const auto backend = open_backend();
  if (backend == nullptr) return 77;
  for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric)
    run(*backend, random, {metric, 33, 1100, {}});
  for (const int32_t dim : {1, 3, 4, 130}) run(*backend, random, {NF_COSINE, dim, 100, {}});
  for (const int64_t rows : {2, 31, 32, 33}) run(*backend, random, {NF_L2SQ, 7, rows, {}});
  nearfield::DeviceOptions tiny;
  tiny.slab_bytes = tiny.max_binding_bytes = 4096;
  run(*backend, random, {NF_POINCARE, 33, 1100, tiny});
  // Long parts with a sort at every tile: llvmpipe's limit of loop iterations (workgroup.hpp: kMostLoops).
  run(*backend, random, {NF_L2SQ, 1, 20011, {}});
  approach(*backend, 60'000, {});
  nearfield::DeviceOptions forced;
  forced.force_path = "small-grid";
  run(*backend, random, {NF_DOT, 9, 1100, forced});
  // Lists without subgroups, where the adapter has them: elsewhere that is what ran above.
  forced.force_path = "no-subgroups";
  std::unique_ptr<nearfield::Device> device;
  if (backend->create_device(forced, &device, kCall).ok()) {
    run(*backend, random, {NF_L2SQ, 9, 1100, forced});
    approach(*backend, 60'000, forced);
  } else {
    std::printf("no subgroups here: their lists were not tested\n");
  }
  return finish();
}
