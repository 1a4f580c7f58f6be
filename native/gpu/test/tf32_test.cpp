// SPDX-License-Identifier: Apache-2.0
// Products of TF32 against the direct form, on the same device: every answer has the same bits, whatever the
// data, the slabs and the filter, and however the rows came; and on ordinary data most rows are left out.
#include "codes_fixture.hpp"

namespace nearfield::gpu::test {
namespace {

struct Twins {
  Device *products, *direct;
};

// `left_out`: the least share of the rows of the last comparison that may not be rescored.
void compare_twins(const Case& c, const std::string& when, Store& products, Store& direct,
                   const Queries& queries, const std::vector<const uint32_t*>& masks, double left_out) {
  const auto n = static_cast<int32_t>(direct.rows());
  for (const int32_t k : {1, 10, 200}) {
    if (k > n) continue;
    const Answer want = search(c, direct, queries, k, masks, 0),
                 got = search(c, products, queries, k, masks, 0);
    int64_t rescored = 0;
    for (int64_t q = 0; q < queries.batch; ++q) {
      const std::string name =
          c.name() + " " + when + " k " + std::to_string(k) + " query " + std::to_string(q);
      CHECK_IN(name, same(&want.hits[static_cast<size_t>(q * k)], &got.hits[static_cast<size_t>(q * k)], k));
      rescored += got.rescored[static_cast<size_t>(q)];
    }
    // Products leave candidates; the direct form has none.
    if (masks.empty()) CHECK_IN(c.name() + " " + when, rescored > 0);
    if (k > 10 || left_out == 0) continue;
    const auto most =
        static_cast<int64_t>(static_cast<double>(n) * static_cast<double>(queries.batch) * (1 - left_out));
    CHECK_IN(c.name() + " " + when + " rescored " + std::to_string(rescored), rescored <= most);
  }
}

void run(const Twins& devices, std::mt19937_64& random, const Case& c, int64_t batch) {
  if (devices.products == nullptr || devices.direct == nullptr) return;
  const Rows rows = shaped_rows(random, c, c.rows);
  const Rows others = shaped_rows(random, c, 5);
  std::unique_ptr<Store> products = make_store(*devices.products, c, false),
                         direct = make_store(*devices.direct, c, false);
  for (Store* store : {products.get(), direct.get()})
    for (const auto& [from, to] :
         {std::pair{int64_t{0}, c.rows / 3}, {c.rows / 3, c.rows / 3 + 1}, {c.rows / 3 + 1, c.rows}})
      if (from < to) CHECK_OK(store->append(rows.host(from, to), kCall));
  Queries queries = make_queries(random, rows, batch);
  for (int64_t q = 0; q < std::min<int64_t>(batch, 5); q += 2)  // not among the rows
    prepare_query(c.metric, others.row(q), c.dim, squared_norm(others.row(q), c.dim),
                  queries.data.data() + q * queries.stride);
  const bool is_ordinary = c.shape == Shape::kNormal && c.dim >= 16;
  compare_twins(c, "appended", *products, *direct, queries, {}, is_ordinary && c.rows >= 300 ? 0.8 : 0);

  std::vector<uint32_t> half(static_cast<size_t>(groups_of(c.rows))), none(half.size(), 0);
  for (uint32_t& word : half) word = static_cast<uint32_t>(random());
  std::vector<const uint32_t*> masks(static_cast<size_t>(batch));
  for (size_t q = 0; q < masks.size(); ++q)
    masks[q] = q % 3 == 0 ? half.data() : q % 3 == 1 ? nullptr : none.data();
  compare_twins(c, "filtered", *products, *direct, queries, masks, 0);

  // Rows that change in place, others that come, some that go.
  std::vector<int64_t> targets, kept;
  for (int64_t row = 0; row < c.rows; row += 13) targets.push_back(row);
  std::reverse(targets.begin(), targets.end());
  const std::vector<int64_t> dead(targets.begin(), targets.begin() + (targets.size() + 1) / 2);
  for (Store* store : {products.get(), direct.get()}) {
    CHECK_OK(store->write(targets, rows.host(0, static_cast<int64_t>(targets.size())), kCall));
    CHECK_OK(store->append(others.host(), kCall));
    CHECK_OK(store->set_live(dead, false, kCall));
  }
  compare_twins(c, "changed", *products, *direct, queries, {}, 0);

  for (int64_t row = 0; row < products->rows(); ++row)
    if (row % 5 != 0) kept.push_back(row);
  std::unique_ptr<Store> less_products = make_store(*devices.products, c, false),
                         less_direct = make_store(*devices.direct, c, false);
  CHECK_OK(less_products->append_from(*products, kept, kCall));
  CHECK_OK(less_direct->append_from(*direct, kept, kCall));
  compare_twins(c, "compacted", *less_products, *less_direct, queries, {}, 0);

  StoreOptions planned;
  planned.metric = c.metric;
  planned.dim = c.dim;
  planned.capacity = c.rows;
  std::unique_ptr<Store> whole;
  CHECK_OK(devices.products->create_store(planned, &whole, kCall));
  CHECK_OK(whole->append(rows.host(0, 1), kCall));
  CHECK_IN(c.name(), whole->device_bytes() == devices.products->estimate(planned));
}

}  // namespace
}  // namespace nearfield::gpu::test

