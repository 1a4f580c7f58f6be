// SPDX-License-Identifier: Apache-2.0
// Every kernel that stands in kernels/ becomes a pipeline, in every variant that the backend can ask for,
// with subgroups and packed dots and without; and texts that are wrong do not. "dawn" as the second argument:
// by Dawn's compiler, which kernels-test/dawn brings, and under its stricter rules.
#include <algorithm>
#include <cstring>
#include <memory>

#include "gpu/device.hpp"
#include "gpu/test/fixture.hpp"
#include "native.hpp"
#include "queue.hpp"

namespace nearfield::wgpu::test {

using namespace gpu::test;

namespace {

// Every entry point of every text belongs to a kernel, so that a new one cannot be forgotten here.
void texts_have_places() {
  size_t count = 0;
  for (const KernelSource* source = kKernelSources; source->name != nullptr; ++source) {
    const std::string text = source->text;
    for (size_t at = text.find("@compute"); at != std::string::npos; at = text.find("@compute", at + 1)) {
      const size_t begin = text.find("fn ", at) + 3;
      const std::string entry = text.substr(begin, text.find('(', begin) - begin);
      CHECK_IN(std::string(source->name) + " " + entry,
               std::any_of(places().begin(), places().end(), [&](const Place& place) {
                 return place.file == std::string(source->name) && place.entry == entry;
               }));
      ++count;
    }
  }
  CHECK_IN(std::to_string(count) + " entry points", count == places().size());
}

void all_compile(WebGpuQueue& queue) {
  size_t count = 0;
  for (const Place& place : places()) {
    for (const gpu::Variant& variant : variants(place)) {
      const Pipeline* pipeline = nullptr;
      const Status status = queue.pipelines().get(place.kernel, variant, &pipeline);
      CHECK_IN("metric " + std::to_string(variant.metric) + ", query block " +
                   std::to_string(variant.query_block) + ", list capacity " +
                   std::to_string(variant.list_capacity) + ": " + status.message(),
               status.ok() && pipeline != nullptr && pipeline->handle != nullptr);
      ++count;
    }
  }
  std::printf("%zu pipelines of %zu kernels, %s subgroups, dots %s\n", count, places().size(),
              queue.subgroups() ? "with" : "without", queue.packed_dots() ? "packed" : "unpacked");
  const Pipeline* none = nullptr;
  CHECK(queue.pipelines().get(gpu::kFlat, {NF_L2SQ, 3, kSmallList}, &none).code() == NF_INTERNAL);
}

struct Broken {
  const char* what;
  const char* text;
  bool dawn_alone = false;  // allowed by wgpu-native, or not looked at
  bool with_subgroups = false;
};
constexpr Broken kBroken[] = {
    {"syntax", "@compute @workgroup_size(64) fn main( {"},
    {"types", "@compute @workgroup_size(64) fn main() { let x: u32 = 1.5; }"},
    {"entry point", "@compute @workgroup_size(64) fn other() {}"},
    {"written, bound to be read",
     "@group(0) @binding(1) var<storage, read_write> moves: array<u32>;"
     "@compute @workgroup_size(64) fn main() { moves[0] = 1u; }"},
    {"binding that no buffer has",
     "@group(0) @binding(9) var<storage, read> more: array<u32>;"
     "@group(0) @binding(3) var<storage, read_write> out: array<u32>;"
     "@compute @workgroup_size(64) fn main() { out[0] = more[0]; }"},
    {"barrier in a branch of some lanes",
     "var<workgroup> shared_word: u32;"
     "@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lane: u32) {"
     "  if (lane < 7u) { shared_word = lane; workgroupBarrier(); } }",
     true},
    {"too much workgroup memory",
     "var<workgroup> much: array<u32, 65536>;"
     "@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lane: u32) { much[lane] = 1u; }",
     true},
    {"a warning",
     "@group(0) @binding(3) var<storage, read_write> out: array<u32>;"
     "@compute @workgroup_size(64) fn main() { out[0] = 1u; return; out[1] = 2u; }",
     true},
    {"subgroup operation in a branch of some lanes",
     "@group(0) @binding(3) var<storage, read_write> out: array<u32>;"
     "@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lane: u32) {"
     "  if (lane < 7u) { out[lane] = subgroupAdd(lane); } }",
     true, true},
};

void broken_do_not(WebGpuQueue& queue, bool dawn) {
  for (const Broken& broken : kBroken) {
    if ((broken.dawn_alone && !dawn) || (broken.with_subgroups && !queue.subgroups())) continue;
    Pipeline pipeline;
    const Status status = queue.pipelines().compile(broken.text, "main", gpu::kMove, &pipeline);
    CHECK_IN(std::string(broken.what) + ": " + status.message(),
             status.code() == NF_INTERNAL && pipeline.handle == nullptr);
  }
}

}  // namespace
}  // namespace nearfield::wgpu::test

int main(int argc, char** argv) {
  using namespace nearfield::wgpu;
  using namespace nearfield::wgpu::test;
  seed_from(argc, argv, 1);  // nothing is random here; the line that repeats the run
  const bool dawn = argc > 2 && std::strcmp(argv[2], "dawn") == 0;
  texts_have_places();
  const std::shared_ptr<Native> native = Native::open();
  if (native->adapters().empty()) {
    std::printf("ABSENT: wgpu has no device: %s\n", native->why_none().c_str());
    return failed == 0 ? 77 : finish();
  }
  const Adapter& adapter = native->adapters()[0];
  std::printf("%s, %s\n", adapter.name.c_str(), adapter.driver.c_str());
  CHECK_IN(adapter.driver, (adapter.driver.find("Dawn") != std::string::npos) == dawn);
  for (const bool plain : {true, false}) {
    std::unique_ptr<WebGpuQueue> queue;
    CHECK_OK(WebGpuQueue::create(native, adapter, {!plain, !plain}, &queue));
    // Both of our compilers have the language feature.
    CHECK(queue->limits().packed_dots && queue->packed_dots() != plain);
    all_compile(*queue);
    broken_do_not(*queue, dawn);
  }
  return finish();
}
