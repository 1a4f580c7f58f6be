// SPDX-License-Identifier: Apache-2.0
// What a store remembers and refuses: growth, overwriting, compaction's copy, memory limits and estimates,
// cancelling and time-outs, and that a failure changes nothing.
#include <thread>

#include "check.hpp"
#include "fixture.hpp"
#include "kernels.hpp"
#include "slab_storage.hpp"

namespace nearfield::cpu::test {
namespace {

std::vector<float> read_all(Store& store, int32_t dim) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < store.rows(); ++i) rows.push_back(i);
  std::vector<float> out(rows.size() * static_cast<size_t>(dim));
  CHECK(store.read(rows, out.data(), dim, kCall).ok());
  return out;
}

std::vector<Hit> search_one(Store& store, const Rows& rows, const float* query, int32_t k) {
  std::vector<Hit> hits(static_cast<size_t>(k));
  SearchPlan plan;
  plan.queries = query;
  plan.query_stride = padded_dim(rows.dim);
  plan.batch = 1;
  plan.k = k;
  plan.hits = hits.data();
  CHECK(store.search(plan, kCall).ok());
  return hits;
}

bool all_same(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), same);
}

void test_rows_come_back() {
  std::mt19937_64 random(1);
  for (const int32_t dim : {1, 5, 64}) {
    Rows rows = make_rows(random, NF_L2SQ, dim, 500);
    DeviceOptions device;
    device.slab_bytes = 10000;  // several slabs
    Opened opened;
    CHECK(open(device, NF_L2SQ, dim, &opened).ok());
    Store& store = *opened.store;
    for (int64_t from = 0; from < rows.count;) {
      const int64_t to = std::min<int64_t>(rows.count, from + 1 + static_cast<int64_t>(random() % 90));
      CHECK(store.append(rows.host(from, to), kCall).ok());
      CHECK(read_all(store, dim) == std::vector<float>(rows.data.begin(), rows.data.begin() + to * dim));
      from = to;
    }
    // Overwritten in place; the dead stay dead.
    const Rows fresh = make_rows(random, NF_L2SQ, dim, 3);
    const std::vector<int64_t> places = {499, 0, 77}, dead = {77};
    CHECK(store.set_live(dead, false, kCall).ok());
    CHECK(store.write(places, fresh.host(), kCall).ok());
    for (size_t i = 0; i < places.size(); ++i) {
      std::copy_n(fresh.row(static_cast<int64_t>(i)), dim, rows.data.data() + places[i] * dim);
      rows.side[static_cast<size_t>(places[i])] = fresh.side[i];
    }
    CHECK(read_all(store, dim) == rows.data);
    std::vector<bool> live(500, true);
    live[77] = false;
    const Queries query = make_queries(random, rows, 1);
    CHECK(all_same(search_one(store, rows, query.row(0), 500),
                   reference_search(rows, query.row(0), 500, live)));
    CHECK(store.set_live(dead, true, kCall).ok());
    CHECK(
        all_same(search_one(store, rows, query.row(0), 500), reference_search(rows, query.row(0), 500, {})));
  }
}

// Appends of each size class (one worker, small shares, a huge page each), across slabs and mid-group.
void test_large_appends() {
  std::mt19937_64 random(6);
  const int32_t dim = 99;
  const Rows rows = make_rows(random, NF_L2SQ, dim, 37000);
  for (const uint64_t slab_bytes : {uint64_t{0}, uint64_t{3} << 20}) {
    DeviceOptions device;
    device.threads = 3;
    device.slab_bytes = slab_bytes;
    Opened opened;
    CHECK(open(device, NF_L2SQ, dim, &opened).ok());
    int64_t from = 0;
    for (const int64_t to : {int64_t{7}, int64_t{3500}, rows.count}) {
      CHECK(opened.store->append(rows.host(from, to), kCall).ok());
      from = to;
    }
    CHECK(read_all(*opened.store, dim) == rows.data);
    const Queries query = make_queries(random, rows, 1);
    CHECK(all_same(search_one(*opened.store, rows, query.row(0), 5),
                   reference_search(rows, query.row(0), 5, {})));
  }
}

