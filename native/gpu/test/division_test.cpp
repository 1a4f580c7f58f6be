// SPDX-License-Identifier: Apache-2.0
// How the host divides a search, over a queue that notes what it is asked for: no submission has more lists
// than merge follows, nor more dispatches than there is room for; and the cases of the suite's
// "bits-hardware" reach every branch that divides work on a large GPU, so that none of them waits for one.
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "case.hpp"
#include "gpu/device.hpp"
#include "metric.hpp"
#include "noting_queue.hpp"
#include "tile32.hpp"
#include "wgpu/workgroup.hpp"

namespace nearfield::gpu {
namespace {

using namespace test;

struct Gpu {
  const char* name;
  Limits limits;
  FlatShape flat;
};

// What differs between the backends. A software GPU runs "hardware" with its own limit of loop iterations.
std::vector<Gpu> gpus() {
  // Of files that need an API's types: wgpu/tuning.hpp, cuda/queue.cpp and shapes.hpp, metal/queue.cpp.
  Limits wgpu;
  wgpu.binding_bytes = wgpu.slab_bytes = 1 << 30;
  wgpu.least_part_units = 1e4;
  wgpu.lanes = wgpu::kLanes;
  wgpu.tile_rows = wgpu::kTileRows;
  wgpu.most_lists = wgpu::kMostLists;
  wgpu.most_list_k = wgpu::kMostListK;
  Limits small = wgpu;  // an adapter that allows no more
  small.binding_bytes = small.slab_bytes = 128 << 20;
  Limits lavapipe = small;
  lavapipe.loops = wgpu::kMostLoops;
  lavapipe.least_part_units = 1e5;
  Limits cuda;
  cuda.binding_bytes = 16ull << 30;
  cuda.slab_bytes = 1ull << 30;
  cuda.least_part_units = 2e4;
  cuda.lanes = cuda.tile_rows = 128;
  cuda.most_lists = 4096;
  cuda.most_list_k = 2048;
  cuda.sides_of_products = true;
  Limits metal = cuda;
  metal.most_list_k = 1024;
  return {{"WebGPU", wgpu, {4, 256, 1024}},
          {"WebGPU with small bindings", small, {4, 256, 1024}},
          {"lavapipe", lavapipe, {4, 256, 4}},
          {"CUDA", cuda, {8, 256, 1584}},
          {"Metal", metal, {8, 256, 1584}}};
}

// One search: what held for it and what was submitted.
struct Run {
  Limits limits;
  std::vector<Submission> log;
};
Run search(const Gpu& gpu, const char* path, int32_t metric, int32_t dim, int64_t rows, int32_t k,
           int64_t batch) {
  Run run;
  DeviceOptions options;
  options.force_path = path;
  std::shared_ptr<Context> context;
  const auto ok = [&](const Status& status) { check(status.ok(), status.message()); };
  ok(Context::create(std::make_unique<NotingQueue>(gpu.limits, gpu.flat, &run.log), gpu.name, options,
                     &context));
  GpuDevice device(context);
  StoreOptions wanted;
  wanted.metric = metric;
  wanted.dim = dim;
  std::unique_ptr<Store> store;
  const Call call(nullptr, "test");
  ok(device.create_store(wanted, &store, call));
  // The same row again and again.
  const std::vector<float> row(static_cast<size_t>(dim), 0.5f),
      sides(static_cast<size_t>(rows), row_side(metric, squared_norm(row.data(), dim)));
  ok(store->append({row.data(), rows, 0, sides.data()}, call));
  run.limits = context->limits();
  run.log.clear();
  const std::vector<float> queries(static_cast<size_t>(batch * padded_dim(dim)), 0.0f);
  std::vector<Hit> hits(static_cast<size_t>(batch * k));
  SearchPlan plan;
  plan.queries = queries.data();
  plan.query_stride = padded_dim(dim);
  plan.batch = batch;
  plan.k = k;
  plan.hits = hits.data();
  const Status status = store->search(plan, call);
  // Radix selection looks at its counts.
  check(status.ok() || k > gpu.limits.most_list_k, status.message());
  return run;
}

// What holds for every search; notes which branches it took.
void judge(const std::string& what, const Run& run, std::map<std::string, int>* reached) {
  const Limits& limits = run.limits;
  const uint32_t tile = limits.tile_rows / 32;
  uint32_t merges = 0;
  for (const Submission& submission : run.log) {
    uint32_t lists = 0, flats = 0;
    std::set<uint32_t> slabs;
    bool sampled = false, matrix = false;
    for (const Noted& noted : submission) {
      const ScanParams& p = noted.scan;
      if (noted.kernel == kFlat.name) {
        const uint32_t parts = p.workgroups / p.query_blocks;
        check(p.part_base == lists, what + ": lists overlap or leave a gap");
        lists += parts;
        ++flats;
        slabs.insert(p.first_row);
        sampled = sampled || p.part_groups < p.groups_per_part;
        if (parts > 256) ++(*reached)["hundreds of parts in one slab"];
        if (p.query_blocks > 1 && p.groups_per_part > tile) ++(*reached)["parts of several tiles"];
        if (noted.variant.list_capacity > 256) ++(*reached)["long lists"];
      }
      if (noted.kernel == kMerge.name) {
        check(noted.merge.lists == lists && noted.merge.part_stride == lists,
              what + ": merge follows other lists than there are");
        ++merges;
        if (noted.merge.first == 0) ++(*reached)["a merge with the best so far"];
      }
      if (noted.kernel == kHistogram.name && p.workgroups > 256)
        ++(*reached)["radix selection, many workgroups"];
      matrix = matrix || noted.kernel == kMatrix.name;
    }
    check(lists <= limits.most_lists,
          what + ": " + std::to_string(lists) + " lists, merge follows " + std::to_string(limits.most_lists));
    check(flats == 0 || submission.size() <= limits.dispatches, what + ": too many dispatches");
    if (sampled) ++(*reached)["a sample"];
    if (!sampled && slabs.size() > 1) ++(*reached)["several slabs in a submission"];
    if (!sampled && flats + 2 == limits.dispatches) ++(*reached)["a submission full of dispatches"];
    // No slab more would have found room for its parts.
    if (!sampled && lists > limits.most_lists / 2 && &submission != &run.log.back())
      ++(*reached)["a submission full of lists"];
    if (matrix) ++(*reached)["a window of the matrix form"];
  }
  if (merges > 2) ++(*reached)["several submissions"];
}

void suite_reaches_all(const Gpu& gpu) {
  std::map<std::string, int> reached;
  for (const nearfield::test::Case& c : nearfield::test::all_cases(nearfield::test::Effort::QUICK)) {
    if (c.test != "bits-hardware") continue;
    judge(std::string(gpu.name) + " " + c.name(),
          search(gpu, "hardware", c.metric, c.dim, c.rows, static_cast<int32_t>(c.k), c.batch), &reached);
  }
  std::vector<std::string> wanted = {"hundreds of parts in one slab",
                                     "parts of several tiles",
                                     "long lists",
                                     "a merge with the best so far",
                                     "radix selection, many workgroups",
                                     "a sample",
                                     "several slabs in a submission",
                                     "a submission full of dispatches",
                                     "a submission full of lists",
                                     "several submissions"};
  if (gpu.limits.sides_of_products) wanted.push_back("a window of the matrix form");
  for (const std::string& branch : wanted)
    check(reached[branch] > 0, std::string(gpu.name) + ": no case of the suite has " + branch);
}

// Sizes that people have, with the constants themselves. The first once gave wrong answers: 2,680 lists.
void real_sizes(const Gpu& gpu) {
  for (const auto& [dim, rows, k, batch] : {std::tuple{128, 2'097'152, 10, 4},
                                            {128, 2'097'152, 10, 1},
                                            {768, 1'000'000, 100, 16},
                                            {128, 1'000'000, 1000, 16},
                                            {4, 20'000'000, 1, 1}}) {
    std::map<std::string, int> reached;
    judge(std::string(gpu.name) + " " + std::to_string(rows) + " x " + std::to_string(dim),
          search(gpu, "", NF_L2SQ, dim, rows, k, batch), &reached);
    if (batch >= 4 && k <= gpu.limits.most_list_k)
      check(reached["a sample"] > 0, "a large store is not sampled");
  }
}

}  // namespace
}  // namespace nearfield::gpu

int main() {
  using namespace nearfield::gpu;
  using namespace nearfield::gpu::test;
  for (const Gpu& gpu : gpus()) {
    suite_reaches_all(gpu);
    real_sizes(gpu);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
