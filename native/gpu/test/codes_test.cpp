// SPDX-License-Identifier: Apache-2.0
// A coded store against one that is not, on the same device: every answer has the same bits, whatever the
// data, the basis, the slabs and the filter; and a capped search finds what its certificate says.
#include "alone.hpp"
#include "codes_fixture.hpp"

namespace nearfield::gpu::test {
namespace {

// A part of the rows in new stores, to which they come in three turns: codes are copied where they are in
// `basis`, else made.
void compare_copies(const Case& c, const char* when, Device& device, Store& coded, Store& plain,
                    const BasisPtr& basis, const Queries& queries) {
  auto fewer = make_store(device, c, true), as_plain = make_store(device, c, false);
  fewer->set_basis(basis);
  for (int64_t part = 0; part < 3; ++part) {
    std::vector<int64_t> kept;
    for (int64_t row = part * coded.rows() / 3; row < (part + 1) * coded.rows() / 3; ++row)
      if (row % 5 != 0) kept.push_back(row);
    if (kept.empty()) continue;
    CHECK_OK(fewer->append_from(coded, kept, kCall));
    CHECK_OK(as_plain->append_from(plain, kept, kCall));
  }
  CHECK(fewer->basis() == basis);
  compare(c, when, *fewer, *as_plain, queries, {});
}

void run(Device* device, std::mt19937_64& random, const Case& c) {
  if (device == nullptr) return;
  CHECK(device->supports_codes(c.metric));
  const Rows rows = shaped_rows(random, c, c.rows);
  auto coded = make_store(*device, c, true), plain = make_store(*device, c, false);
  for (Store* store : {coded.get(), plain.get()})
    for (const auto& [from, to] :
         {std::pair{int64_t{0}, c.rows / 3}, {c.rows / 3, c.rows / 3 + 1}, {c.rows / 3 + 1, c.rows}})
      if (from < to) CHECK_OK(store->append(rows.host(from, to), kCall));
  // Beside rows without codes there may be what products of TF32 want, 8 bytes each.
  const uint64_t beside = plain->device_bytes() + coded->code_bytes() - coded->device_bytes();
  CHECK_IN(c.name(),
           beside == 0 || (beside % (8 * kGroupRows) == 0 && beside >= 8 * static_cast<uint64_t>(c.rows)));
  Case raw = c;
  const Rows others = shaped_rows(random, raw, 5);
  Queries queries = make_queries(random, rows, 5);
  for (int64_t q = 0; q < 5; q += 2)  // of the same shape, but not among the rows
    prepare_query(c.metric, others.row(q), c.dim, squared_norm(others.row(q), c.dim),
                  queries.data.data() + q * queries.stride);
  const Queries single{queries.stride, 1, {queries.data.begin(), queries.data.begin() + queries.stride}};
  const auto words = static_cast<size_t>(groups_of(c.rows));
  std::vector<uint32_t> half(words), none(words, 0), all(words, ~0u);
  for (uint32_t& word : half) word = static_cast<uint32_t>(random());
  const std::vector<const uint32_t*> masks = {half.data(), nullptr, none.data(), half.data(), all.data()};
  compare(c, "identity", *coded, *plain, queries, {});
  compare(c, "identity", *coded, *plain, single, {half.data()});

  const BasisPtr first = random_basis(random, rows, c.dim > 32 ? 32 : 16, 1);
  coded->set_basis(first);
  int64_t left = -1;
  CHECK_OK(coded->recode(c.rows / 2, &left, kCall));
  // Whole groups, and of each slab the last one.
  CHECK_IN(c.name(), left > 0 && left <= c.rows - c.rows / 2);
  compare(c, "half recoded", *coded, *plain, queries, masks);
  // Rows that come and change while half of the codes are new.
  std::vector<int64_t> targets;
  for (int64_t row = 0; row < c.rows; row += 13) targets.push_back(row);
  std::reverse(targets.begin(), targets.end());
  for (Store* store : {coded.get(), plain.get()}) {
    CHECK_OK(store->write(targets, rows.host(0, static_cast<int64_t>(targets.size())), kCall));
    CHECK_OK(store->append(others.host(), kCall));
    CHECK_OK(store->set_live(targets, false, kCall));
  }
  compare(c, "changed", *coded, *plain, queries, {});
  compare_copies(c, "copied from two bases", *device, *coded, *plain, first, queries);
  for (int steps = 0; left > 0 && steps < 1000; ++steps) CHECK_OK(coded->recode(32, &left, kCall));
  CHECK(left == 0);
  CHECK(coded->device_bytes() + beside == plain->device_bytes() + coded->code_bytes());
  compare(c, "recoded", *coded, *plain, queries, {});

  StoreOptions planned;
  planned.metric = c.metric;
  planned.dim = c.dim;
  planned.capacity = c.rows;
  planned.coded = true;
  std::unique_ptr<Store> whole;
  CHECK_OK(device->create_store(planned, &whole, kCall));
  CHECK_OK(whole->append(rows.host(0, 1), kCall));
  CHECK_IN(c.name(), whole->device_bytes() == device->estimate(planned));
  // Slabs that were empty when the basis changed have the new one: what comes into them is not left to
  // recode.
  whole->set_basis(first);
  CHECK_OK(whole->recode(1, &left, kCall));
  CHECK_OK(whole->append(rows.host(1), kCall));
  CHECK_OK(whole->recode(0, &left, kCall));
  CHECK_IN(c.name(), left == 0);
  compare_copies(c, "copied", *device, *coded, *plain, first, queries);
  // Axes 2% too long, or so much less that the departure stays below 1/2 (basis.hpp): that is in the bound,
  // too.
  const double stretch = std::min(1.02, 1 + 0.2 / std::sqrt(c.dim));
  compare_copies(c, "coded anew", *device, *coded, *plain, random_basis(random, rows, 8, stretch), queries);
}

// Tiles of queries, or rows whose products are summed up in pieces.
void run_many(Device* device, std::mt19937_64& random, const Case& c, int64_t count) {
  if (device == nullptr) return;
  const Rows rows = shaped_rows(random, c, c.rows);
  auto coded = make_store(*device, c, true), plain = make_store(*device, c, false);
  for (Store* store : {coded.get(), plain.get()}) CHECK_OK(store->append(rows.host(), kCall));
  std::vector<uint32_t> half(static_cast<size_t>(groups_of(c.rows)));
  for (uint32_t& word : half) word = static_cast<uint32_t>(random());
  std::vector<const uint32_t*> masks(static_cast<size_t>(count));
  for (size_t q = 0; q < masks.size(); q += 3) masks[q] = half.data();
  compare(c, "many queries", *coded, *plain, make_queries(random, rows, count), masks);
}

// Recoding that has no room, or is cancelled, leaves the codes as they were.
void refusals(Backend& backend, std::mt19937_64& random, DeviceOptions limited) {
  const Case c{NF_COSINE, 20, 300, Shape::kNormal, {}};
  std::unique_ptr<Device> device, tight;
  CHECK_OK(backend.create_device(limited, &device, kCall));
  if (device == nullptr) return;
  const Rows rows = shaped_rows(random, c, c.rows);
  StoreOptions options;
  options.metric = c.metric;
  options.dim = c.dim;
  options.capacity = c.rows;
  options.coded = true;
  limited.memory_limit = device->estimate(options);
  CHECK_OK(backend.create_device(limited, &tight, kCall));
  std::unique_ptr<Store> full, coded = make_store(*device, c, true), plain = make_store(*device, c, false);
  CHECK_OK(tight->create_store(options, &full, kCall));
  for (Store* store : {full.get(), coded.get(), plain.get()}) CHECK_OK(store->append(rows.host(), kCall));
  const Queries queries = make_queries(random, rows, 5);
  const BasisPtr basis = random_basis(random, rows, 8, 1);
  int64_t left = 0;
  full->set_basis(basis);
  const Status status = full->recode(c.rows, &left, kCall);
  CHECK_IN(status.message(),
           status.code() == NF_RESOURCE_EXHAUSTED && full->device_bytes() == limited.memory_limit);
  compare(c, "no room", *full, *plain, queries, {});

  uint32_t cancel = 1;
  nf_call call{};
  call.struct_size = sizeof(call);
  call.cancel = &cancel;
  coded->set_basis(basis);
  CHECK_OK(coded->recode(32, &left, kCall));
  CHECK(coded->recode(c.rows, &left, Call(&call, "train")).code() == NF_CANCELLED);
  compare(c, "cancelled", *coded, *plain, queries, {});
  CHECK_OK(coded->recode(c.rows, &left, kCall));
  CHECK(left == 0 && coded->basis() == basis);
  compare(c, "gone on", *coded, *plain, queries, {});
}

}  // namespace
}  // namespace nearfield::gpu::test