void test_copy_between_stores() {
  std::mt19937_64 random(2);
  const Rows rows = make_rows(random, NF_COSINE, 19, 300);
  Opened from;
  CHECK(open({}, NF_COSINE, 19, &from).ok());
  CHECK(from.store->append(rows.host(), kCall).ok());
  std::vector<int64_t> dead, kept;
  for (int64_t i = 0; i < 300; ++i) (random() % 3 == 0 ? dead : kept).push_back(i);
  CHECK(from.store->set_live(dead, false, kCall).ok());

  StoreOptions options;
  options.metric = NF_COSINE;
  options.dim = 19;
  std::unique_ptr<Store> to;
  CHECK(from.device->create_store(options, &to, kCall).ok());
  std::vector<int64_t> order = kept;
  order.insert(order.end(), dead.begin(), dead.end());  // the live bits come along
  CHECK(to->append_from(*from.store, order, kCall).ok());
  CHECK(to->rows() == 300);
  Rows moved{NF_COSINE, 19, 300, {}, {}};
  std::vector<bool> live;
  for (const int64_t row : order) {
    moved.data.insert(moved.data.end(), rows.row(row), rows.row(row) + 19);
    moved.side.push_back(rows.side[static_cast<size_t>(row)]);
    live.push_back(live.size() < kept.size());
  }
  CHECK(read_all(*to, 19) == moved.data);
  const Queries query = make_queries(random, rows, 1);
  CHECK(
      all_same(search_one(*to, moved, query.row(0), 300), reference_search(moved, query.row(0), 300, live)));
}

void test_memory_limits() {
  std::mt19937_64 random(3);
  const Rows rows = make_rows(random, NF_L2SQ, 20, 1000);
  // The estimate is what the store takes, however the rows arrive.
  for (const int64_t step : {1000, 1, 37}) {
    DeviceOptions device;
    device.slab_bytes = 20000;
    StoreOptions options;
    options.capacity = 1000;
    Opened opened;
    CHECK(open(device, NF_L2SQ, 20, &opened, options).ok());
    for (int64_t from = 0; from < 1000; from += step)
      CHECK(opened.store->append(rows.host(from, std::min<int64_t>(1000, from + step)), kCall).ok());
    options.metric = NF_L2SQ;
    options.dim = 20;
    CHECK(opened.store->device_bytes() == opened.device->estimate(options));
  }
  // Of the store, then of the device: refused with the numbers, nothing changed, less still fits.
  for (const bool of_device : {false, true}) {
    DeviceOptions device;
    device.slab_bytes = 4096;
    StoreOptions options;
    (of_device ? device.memory_limit : options.memory_limit) = 50000;
    options.capacity = int64_t{1} << 62;  // a hint beyond the limit is only a hint
    Opened opened;
    CHECK(open(device, NF_L2SQ, 20, &opened, options).ok());
    CHECK(opened.store->append(rows.host(0, 100), kCall).ok());
    const uint64_t bytes = opened.store->device_bytes();
    const std::vector<float> before = read_all(*opened.store, 20);
    const Status refused = opened.store->append(rows.host(), kCall);
    CHECK(refused.code() == NF_RESOURCE_EXHAUSTED);
    CHECK_IN(refused.message(), refused.message().find("50000") != std::string::npos);
    CHECK_IN(refused.message(), refused.message().find(std::to_string(bytes)) != std::string::npos);
    CHECK(opened.store->rows() == 100 && opened.store->device_bytes() == bytes);
    CHECK(read_all(*opened.store, 20) == before);
    CHECK(opened.store->append(rows.host(100, 200), kCall).ok());
    CHECK(opened.store->device_bytes() <= 50000);
    if (!of_device) continue;
    opened.store.reset();  // gives its bytes back to the device
    options.metric = NF_L2SQ;
    options.dim = 20;
    CHECK(opened.device->create_store(options, &opened.store, kCall).ok());
    CHECK(opened.store->append(rows.host(0, 300), kCall).ok());
  }
  // A workspace that k does not fit into.
  DeviceOptions device;
  device.workspace_limit = 10000;
  Opened opened;
  CHECK(open(device, NF_L2SQ, 20, &opened).ok());
  CHECK(opened.store->append(rows.host(), kCall).ok());
  const Queries queries = make_queries(random, rows, 40);
  std::vector<Hit> hits(40 * 900);
  SearchPlan plan;
  plan.queries = queries.data.data();
  plan.query_stride = queries.stride;
  plan.batch = 1;
  plan.k = 900;
  plan.hits = hits.data();
  const Status refused = opened.store->search(plan, kCall);
  CHECK(refused.code() == NF_RESOURCE_EXHAUSTED);
  CHECK_IN(refused.message(), refused.message().find("10000") != std::string::npos);
  // The product's memory is not asked for where the direct form has enough: 320 dimensions pack into 40 KiB.
  {
    const Rows wide = make_rows(random, NF_L2SQ, 320, 200);
    Opened other;
    CHECK(open(device, NF_L2SQ, 320, &other).ok());
    CHECK(other.store->append(wide.host(), kCall).ok());
    const Queries some = make_queries(random, wide, 9);
    SearchPlan small;
    small.queries = some.data.data();
    small.query_stride = some.stride;
    small.batch = 9;
    small.k = 5;
    small.hits = hits.data();
    CHECK(other.store->search(small, kCall).ok());
    CHECK(other.store->workspace_bytes() <= 10000);
    for (int64_t i = 0; i < 9; ++i)
      CHECK(all_same({hits.begin() + i * 5, hits.begin() + (i + 1) * 5},
                     reference_search(wide, some.row(i), 5, {})));
  }
  // A batch too large for it is taken in parts.
  plan.batch = 40;
  plan.k = 30;
  CHECK(opened.store->search(plan, kCall).ok());
  CHECK(opened.store->workspace_bytes() <= 10000);
  for (int64_t i = 0; i < 40; ++i)
    CHECK(all_same({hits.begin() + i * 30, hits.begin() + (i + 1) * 30},
                   reference_search(rows, queries.row(i), 30, {})));
}

