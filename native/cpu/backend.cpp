// SPDX-License-Identifier: Apache-2.0
#include "backend.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <string_view>

#include "host.hpp"
#include "store.hpp"

namespace nearfield {
namespace cpu {
namespace {

// One slab: 32 huge pages. A store wastes less than one, and no single allocation asks for more.
constexpr uint64_t kSlabBytes = uint64_t{64} << 20;
// Queues of a search: 10,000 queries with k = 100 on 8 threads; larger batches are taken in parts.
constexpr uint64_t kWorkspaceBytes = uint64_t{256} << 20;
constexpr int32_t kMostThreads = 1024;
constexpr const char* kQueryMajor = "codes-query-major";

void describe(nf_device_info* out, const Kernels& kernels, const CodeKernels& codes, int32_t threads,
              uint64_t limit, uint64_t used) {
  const uint32_t struct_size = out->struct_size;
  *out = {};
  out->struct_size = struct_size;
  std::snprintf(out->name, sizeof(out->name), "%s", cpu_name().c_str());
  std::snprintf(out->driver, sizeof(out->driver), "%s, codes %s", kernels.name, codes.name);
  out->memory_bytes = limit;
  out->free_bytes = std::min(available_memory(), limit - std::min(limit, used));
  out->dispatch_target_ns = 10'000'000;
  out->simd_width = kernels.lanes;
  out->compute_units = threads;
  out->unified_memory = 1;
  out->emulated = std::string_view(codes.name).ends_with("-sim") ? 1 : 0;
}

// The best of those that CPUs of a path may have; a CPU with AVX-512 but without its integer dots takes those
// of AVX2.
const CodeKernels& best_codes(const Kernels& kernels) {
  bool reached = false;
  for (const CodeKernels* codes : compiled_code_kernels()) {
    reached = reached || std::string_view(codes->path) == kernels.name;
    if (reached && codes->supported()) return *codes;
  }
  return *compiled_code_kernels().back();  // plain C++
}

const Kernels& best_path() {
  for (const Kernels* path : compiled_paths())
    if (path->supported()) return *path;
  return *compiled_paths().back();  // plain C++
}

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(std::shared_ptr<SharedState> shared) : state_(std::move(shared)) {}

  Status info(nf_device_info* out) override {
    describe(out, *state_->kernels, *state_->codes, state_->pool->threads(), state_->memory.limit,
             state_->memory.used);
    return {};
  }
  bool supports(int32_t metric) const override { return metric >= NF_L2SQ && metric <= NF_MANHATTAN; }
  bool supports_codes(int32_t metric) const override { return metric >= NF_L2SQ && metric <= NF_POINCARE; }
  bool serves_runs(int32_t) const override { return true; }
  bool supports_codes_alone(int32_t metric) const override { return metric >= NF_L2SQ && metric <= NF_DOT; }
  // Coding a row costs what the product of codes saves at some 200 queries (128 dimensions, identity basis).
  bool codes_pay(int32_t metric, int64_t queries) const override {
    constexpr int64_t kCodedQueries = 512;
    const bool pays = state_->codes->product_pays && queries >= kCodedQueries;
    return supports_codes(metric) && (pays || (state_->codes_always && queries > 0));
  }
  uint64_t estimate(const StoreOptions& options) const override {
    return CpuStore::estimate(options, state_->slab_bytes);
  }
  Status create_store(const StoreOptions& options, std::unique_ptr<Store>* out, const Call&) override {
    *out = std::make_unique<CpuStore>(state_, options);
    return {};
  }

 private:
  std::shared_ptr<SharedState> state_;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend() : build_(NEARFIELD_VERSION) {
    char separator = ' ';
    for (const Kernels* path : compiled_paths()) {
      build_ += separator;
      build_ += path->name;
      separator = ';';
    }
  }

  const char* name() const override { return "cpu"; }
  const char* build() const override { return build_.c_str(); }

  Status device_count(int32_t* count, std::string*) override {
    *count = 1;
    return {};
  }

  Status device_info(int32_t device, nf_device_info* out) override {
    if (device != 0) return error(NF_INVALID_ARGUMENT, "device_info: device=%d, this backend has 1", device);
    describe(out, best_path(), best_codes(best_path()), usable_cores(), usable_memory(), 0);
    return {};
  }

  Status create_device(const DeviceOptions& options, std::unique_ptr<Device>* out,
                       const Call& call) override {
    if (options.device != 0)
      return error(NF_INVALID_ARGUMENT, "%s: device=%d, this backend has 1", call.operation(),
                   options.device);
    if (options.threads < 0 || options.threads > kMostThreads)
      return error(NF_INVALID_ARGUMENT, "%s: threads=%d, the limit is %d", call.operation(), options.threads,
                   kMostThreads);
    auto shared = std::make_shared<SharedState>();
    NF_TRY(choose_path(options.force_path, call.operation(), shared.get()));
    uint64_t memory = usable_memory();
    if (memory == 0) memory = std::numeric_limits<uint64_t>::max();  // unknown: no limit of ours
    shared->slab_bytes = options.slab_bytes != 0 ? options.slab_bytes : kSlabBytes;
    shared->memory.limit = options.memory_limit != 0 ? std::min(options.memory_limit, memory) : memory;
    shared->workspace_limit = options.workspace_limit != 0 ? options.workspace_limit : kWorkspaceBytes;
    shared->workspace_limit_given = options.workspace_limit != 0;
    NF_TRY(Pool::create(options.threads != 0 ? options.threads : usable_cores(), &shared->pool));
    *out = std::make_unique<CpuDevice>(std::move(shared));
    return {};
  }

 private:
  // Paths by the names of their kernels; "codes": the best, whose searches of a coded index always go by
  // codes; "codes-query-major": the same, but that each query looks into its lists by itself; "codes-" and
  // the name of kernels of codes: the same with those and their f32 kernels.
  Status choose_path(const std::string& forced, const char* operation, SharedState* to) {
    to->kernels = &best_path();
    to->codes = &best_codes(*to->kernels);
    to->codes_always = forced == "codes" || forced == kQueryMajor;
    to->query_major = forced == kQueryMajor;
    if (forced.empty() || to->codes_always) return {};
    std::string known;
    const auto offer = [&](const std::string& name) {
      known += known.empty() ? name : ", " + name;
      return forced == name;
    };
    for (const Kernels* path : compiled_paths()) {
      if (!path->supported() || !offer(path->name)) continue;
      to->kernels = path;
      to->codes = &best_codes(*path);
      return {};
    }
    for (const CodeKernels* codes : compiled_code_kernels()) {
      if (!codes->supported() || !offer(std::string("codes-") + codes->name)) continue;
      for (const Kernels* path : compiled_paths())
        if (std::string_view(codes->path) == path->name) to->kernels = path;
      to->codes = codes;
      to->codes_always = true;
      return {};
    }
    offer(kQueryMajor);
    return error(NF_INVALID_ARGUMENT, "%s: force_path=\"%.64s\", this CPU has %s", operation, forced.c_str(),
                 known.c_str());
  }

  std::string build_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Backend> make_backend() { return std::make_unique<cpu::CpuBackend>(); }

}  // namespace nearfield
