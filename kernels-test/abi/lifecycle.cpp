// SPDX-License-Identifier: Apache-2.0
// Handles that outlive each other, what supports() says, and what is declared but not built.
#include <cstdio>
#include <cstring>

#include "requests.hpp"

namespace nearfield_test {
namespace {

void test_destroyed_context(const Bench& bench) {
  ContextHandle context = bench.context();
  const IndexHandle first = bench.index(context.get(), NF_L2SQ, kDim);
  const IndexHandle second = bench.index(context.get(), NF_COSINE, kDim);
  bench.add(first.get(), random_rows(bench.seed, kIndexRows, kDim), kDim);
  context.reset();
  const auto requests = std::make_unique<Requests>();
  for (nf_index* index : {first.get(), second.get()}) {
    for (const Entry entry : {Entry::kInfo, Entry::kAdd, Entry::kReplace, Entry::kRead, Entry::kSetLive,
                              Entry::kCompact, Entry::kSearch, Entry::kScore}) {
      nf_error error = sized<nf_error>();
      requests->fill(nullptr, index, &error);
      const nf_status status = requests->run(bench.api, entry);
      bench.report->check(
          status == NF_FAILED_PRECONDITION && std::strstr(error.message, "context") != nullptr,
          std::string(operation(entry)) + " after the context was destroyed",
          std::string(status_name(status)) + " " + error.message);
    }
  }
}

void test_null_handles(const Bench& bench) {
  bench.api->context_destroy(nullptr);
  bench.api->index_destroy(nullptr);
  bench.report->check(bench.api->supports(nullptr, nullptr) == 0, "supports(NULL, NULL)", "is not 0");
}

// A capacity that no machine holds is a hint like any other, unless a limit forbids it.
void test_boundless_capacity(const Bench& bench) {
  const ContextHandle context = bench.context();
  Caller caller;
  nf_index_desc desc = flat(NF_L2SQ, 16);
  desc.capacity = int64_t{1} << 40;
  nf_index* made = nullptr;
  if (bench.ok(bench.api->index_create(context.get(), &desc, &made, &caller.call), "index_create: 2^40 rows",
               caller))
    bench.add(made, random_rows(bench.seed, 3, 16), 16);
  const IndexHandle index(made, IndexDeleter{bench.api});
  desc.memory_limit = 1 << 20;
  nf_index* refused = nullptr;
  const nf_status status = bench.api->index_create(context.get(), &desc, &refused, &caller.call);
  bench.report->check(status == NF_RESOURCE_EXHAUSTED && refused == nullptr,
                      "index_create: 2^40 rows in 1 MiB",
                      std::string(status_name(status)) + " " + caller.error.message);
}

void test_supports(const Bench& bench) {
  const ContextHandle context = bench.context();
  nf_capability base = sized<nf_capability>();
  base.op = NF_OP_INDEX;
  base.index_kind = NF_FLAT;
  base.input_dtype = base.store_dtype = base.scan_dtype = NF_F32;
  const auto check = [&](const nf_capability& what, int32_t expected, const std::string& name) {
    bench.report->check(bench.api->supports(context.get(), &what) == expected, "supports: " + name);
  };
  for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) {
    const std::string name = "metric " + std::to_string(metric) + " ";
    nf_capability what = base;
    what.metric = metric;
    check(what, 1, name + "flat f32 index");
    const auto without = [&](const std::string& part, auto change) {
      nf_capability other = what;
      change(other);
      check(other, 0, name + part);
    };
    without("a later kind", [](nf_capability& c) { c.index_kind = 9; });
    if (metric == NF_MANHATTAN) without("IVF", [](nf_capability& c) { c.index_kind = NF_IVF; });
    without("no kind", [](nf_capability& c) { c.index_kind = 0; });
    without("BF16 rows", [](nf_capability& c) { c.store_dtype = NF_BF16; });
    without("BF16 scan", [](nf_capability& c) { c.scan_dtype = NF_BF16; });
    without("F16 input", [](nf_capability& c) { c.input_dtype = NF_F16; });
    without("quantize", [](nf_capability& c) { c.op = NF_OP_QUANTIZE; });
    without("operation 77", [](nf_capability& c) { c.op = 77; });
    without("a short struct", [](nf_capability& c) { --c.struct_size; });
    without("a reserved field", [](nf_capability& c) { c.reserved = 1; });
    for (const int32_t op : {NF_OP_KNN, NF_OP_KMEANS, NF_OP_ASSIGN}) {
      const int32_t served = op != NF_OP_KMEANS || metric <= NF_DOT ? 1 : 0;
      const std::string of = name + "operation " + std::to_string(op);
      what = base;
      what.metric = metric;
      what.op = op;
      check(what, served, of);
      what.index_kind = what.store_dtype = what.scan_dtype = 0;
      check(what, served, of + ", nothing said of an index");
    }
  }
  for (const int32_t metric : {0, -1, 6, 32, INT32_MAX, INT32_MIN}) {
    nf_capability what = base;
    what.metric = metric;
    check(what, 0, "metric " + std::to_string(metric));
  }
}

// What supports() says of codes is what index_create does.
void test_codes(const Bench& bench) {
  const ContextHandle context = bench.context();
  for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) {
    const std::string name = "codes of metric " + std::to_string(metric);
    nf_capability what = sized<nf_capability>();
    what.op = NF_OP_INDEX;
    what.index_kind = NF_FLAT;
    what.metric = metric;
    what.input_dtype = what.store_dtype = NF_F32;
    what.scan_dtype = NF_I8;
    const bool served = bench.api->supports(context.get(), &what) == 1;
    if (metric == NF_MANHATTAN) bench.report->check(!served, name, "are said to be served");
    Caller caller;
    nf_index_desc desc = flat(metric, kDim);
    desc.scan_dtype = NF_I8;
    desc.capacity = 1000;
    nf_index* made = nullptr;
    const nf_status status = bench.api->index_create(context.get(), &desc, &made, &caller.call);
    const IndexHandle index(made, IndexDeleter{bench.api});
    bench.report->check(status == (served ? NF_OK : NF_UNIMPLEMENTED), name,
                        std::string(status_name(status)) + " " + caller.error.message);
    if (!served) {
      const char* const said = metric == NF_MANHATTAN ? "Manhattan" : bench.api->backend;
      bench.report->check(std::strstr(caller.error.message, said) != nullptr, name + ": the message",
                          caller.error.message);
      continue;
    }
    uint64_t peak = 0, coded = 0, plain = 0;
    bench.ok(bench.api->index_estimate(context.get(), &desc, &peak, &coded, &caller.call), "estimate",
             caller);
    desc.scan_dtype = NF_F32;
    bench.ok(bench.api->index_estimate(context.get(), &desc, &peak, &plain, &caller.call), "estimate",
             caller);
    bench.report->check(coded > plain, name + ": the estimate",
                        std::to_string(coded) + " bytes, without codes " + std::to_string(plain));
    bench.add(made, random_rows(bench.seed, kIndexRows, kDim), kDim);
    const nf_index_info info = bench.info(made);
    bench.report->check(info.code_bytes > 0 && info.code_bytes < info.device_bytes && info.level_dims >= 8 &&
                            info.rotated == 0,
                        name + ": info", "code_bytes " + std::to_string(info.code_bytes));
  }
}