void test_cancel(int32_t metric) {  // Manhattan: the direct kernel; L2: the product
  std::mt19937_64 random(4);
  const Rows rows = make_rows(random, metric, 64, 20000);
  const Queries queries = make_queries(random, rows, 500);
  for (const int32_t threads : {1, 3}) {
    DeviceOptions device;
    device.threads = threads;
    device.force_path = "emu128";  // slow: some seconds for the whole search
    Opened opened;
    CHECK(open(device, metric, 64, &opened).ok());
    CHECK(opened.store->append(rows.host(), kCall).ok());
    std::vector<Hit> hits(5000);
    SearchPlan plan;
    plan.queries = queries.data.data();
    plan.query_stride = queries.stride;
    plan.batch = 500;
    plan.k = 10;
    plan.hits = hits.data();

    uint32_t cancel = 0;
    nf_call call{};
    call.struct_size = sizeof(call);
    call.cancel = &cancel;
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      __atomic_store_n(&cancel, 1u, __ATOMIC_RELAXED);
    });
    CHECK(opened.store->search(plan, Call(&call, "search")).code() == NF_CANCELLED);
    canceller.join();
    const uint64_t bytes = opened.store->device_bytes();
    CHECK(opened.store->append(rows.host(), Call(&call, "add")).code() == NF_CANCELLED);
    CHECK(opened.store->rows() == 20000 && opened.store->device_bytes() == bytes);

    nf_call hurry{};
    hurry.struct_size = sizeof(hurry);
    hurry.timeout_ns = 5'000'000;
    const auto start = Call::Clock::now();
    CHECK(opened.store->search(plan, Call(&hurry, "search")).code() == NF_DEADLINE_EXCEEDED);
    const auto late =
        std::chrono::duration_cast<std::chrono::milliseconds>(Call::Clock::now() - start).count();
    // Polled about every 10 ms of work; a loaded machine under a sanitizer may take far longer.
    CHECK_IN(std::to_string(late) + " ms", late < 2000);
    // Alive and well afterwards.
    CHECK(all_same(search_one(*opened.store, rows, queries.row(0), 7),
                   reference_search(rows, queries.row(0), 7, {})));
  }
}

