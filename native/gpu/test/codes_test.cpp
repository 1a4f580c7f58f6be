// SPDX-License-Identifier: Apache-2.0
// A coded store against one that is not, on the same device: every answer has the same bits, whatever the
// data, the basis, the slabs and the filter; and a capped search finds what its certificate says.
#include <cstring>
#include <numeric>

#include "fixture.hpp"

namespace nearfield::gpu::test {
namespace {

enum class Shape { kNormal, kOffset, kOutlier, kTight, kDecaying, kTiny, kHuge };
constexpr Shape kShapes[] = {Shape::kNormal,   Shape::kOffset, Shape::kOutlier, Shape::kTight,
                             Shape::kDecaying, Shape::kTiny,   Shape::kHuge};

struct Case {
  int32_t metric, dim;
  int64_t rows;
  Shape shape;
  DeviceOptions options;
  std::string name() const {
    return "metric " + std::to_string(metric) + " dim " + std::to_string(dim) + " rows " +
           std::to_string(rows) + " shape " + std::to_string(static_cast<int>(shape)) + " slab " +
           std::to_string(options.slab_bytes) + " " + options.force_path;
  }
};

Rows shaped_rows(std::mt19937_64& random, const Case& c, int64_t count) {
  Rows rows = make_rows(random, c.metric, c.dim, count);
  if (c.metric == NF_POINCARE) return rows;
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < count; ++i) {
    float* x = rows.data.data() + i * c.dim;
    for (int32_t j = 0; j < c.dim; ++j) {
      if (c.shape == Shape::kOffset) x[j] += 1000;
      if (c.shape == Shape::kTight) x[j] = static_cast<float>(i % 7) + 1e-5f * x[j];
      if (c.shape == Shape::kDecaying) x[j] *= std::pow(static_cast<float>(j + 1), -0.75f);
      // Cosine has a least norm, others go down to subnormal numbers.
      if (c.shape == Shape::kTiny)
        x[j] *= c.metric == NF_COSINE ? 0x1p-50f : i % 2 == 0 ? 0x1p-120f : 0x1p-95f;
      // Some beyond the longest that is coded.
      if (c.shape == Shape::kHuge) x[j] *= i % 3 == 0 ? 0x1p55f : 0x1p50f;
    }
    if (c.shape == Shape::kOutlier && i == count / 2)
      for (int32_t j = 0; j < c.dim; ++j) x[j] = 1e6f * normal(random);
    if (c.shape == Shape::kTight && i % 11 == 0 && c.metric != NF_COSINE) std::fill_n(x, c.dim, 0.0f);
    rows.side[static_cast<size_t>(i)] = row_side(c.metric, squared_norm(x, c.dim));
  }
  return rows;
}

// Orthogonal up to the rounding to f32, which `departure` measures; skewed: the axes a little longer.
BasisPtr random_basis(std::mt19937_64& random, const Rows& rows, int32_t level_dims, double stretch) {
  const int64_t dim = rows.dim;
  auto basis = std::make_shared<Basis>();
  basis->dim = rows.dim;
  basis->level_dims = level_dims;
  std::vector<double> r(static_cast<size_t>(dim * dim));
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < dim; ++i) {
    double* axis = r.data() + i * dim;
    for (int64_t j = 0; j < dim; ++j) axis[j] = normal(random);
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t h = 0; h < i; ++h) {
        double product = 0;
        for (int64_t j = 0; j < dim; ++j) product += axis[j] * r[static_cast<size_t>(h * dim + j)];
        for (int64_t j = 0; j < dim; ++j) axis[j] -= product * r[static_cast<size_t>(h * dim + j)];
      }
      double norm = 0;
      for (int64_t j = 0; j < dim; ++j) norm += axis[j] * axis[j];
      for (int64_t j = 0; j < dim; ++j) axis[j] /= std::sqrt(norm);
    }
  }
  for (const double value : r) basis->rotation.push_back(static_cast<float>(value * stretch));
  double departure = 0, frobenius = 0;
  for (int64_t i = 0; i < dim; ++i)
    for (int64_t j = 0; j < dim; ++j) {
      double sum = i == j ? -1 : 0;
      for (int64_t h = 0; h < dim; ++h)
        sum += static_cast<double>(basis->axis(h)[i]) * static_cast<double>(basis->axis(h)[j]);
      departure += sum * sum;
      frobenius += static_cast<double>(basis->axis(i)[j]) * static_cast<double>(basis->axis(i)[j]);
    }
  basis->departure = std::sqrt(departure) * (1 + 1e-6);
  basis->frobenius = std::sqrt(frobenius) * (1 + 1e-6);
  for (int64_t j = 0; j < dim; ++j) {
    double sum = 0;
    for (int64_t i = 0; i < rows.count; ++i) {
      const double w = static_cast<double>(rows.row(i)[j]);
      sum += rows.metric == NF_COSINE ? w * static_cast<double>(rows.side[static_cast<size_t>(i)]) : w;
    }
    basis->mean.push_back(static_cast<float>(sum / static_cast<double>(rows.count)));
  }
  return basis;
}

std::unique_ptr<Store> make_store(Device& device, const Case& c, bool coded) {
  StoreOptions options;
  options.metric = c.metric;
  options.dim = c.dim;
  options.coded = coded;
  std::unique_ptr<Store> store;
  CHECK_OK(device.create_store(options, &store, kCall));
  return store;
}