void test_flat_lists(const Bench& bench) {
  const ContextHandle context = bench.context();
  const IndexHandle index = bench.index(context.get(), NF_L2SQ, kDim);
  const auto check = [&](const char* name, nf_status wanted, const auto& entry) {
    Caller caller;
    const nf_status status = entry(&caller.call);
    const std::string start = std::string(name) + ": ";
    bench.report->check(status == wanted && caller.error.status == status &&
                            std::strncmp(caller.error.message, start.c_str(), start.size()) == 0,
                        name, std::string(status_name(status)) + " " + caller.error.message);
    bench.report->check(entry(nullptr) == wanted, std::string(name) + " without a call block");
  };
  const nf_api* api = bench.api;
  nf_lists lists = sized<nf_lists>();
  check("read_lists", NF_FAILED_PRECONDITION,
        [&](nf_call* call) { return api->index_read_lists(index.get(), &lists, call); });
  check("write_lists", NF_FAILED_PRECONDITION,
        [&](nf_call* call) { return api->index_write_lists(index.get(), &lists, call); });
  nf_maintain maintain = sized<nf_maintain>();
  nf_step step = sized<nf_step>();
  check("maintain", NF_FAILED_PRECONDITION,
        [&](nf_call* call) { return api->index_maintain(index.get(), &maintain, &step, call); });
  check("read_lists", NF_INVALID_ARGUMENT,
        [&](nf_call* call) { return api->index_read_lists(nullptr, nullptr, call); });
}

void test_table(const Bench& bench) {
  const nf_api& api = *bench.api;
  bench.report->check(api.struct_size == sizeof(nf_api) && api.abi_major == NF_ABI_MAJOR &&
                          api.abi_minor == NF_ABI_MINOR && api.reserved == 0,
                      "table: its version");
  bench.report->check(api.backend != nullptr && api.backend[0] != '\0' && api.build != nullptr,
                      "table: its names");
  // ", gcc 12.2.0" at the end: what was measured has to say what made it.
  const char* const comma = std::strrchr(api.build, ',');
  int major, minor, patch, end = 0;
  for (const char* form : {", gcc %d.%d.%d%n", ", clang %d.%d.%d%n", ", Apple clang %d.%d.%d%n"})
    if (comma != nullptr && end == 0) std::sscanf(comma, form, &major, &minor, &patch, &end);
  const std::string rest = comma == nullptr ? "" : comma + end;
  bench.report->check(end != 0 && (rest.empty() || rest == " without optimisation"), "table: its compiler",
                      api.build);
  const unsigned char* entries = reinterpret_cast<const unsigned char*>(&api.device_count);
  const unsigned char* last = reinterpret_cast<const unsigned char*>(&api) + api.struct_size;
  for (int i = 0; entries < last; entries += sizeof(void*), ++i) {
    void* entry;
    std::memcpy(&entry, entries, sizeof(entry));
    bench.report->check(entry != nullptr, "table: entry " + std::to_string(i), "is NULL");
  }
}

}  // namespace

void test_lifecycle(const Bench& bench) {
  test_table(bench);
  test_null_handles(bench);
  test_boundless_capacity(bench);
  test_supports(bench);
  test_codes(bench);
  test_flat_lists(bench);
  test_destroyed_context(bench);
}

}  // namespace nearfield_test
