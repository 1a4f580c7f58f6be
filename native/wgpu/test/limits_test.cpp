// SPDX-License-Identifier: Apache-2.0
// What goes wrong and must not: parameter layouts, a missing library, kernels that do not compile, limits of
// memory and workspace, cancelling, a lost device.
#include <cstddef>
#include <cstring>
#include <thread>

#include "gpu/device.hpp"
#include "gpu/test/fixture.hpp"
#include "kernel_params.h"
#include "queue.hpp"

namespace nearfield::wgpu::test {

using namespace gpu::test;

namespace {

// Fields of a WGSL struct in order; all of ours are scalars of four bytes.
std::vector<std::string> wgsl_fields(const char* kernel, const std::string& name) {
  std::vector<std::string> fields;
  for (const KernelSource* source = kKernelSources; source->name != nullptr; ++source) {
    if (std::strcmp(source->name, kernel) != 0) continue;
    const std::string text = source->text;
    size_t at = text.find("struct " + name + " {");
    if (at == std::string::npos) break;
    const size_t end = text.find("\n}", at);
    while ((at = text.find("\n  ", at)) < end) {
      at += 3;
      const size_t colon = text.find(':', at);
      const std::string type = text.substr(colon + 2, 3);
      fields.push_back(text.substr(at, colon - at) +
                       (type == "u32" || type == "f32" ? "" : " of type " + type));
    }
  }
  return fields;
}

void check_layout(const char* kernel, const char* name, size_t size,
                  const std::vector<std::pair<const char*, size_t>>& fields) {
  const std::vector<std::string> found = wgsl_fields(kernel, name);
  CHECK_IN(name, found.size() == fields.size() && size == 4 * fields.size() && size % 16 == 0);
  for (size_t i = 0; i < std::min(found.size(), fields.size()); ++i)
    CHECK_IN(found[i], found[i] == fields[i].first && fields[i].second == 4 * i);
}

#define FIELD(type, name) \
  { #name, offsetof(type, name) }
void layouts() {
  using S = ScanParams;
  check_layout(
      "flat", "ScanParams", sizeof(S),
      {FIELD(S, chunks),          FIELD(S, first_row),    FIELD(S, group_begin), FIELD(S, group_end),
       FIELD(S, groups_per_part), FIELD(S, query_blocks), FIELD(S, batch),       FIELD(S, k),
       FIELD(S, workgroups),      FIELD(S, grid_x),       FIELD(S, part_base),   FIELD(S, part_stride),
       FIELD(S, has_masks),       FIELD(S, digit_stage),  FIELD(S, digit_shift), FIELD(S, zero),
       FIELD(S, part_groups),     FIELD(S, has_items),    FIELD(S, item_begin),  FIELD(S, reserved)});
  using M = MergeParams;
  check_layout("merge", "MergeParams", sizeof(M),
               {FIELD(M, batch), FIELD(M, k), FIELD(M, lists), FIELD(M, part_stride), FIELD(M, first),
                FIELD(M, grid_x), FIELD(M, reserved0), FIELD(M, reserved1)});
  using C = ScoreParams;
  check_layout("score", "ScoreParams", sizeof(C),
               {FIELD(C, chunks), FIELD(C, pair_begin), FIELD(C, pair_end), FIELD(C, workgroups),
                FIELD(C, grid_x), FIELD(C, reserved0), FIELD(C, reserved1), FIELD(C, zero)});
  using V = MoveParams;
  check_layout("move", "MoveParams", sizeof(V),
               {FIELD(V, chunks), FIELD(V, count), FIELD(V, from_tile), FIELD(V, to_tile), FIELD(V, has_side),
                FIELD(V, move_begin), FIELD(V, grid_x), FIELD(V, reserved)});
  using E = CodingParams;
  for (const char* kernel : {"rotate", "code"})
    check_layout(kernel, "CodingParams", sizeof(E),
                 {FIELD(E, chunks),     FIELD(E, list_begin),   FIELD(E, list_end),   FIELD(E, groups),
                  FIELD(E, levels),     FIELD(E, level_chunks), FIELD(E, has_mean),   FIELD(E, is_rotated),
                  FIELD(E, axis_begin), FIELD(E, axis_end),     FIELD(E, workgroups), FIELD(E, grid_x),
                  FIELD(E, norm_scale), FIELD(E, error_scale),  FIELD(E, x_scale),    FIELD(E, error_room),
                  FIELD(E, longest),    FIELD(E, length_room),  FIELD(E, tail_scale), FIELD(E, zero),
                  FIELD(E, codes_stay), FIELD(E, reserved0),    FIELD(E, reserved1),  FIELD(E, reserved2)});
  using N = DecodingParams;
  check_layout("decode", "DecodingParams", sizeof(N),
               {FIELD(N, chunks), FIELD(N, row_begin), FIELD(N, row_end), FIELD(N, has_list),
                FIELD(N, to_begin), FIELD(N, groups), FIELD(N, levels), FIELD(N, level_chunks),
                FIELD(N, has_mean), FIELD(N, is_rotated), FIELD(N, axis_begin), FIELD(N, axis_end),
                FIELD(N, is_last), FIELD(N, has_side), FIELD(N, grid_x), FIELD(N, reserved)});
  using T = TransferParams;
  check_layout("transfer", "TransferParams", sizeof(T),
               {FIELD(T, list_begin), FIELD(T, list_end), FIELD(T, from_groups), FIELD(T, to_groups),
                FIELD(T, levels), FIELD(T, level_chunks), FIELD(T, planes), FIELD(T, has_side),
                FIELD(T, grid_x), FIELD(T, reserved0), FIELD(T, reserved1), FIELD(T, reserved2)});
  using L = LevelsParams;
  check_layout(
      "levels", "LevelsParams", sizeof(L),
      {FIELD(L, first_row),   FIELD(L, group_begin),  FIELD(L, group_end),    FIELD(L, groups_per_part),
       FIELD(L, groups),      FIELD(L, levels),       FIELD(L, level_chunks), FIELD(L, query_begin),
       FIELD(L, query_words), FIELD(L, query_blocks), FIELD(L, batch),        FIELD(L, capacity),
       FIELD(L, workgroups),  FIELD(L, grid_x),       FIELD(L, has_masks),    FIELD(L, is_capped),
       FIELD(L, norm_unit),   FIELD(L, tail_unit),    FIELD(L, error_unit),   FIELD(L, beta_unit),
       FIELD(L, has_items),   FIELD(L, item_begin),   FIELD(L, reserved0),    FIELD(L, reserved1)});
  // The shader reads it from words.
  using Q = CodeQuery;
  static_assert(sizeof(Q) == 64 && offsetof(Q, base) == 28 && offsetof(Q, keeps_all) == 36 &&
                offsetof(Q, slope) == 40 && offsetof(Q, offset) == 48);
  using X = MatrixParams;
  check_layout("rescore", "MatrixParams", sizeof(X),
               {FIELD(X, chunks), FIELD(X, first_row), FIELD(X, group_begin), FIELD(X, group_end),
                FIELD(X, batch), FIELD(X, query_tiles), FIELD(X, k), FIELD(X, capacity), FIELD(X, workgroups),
                FIELD(X, grid_x), FIELD(X, has_masks), FIELD(X, first), FIELD(X, slab_rows),
                FIELD(X, goes_on), FIELD(X, scale), FIELD(X, zero)});
  using O = CodedProductParams;
  check_layout("coded_product", "CodedProductParams", sizeof(O),
               {FIELD(O, first_row),    FIELD(O, group_begin),  FIELD(O, group_end),
                FIELD(O, apart),        FIELD(O, tiles),        FIELD(O, tiles_per_workgroup),
                FIELD(O, groups),       FIELD(O, query_groups), FIELD(O, levels),
                FIELD(O, level_chunks), FIELD(O, batch),        FIELD(O, query_tiles),
                FIELD(O, workgroups),   FIELD(O, grid_x),       FIELD(O, has_masks),
                FIELD(O, capacity),     FIELD(O, is_sample),    FIELD(O, part_base),
                FIELD(O, part_stride),  FIELD(O, norm_unit),    FIELD(O, error_unit),
                FIELD(O, beta_unit),    FIELD(O, shrink),       FIELD(O, grow),
                FIELD(O, slope),        FIELD(O, addend),       FIELD(O, fixed),
                FIELD(O, lower),        FIELD(O, upper),        FIELD(O, tiny),
                FIELD(O, stretch),      FIELD(O, slack),        FIELD(O, norm_up),
                FIELD(O, reserved0),    FIELD(O, reserved1),    FIELD(O, reserved2)});
  using Y = ProductQuery;
  check_layout("coded_product", "ProductQuery", sizeof(Y),
               {FIELD(Y, norm), FIELD(Y, offset), FIELD(Y, addend), FIELD(Y, reserved)});
  using P = PruneParams;
  check_layout("prune", "PruneParams", sizeof(P),
               {FIELD(P, batch), FIELD(P, k), FIELD(P, capacity), FIELD(P, workgroups), FIELD(P, grid_x),
                FIELD(P, parts), FIELD(P, reserved0), FIELD(P, reserved1)});
  using D = Digits;
  check_layout("radix", "Digits", sizeof(D),
               {FIELD(D, key), FIELD(D, row), FIELD(D, key_mask), FIELD(D, row_mask)});
}

void missing_library() {
#if !defined(_WIN32)
  const char* before = std::getenv("NEARFIELD_WGPU_NATIVE");
  const std::string kept = before != nullptr ? before : "";
  setenv("NEARFIELD_WGPU_NATIVE", "/nonexistent/libwgpu_native.so", 1);
  const auto backend = make_backend();
  int32_t count = -1;
  std::string why;
  CHECK_OK(backend->device_count(&count, &why));
  CHECK_IN(why, count == 0 && why.find("/nonexistent/libwgpu_native.so") != std::string::npos);
  std::unique_ptr<Device> device;
  CHECK(backend->create_device({}, &device, kCall).code() == NF_INVALID_ARGUMENT && device == nullptr);
  before != nullptr ? setenv("NEARFIELD_WGPU_NATIVE", kept.c_str(), 1) : unsetenv("NEARFIELD_WGPU_NATIVE");
#endif
}

// What a real GPU is given, which no test here ever creates.
void tunings() {
  const Tuning cpu = tuning_of(WGPUAdapterType_CPU, 2), none = tuning_of(WGPUAdapterType_CPU, 0),
               large = tuning_of(WGPUAdapterType_DiscreteGPU, 2),
               small = tuning_of(WGPUAdapterType_IntegratedGPU, 2),
               unknown = tuning_of(WGPUAdapterType_Unknown, 2);
  CHECK(cpu.workgroups == 4 && none.workgroups == 2 && cpu.loops == kMostLoops);
  CHECK(small.workgroups < large.workgroups && unknown.workgroups == large.workgroups);
  CHECK(large.loops == UINT32_MAX && small.loops == UINT32_MAX && unknown.loops == kMostLoops);
  for (const Tuning& tuning : {large, small, unknown}) {
    // One slab may fill the device, and merge follows its lists.
    CHECK(tuning.workgroups <= kMostLists);
    CHECK(static_cast<double>(tuning.binding_bytes) / 16 / tuning.part_units >= tuning.workgroups);
    CHECK(tuning.binding_bytes < 2ull << 30);
  }
}

struct Setup {
  std::unique_ptr<Device> device;
  std::unique_ptr<Store> store;
  Rows rows;
  Queries queries;

  Setup(Backend& backend, std::mt19937_64& random, const DeviceOptions& options, int32_t dim, int64_t count,
        int64_t batch, int64_t capacity = 0) {
    CHECK_OK(backend.create_device(options, &device, kCall));
    StoreOptions store_options;
    store_options.metric = NF_COSINE;
    store_options.dim = dim;
    store_options.capacity = capacity;
    CHECK_OK(device->create_store(store_options, &store, kCall));
    rows = make_rows(random, NF_COSINE, dim, count);
    queries = make_queries(random, rows, batch);
  }
  gpu::Context& context() { return static_cast<gpu::GpuDevice&>(*device).context(); }
  WebGpuQueue& queue() { return static_cast<WebGpuQueue&>(context().queue()); }
  Status search(int32_t k, const Call& call, std::vector<Hit>* hits) {
    hits->assign(static_cast<size_t>(queries.batch * k), Hit{-9, -9, 0});
    SearchPlan plan;
    plan.queries = queries.data.data();
    plan.query_stride = queries.stride;
    plan.batch = queries.batch;
    plan.k = k;
    plan.hits = hits->data();
    return store->search(plan, call);
  }
};

bool same(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const Hit& x, const Hit& y) {
           return x.row == y.row && std::memcmp(&x.rank, &y.rank, sizeof(float)) == 0;
         });
}

void memory(Backend& backend, std::mt19937_64& random) {
  StoreOptions thousand;
  thousand.metric = NF_COSINE;
  thousand.dim = 65;
  thousand.capacity = 1000;
  DeviceOptions options;
  options.slab_bytes = 64 << 10;
  Setup exact(backend, random, options, 65, 1000, 1, 1000);
  for (int64_t at = 0; at < 1000; at += 250)
    CHECK_OK(exact.store->append(exact.rows.host(at, at + 250), kCall));
  CHECK(exact.device->estimate(thousand) == exact.store->device_bytes());

  options.memory_limit = exact.store->device_bytes() - 1;
  Setup tight(backend, random, options, 65, 1000, 1);
  CHECK_OK(tight.store->append(tight.rows.host(0, 500), kCall));
  const uint64_t before = tight.store->device_bytes();
  const Status refused = tight.store->append(tight.rows.host(500, 1000), kCall);
  CHECK_IN(refused.message(),
           refused.code() == NF_RESOURCE_EXHAUSTED &&
               refused.message().find(std::to_string(options.memory_limit)) != std::string::npos);
  CHECK(tight.store->rows() == 500 && tight.store->device_bytes() == before);
  std::vector<Hit> hits;
  CHECK_OK(tight.search(10, kCall, &hits));
  CHECK(std::all_of(hits.begin(), hits.end(), [](const Hit& h) { return h.row >= 0 && h.row < 500; }));

  // The device itself refuses: a status too.
  gpu::Buffer buffer;
  const Status huge = tight.queue().allocate(uint64_t{1} << 50, gpu::Use::kStorage, "test", &buffer);
  CHECK_IN(huge.message(), huge.code() == NF_RESOURCE_EXHAUSTED && !buffer);
}

void workspace(Backend& backend, std::mt19937_64& random) {
  Setup wide(backend, random, {}, 64, 3000, 40);
  CHECK_OK(wide.store->append(wide.rows.host(), kCall));
  DeviceOptions options;
  options.workspace_limit = 256 << 10;
  Setup tight(backend, random, options, 64, 3000, 40);
  tight.rows = wide.rows;
  tight.queries = wide.queries;
  CHECK_OK(tight.store->append(tight.rows.host(), kCall));
  for (const int32_t k : {10, 500, 2500}) {
    std::vector<Hit> expected, got;
    CHECK_OK(wide.search(k, kCall, &expected));
    CHECK_OK(tight.search(k, kCall, &got));
    CHECK_IN("k " + std::to_string(k), same(expected, got));
    CHECK(tight.store->workspace_bytes() <= options.workspace_limit);
  }
  options.workspace_limit = 1000;
  std::unique_ptr<Device> none;
  CHECK(backend.create_device(options, &none, kCall).code() == NF_RESOURCE_EXHAUSTED);
  DeviceOptions path;
  path.force_path = "warp-speed";
  const Status unknown = backend.create_device(path, &none, kCall);
  CHECK_IN(unknown.message(), unknown.code() == NF_INVALID_ARGUMENT &&
                                  unknown.message().find("small-grid") != std::string::npos);

  const gpu::Grid grid = wide.context().grid(200'000);
  CHECK(grid.x <= wide.queue().limits().grid && uint64_t{grid.x} * grid.y >= 200'000 &&
        uint64_t{grid.x} * (grid.y - 1) < 200'000);
}

void compile_errors(Backend& backend, std::mt19937_64& random) {
  Setup s(backend, random, {}, 8, 10, 1);
  CHECK_OK(s.store->append(s.rows.host(), kCall));
  for (const char* source : {"fn main( {", "@compute @workgroup_size(64) fn other() {}",
                             "@compute @workgroup_size(64) fn main() { let x: u32 = 1.5; }"}) {
    Pipeline pipeline;
    const Status status = s.queue().pipelines().compile(source, "main", gpu::kMove, &pipeline);
    CHECK_IN(status.message(), status.code() == NF_INTERNAL && pipeline.handle == nullptr &&
                                   status.message().find("kernel move") != std::string::npos);
  }
  std::vector<Hit> hits;
  CHECK_OK(s.search(3, kCall, &hits));
}

void stopping(Backend& backend, std::mt19937_64& random) {
  // Some 80 million units of work: about a second of lavapipe's time on one core.
  Setup s(backend, random, {}, 256, 20'000, 64);
  CHECK_OK(s.store->append(s.rows.host(), kCall));
  std::vector<Hit> expected, hits;
  CHECK_OK(s.search(10, kCall, &expected));
  for (const int32_t k : {10, 5000}) {
    uint32_t word = 0;
    nf_call caller{};
    caller.struct_size = sizeof(caller);
    caller.cancel = &word;
    std::thread later([&word] {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      __atomic_store_n(&word, 1, __ATOMIC_RELAXED);
    });
    const Status cancelled = s.search(k, Call(&caller, "search"), &hits);
    later.join();
    CHECK_IN(cancelled.message(), cancelled.code() == NF_CANCELLED);
    CHECK(std::all_of(hits.begin(), hits.end(), [](const Hit& h) { return h.row == -9; }));
    nf_call late{};
    late.struct_size = sizeof(late);
    late.timeout_ns = 5'000'000;
    CHECK(s.search(k, Call(&late, "search"), &hits).code() == NF_DEADLINE_EXCEEDED);
  }
  CHECK_OK(s.search(10, kCall, &hits));
  CHECK(same(hits, expected));

  // An append that is called off leaves no row and no byte.
  const uint64_t before = s.store->device_bytes();
  uint32_t set = 1;
  nf_call caller{};
  caller.struct_size = sizeof(caller);
  caller.cancel = &set;
  CHECK(s.store->append(s.rows.host(), Call(&caller, "add")).code() == NF_CANCELLED);
  CHECK(s.store->rows() == 20'000 && s.store->device_bytes() == before);
  CHECK_OK(s.search(10, kCall, &hits));
  CHECK(same(hits, expected));
}

void lost_device(Backend& backend, std::mt19937_64& random) {
  Setup s(backend, random, {}, 8, 100, 2);
  CHECK_OK(s.store->append(s.rows.host(), kCall));
  std::vector<Hit> hits;
  CHECK_OK(s.search(3, kCall, &hits));
  s.queue().lose();
  const Status first = s.search(3, kCall, &hits);
  CHECK_IN(first.message(), first.code() == NF_DEVICE_LOST);
  CHECK(hits[0].row == -9);
  CHECK(s.search(90, kCall, &hits).code() == NF_DEVICE_LOST);
  CHECK(s.store->append(s.rows.host(), kCall).code() == NF_DEVICE_LOST);
  std::vector<float> out(8);
  const int64_t row = 0;
  CHECK(s.store->read({&row, 1}, out.data(), 8, kCall).code() == NF_DEVICE_LOST);
  CHECK(s.store->set_live({&row, 1}, false, kCall).code() == NF_DEVICE_LOST);
  CHECK(s.device->health().code() == NF_DEVICE_LOST);
  // Another context on the same adapter is not touched by it.
  Setup other(backend, random, {}, 8, 100, 2);
  CHECK_OK(other.store->append(other.rows.host(), kCall));
  CHECK_OK(other.search(3, kCall, &hits));
}

}  // namespace
}  // namespace nearfield::wgpu::test

int main(int argc, char** argv) {
  using namespace nearfield::wgpu::test;
  std::mt19937_64 random(seed_from(argc, argv, 1));
  layouts();
  missing_library();
  tunings();
  const auto backend = open_backend();
  if (backend == nullptr) return failed == 0 ? 77 : finish();
  compile_errors(*backend, random);
  memory(*backend, random);
  workspace(*backend, random);
  stopping(*backend, random);
  lost_device(*backend, random);
  return finish();
}