// Arguments: the seed, of an emulator its name: "simt", or "simt_checked", which is slower still, and the
// path.
int main(int argc, char** argv) {
  using namespace nearfield::gpu::test;
  using nearfield::Device;
  using nearfield::DeviceOptions;
  std::mt19937_64 random(seed_from(argc, argv, 1));
  const std::string emulator = argc > 2 ? argv[2] : "";
  const bool is_checked = emulator == "simt_checked", is_whole = emulator.empty();
  const int64_t rows = is_whole ? 5000 : is_checked ? 100 : 600;
  const auto backend = open_backend();
  if (backend == nullptr) return 77;
  std::unique_ptr<Device> products, direct;
  const auto open = [&](DeviceOptions options) {
    options.force_path = argc > 3 ? argv[3] : "tf32";
    CHECK_OK(backend->create_device(options, &products, kCall));
    options.force_path = "direct";
    CHECK_OK(backend->create_device(options, &direct, kCall));
    return Twins{products.get(), direct.get()};
  };
  DeviceOptions options;
  Twins twins = open(options);
  for (int32_t metric = NF_L2SQ; metric <= NF_DOT; ++metric)
    for (const Shape shape : kShapes) {
      if (is_checked && shape != Shape::kNormal && shape != Shape::kHuge) continue;
      for (const int32_t dim : {20, 67})
        if (is_whole || (dim == 20) == (shape != Shape::kNormal))
          run(twins, random, {metric, dim, rows, shape, options}, 5);
    }
  for (const int32_t dim : {1, 3, 16, 17, 300})
    if (!is_checked || dim == 17)
      run(twins, random, {1 + dim % 3, dim, std::min<int64_t>(rows, 300), Shape::kNormal, options}, 3);
  // All are kept, and more of them than there is room for twice: products in f32, and one pass.
  if (!is_checked)
    for (const int64_t batch : {20, 3})
      run(twins, random, {NF_L2SQ, 20, 600, Shape::kOffset, options}, batch);
  // Two tiles of queries.
  run(twins, random, {NF_L2SQ, 8, std::min<int64_t>(rows, 300), Shape::kNormal, options}, 130);
  options.slab_bytes = 16'384;
  options.max_binding_bytes = 65'536;
  twins = open(options);
  run(twins, random, {NF_L2SQ, 33, rows, Shape::kDecaying, options}, 5);
  run(twins, random, {NF_COSINE, 33, rows, Shape::kOffset, options}, 5);
  // Room for a few rows and a few candidates at a time.
  options = {};
  options.workspace_limit = 256 << 10;
  twins = open(options);
  run(twins, random, {NF_DOT, 67, std::min<int64_t>(rows, 300), Shape::kNormal, options}, 5);
  return finish();
}