struct Answer {
  std::vector<Hit> hits;
  std::vector<int32_t> rescored;
  std::vector<uint8_t> certified;
  ScanCount scanned;
};

Answer search(const Case& c, Store& store, const Queries& queries, int32_t k,
              const std::vector<const uint32_t*>& masks, int64_t cap) {
  const auto batch = static_cast<size_t>(queries.batch);
  Answer answer{std::vector<Hit>(batch * static_cast<size_t>(k)),
                std::vector<int32_t>(batch),
                std::vector<uint8_t>(batch, 1),
                {}};
  SearchPlan plan;
  plan.queries = queries.data.data();
  plan.query_stride = queries.stride;
  plan.batch = queries.batch;
  plan.k = k;
  plan.mask_of_query = masks.empty() ? nullptr : masks.data();
  plan.hits = answer.hits.data();
  plan.rescored = answer.rescored.data();
  plan.certified = answer.certified.data();
  plan.cap = cap;
  plan.scanned = &answer.scanned;
  const Status status = store.search(plan, kCall);
  CHECK_IN(c.name() + " " + status.message(), status.ok());
  return answer;
}

bool same(const Hit* a, const Hit* b, int32_t k) {
  for (int32_t i = 0; i < k; ++i)
    if (a[i].row != b[i].row || std::memcmp(&a[i].rank, &b[i].rank, sizeof(float)) != 0) return false;
  return true;
}

ScanCount scanned;
int64_t rescored = 0, scored = 0;  // rows of all queries

void compare(const Case& c, const std::string& when, Store& coded, Store& plain, const Queries& queries,
             const std::vector<const uint32_t*>& masks) {
  const auto n = static_cast<int32_t>(plain.rows());
  for (const int32_t k : {1, 10, 200}) {
    if (k > n) continue;
    const Answer want = search(c, plain, queries, k, masks, 0), got = search(c, coded, queries, k, masks, 0);
    scanned.read += got.scanned.read;
    scanned.whole += got.scanned.whole;
    for (int64_t q = 0; q < queries.batch; ++q) {
      const std::string name =
          c.name() + " " + when + " k " + std::to_string(k) + " query " + std::to_string(q);
      CHECK_IN(name, same(&want.hits[static_cast<size_t>(q * k)], &got.hits[static_cast<size_t>(q * k)], k));
      CHECK_IN(name, got.certified[static_cast<size_t>(q)] == 1);
      rescored += got.rescored[static_cast<size_t>(q)];
      scored += n;
    }
  }
  const int32_t k = std::min(n, 5);
  const Answer want = search(c, plain, queries, k, masks, 0);
  for (const int64_t cap : {int64_t{k}, int64_t{4} * k, int64_t{n}}) {
    const Answer got = search(c, coded, queries, k, masks, cap);
    for (int64_t q = 0; q < queries.batch; ++q) {
      const auto at = static_cast<size_t>(q * k);
      const std::string name =
          c.name() + " " + when + " cap " + std::to_string(cap) + " query " + std::to_string(q);
      if (q == 2) {  // however it is divided
        const Queries one{queries.stride, 1, {queries.row(q), queries.row(q) + queries.stride}};
        const std::vector<const uint32_t*> mask(masks.empty() ? 0 : 1, masks.empty() ? nullptr : masks[2]);
        const Answer alone = search(c, coded, one, k, mask, cap);
        CHECK_IN(name, same(&got.hits[at], alone.hits.data(), k) && got.certified[2] == alone.certified[0]);
      }
      CHECK_IN(name, got.rescored[static_cast<size_t>(q)] <= cap);
      if (got.certified[static_cast<size_t>(q)] == 1) CHECK_IN(name, same(&want.hits[at], &got.hits[at], k));
      if (cap == n) CHECK_IN(name, got.certified[static_cast<size_t>(q)] == 1);
    }
  }
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
  CHECK(coded->device_bytes() == plain->device_bytes() + coded->code_bytes());
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
  for (int steps = 0; left > 0 && steps < 1000; ++steps) CHECK_OK(coded->recode(32, &left, kCall));
  CHECK(left == 0);
  CHECK(coded->device_bytes() == plain->device_bytes() + coded->code_bytes());
  compare(c, "recoded", *coded, *plain, queries, {});

  std::vector<int64_t> kept;
  for (int64_t row = 0; row < coded->rows(); ++row)
    if (row % 5 != 0) kept.push_back(row);
  StoreOptions planned;
  planned.metric = c.metric;
  planned.dim = c.dim;
  planned.capacity = c.rows;
  planned.coded = true;
  std::unique_ptr<Store> whole;
  CHECK_OK(device->create_store(planned, &whole, kCall));
  CHECK_OK(whole->append(rows.host(0, 1), kCall));
  CHECK_IN(c.name(), whole->device_bytes() == device->estimate(planned));
  auto less_coded = make_store(*device, c, true), less = make_store(*device, c, false);
  // Axes 2% too long: that is in the bound, too.
  less_coded->set_basis(random_basis(random, rows, 8, 1.02));
  CHECK_OK(less_coded->append_from(*coded, kept, kCall));
  CHECK_OK(less->append_from(*plain, kept, kCall));
  compare(c, "compacted", *less_coded, *less, queries, {});
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
  codes.force_path = "codes";
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
  std::printf("rescored %.4f of the rows, read %.3f of the codes\n",
              static_cast<double>(rescored) / static_cast<double>(scored),
              static_cast<double>(scanned.read) / static_cast<double>(scanned.whole));
  return finish();
}