// Arguments: the seed, and of an emulator its name: "simt", or "simt_checked", which is slower still.
int main(int argc, char** argv) {
  using namespace nearfield::gpu::test;
  std::mt19937_64 random(seed_from(argc, argv, 1));
  const std::string emulator = argc > 2 ? argv[2] : "";
  const bool is_checked = emulator == "simt_checked", is_whole = emulator.empty();
  const int64_t rows = is_whole ? 1100 : is_checked ? 100 : 300;
  const auto backend = open_backend();
  if (backend == nullptr) return 77;
  nearfield::DeviceOptions codes;
  codes.force_path = argc > 3 ? argv[3] : "codes";
  std::unique_ptr<nearfield::Device> device, split;
  CHECK_OK(backend->create_device(codes, &device, kCall));
  for (int32_t metric = NF_L2SQ; metric <= NF_POINCARE; ++metric)
    for (const Shape shape : kShapes) {
      if (metric == NF_POINCARE && shape != Shape::kNormal) continue;
      if (is_checked && shape != Shape::kDecaying && shape != Shape::kHuge && metric != NF_POINCARE) continue;
      for (const int32_t dim : {20, 67})
        if (is_whole || dim == 20) run(device.get(), random, {metric, dim, rows, shape, codes});
    }
  // 300 dimensions have levels of 16 at first.
  for (const int32_t dim : {1, 2, 5, 8, 16, 300})
    for (int32_t metric = NF_L2SQ; metric <= NF_POINCARE; ++metric) {
      if (!is_whole && (dim == 2 || dim == 8 || (dim == 300 && (is_checked || metric != NF_COSINE))))
        continue;
      run(device.get(), random, {metric, dim, std::min<int64_t>(rows, 300), Shape::kNormal, codes});
    }
  // More than CUDA's `levels` holds of four queries in shared memory.
  if (!is_checked) run(device.get(), random, {NF_DOT, 1032, 70, Shape::kDecaying, codes});
  for (int32_t metric = NF_L2SQ; metric <= NF_POINCARE; ++metric)
    for (const int64_t count : {33, 130})
      if (!is_checked || count == 33)
        run_many(device.get(), random, {metric, 20, rows, Shape::kNormal, codes}, count);
  // Codes of 127 nearly all, whose products of more than 1,040 dimensions are beyond 2^24.
  run_many(device.get(), random, {NF_L2SQ, 1300, is_checked ? 33 : 70, Shape::kOffset, codes}, 4);
  refusals(*backend, random, codes);
  nearfield::DeviceOptions tiny = codes;
  tiny.slab_bytes = tiny.max_binding_bytes = 16'384;
  CHECK_OK(backend->create_device(tiny, &split, kCall));
  run(split.get(), random, {NF_L2SQ, 33, rows, Shape::kDecaying, tiny});
  run(split.get(), random, {NF_DOT, 33, rows, Shape::kOffset, tiny});
  // Room for a few rows, a few candidates and a few axes at a time.
  nearfield::DeviceOptions narrow = codes;
  narrow.workspace_limit = 256 << 10;
  CHECK_OK(backend->create_device(narrow, &split, kCall));
  run(split.get(), random, {NF_COSINE, 67, std::min<int64_t>(rows, 300), Shape::kNormal, narrow});
  // Codes alone: the axes of 300 dimensions come in pieces where there is little room.
  narrow.workspace_limit = 384 << 10;
  CHECK_OK(backend->create_device(narrow, &split, kCall));
  for (int32_t metric = NF_L2SQ; metric <= NF_DOT; ++metric) {
    run_alone(*device, *split, random, {metric, 20, rows, Shape::kOffset, codes}, true);
    run_alone(*device, *split, random, {metric, 67, std::min<int64_t>(rows, 300), Shape::kDecaying, codes},
              false);
  }
  if (!is_checked) run_alone(*device, *split, random, {NF_COSINE, 300, 150, Shape::kNormal, codes}, true);
  std::printf("rescored %.4f of the rows, read %.3f of the codes\n",
              static_cast<double>(rescored) / static_cast<double>(scored),
              static_cast<double>(scanned.read) / static_cast<double>(scanned.whole));
  return finish();
}