void test_devices() {
  const std::unique_ptr<Backend> backend = make_backend();
  CHECK(std::string(backend->name()) == "cpu");
  int32_t count = 0;
  std::string why;
  CHECK(backend->device_count(&count, &why).ok() && count == 1);
  nf_device_info info{};
  info.struct_size = sizeof(info);
  CHECK(backend->device_info(0, &info).ok());
  CHECK(info.struct_size == sizeof(info) && info.name[0] != '\0' && info.simd_width >= 4 &&
        info.compute_units >= 1);
  CHECK(info.memory_bytes > 0 && info.unified_memory == 1 && info.software == 0);
  CHECK(backend->device_info(1, &info).code() == NF_INVALID_ARGUMENT);
  for (const Kernels* path : compiled_paths())
    CHECK_IN(backend->build(), std::string(backend->build()).find(path->name) != std::string::npos);

  DeviceOptions options;
  std::unique_ptr<Device> device;
  options.force_path = "amx";
  const Status refused = backend->create_device(options, &device, kCall);
  CHECK(refused.code() == NF_INVALID_ARGUMENT);
  CHECK_IN(refused.message(), refused.message().find("\"amx\"") != std::string::npos &&
                                  refused.message().find("emu128") != std::string::npos);
  options = {};
  options.device = 1;
  CHECK(backend->create_device(options, &device, kCall).code() == NF_INVALID_ARGUMENT);
  options = {};
  options.threads = 1 << 20;
  CHECK(backend->create_device(options, &device, kCall).code() == NF_INVALID_ARGUMENT);
}

// Growth that is not kept, or that runs out of memory half-way, leaves slabs, bytes and memory as they were.
void test_growth_is_taken_back() {
  const auto memory = std::make_shared<int>();  // its use_count: slabs that live, and this
  MemoryBudget device{1000, 100};
  StoreOptions options;
  options.dim = 4;
  options.capacity = 2000;  // a hint beyond the limit
  SlabStorage<std::shared_ptr<int>> slabs(options, 64 * 16, &device, [](const SlabMap::Slab& slab) {
    return static_cast<uint64_t>(slab.capacity);  // a byte a row; a slab holds 64 at most
  });
  int64_t left = 100;
  const auto allocate = [&](const SlabMap::Slab&, std::shared_ptr<int>* out) -> Status {
    if (left-- == 0) return error(NF_RESOURCE_EXHAUSTED, "add: no memory");
    *out = memory;
    return {};
  };
  const auto is = [&](int64_t rows, int64_t count) {
    return slabs.map().capacity() == rows && slabs.bytes() == static_cast<uint64_t>(rows) &&
           device.used == 100 + static_cast<uint64_t>(rows) && memory.use_count() == 1 + count;
  };
  {
    Growth growth(slabs);
    CHECK(slabs.grow(100, "add", allocate).ok() && is(128, 2));
    growth.keep();
  }
  CHECK(is(128, 2));
  {
    Growth growth(slabs);
    CHECK(slabs.grow(300, "add", allocate).ok() && is(320, 5));
  }
  CHECK(is(128, 2));
  left = 2;
  CHECK(slabs.grow(300, "add", allocate).code() == NF_RESOURCE_EXHAUSTED && is(128, 2));
  left = 100;
  const Status refused = slabs.grow(1000, "add", allocate);
  CHECK(refused.code() == NF_RESOURCE_EXHAUSTED && is(128, 2));
  CHECK_IN(refused.message(), refused.message().find("limit of 1000 bytes") != std::string::npos);
  CHECK(slabs.grow(129, "add", allocate).ok() && is(192, 3));
}

// A store may outlive its device object: it keeps what they share.
void test_store_outlives_device() {
  std::mt19937_64 random(6);
  const Rows rows = make_rows(random, NF_L2SQ, 8, 100);
  Opened opened;
  CHECK(open({}, NF_L2SQ, 8, &opened).ok());
  CHECK(opened.store->append(rows.host(), kCall).ok());
  opened.device.reset();
  const Queries query = make_queries(random, rows, 1);
  CHECK(all_same(search_one(*opened.store, rows, query.row(0), 9),
                 reference_search(rows, query.row(0), 9, {})));
}

}  // namespace
}  // namespace nearfield::cpu::test

int main() {
  using namespace nearfield::cpu::test;
  test_rows_come_back();
  test_large_appends();
  test_copy_between_stores();
  test_growth_is_taken_back();
  test_memory_limits();
  for (const int32_t metric : {NF_MANHATTAN, NF_L2SQ}) test_cancel(metric);
  test_devices();
  test_store_outlives_device();
  return finish();
}
