// SPDX-License-Identifier: Apache-2.0
// A device that does not answer in time is lost, by an error of the call that waited; everything that belongs
// to it can be destroyed. lavapipe always answers: here it has no time to.
#include "gpu/device.hpp"
#include "gpu/test/fixture.hpp"
#include "native.hpp"
#include "queue.hpp"

namespace nearfield::wgpu::test {

using namespace gpu::test;

namespace {

constexpr int32_t kDim = 16;

void silence_is_a_loss(const std::shared_ptr<Native>& native, std::mt19937_64& random) {
  Adapter adapter = native->adapters()[0];
  adapter.silence = std::chrono::nanoseconds(0);
  std::unique_ptr<WebGpuQueue> queue;
  CHECK_OK(WebGpuQueue::create(native, adapter, {}, &queue));
  std::shared_ptr<gpu::Context> context;
  CHECK_OK(gpu::Context::create(std::move(queue), "wgpu", {}, &context));
  gpu::GpuDevice device(context);
  const Rows rows = make_rows(random, NF_L2SQ, kDim, 200'000);
  StoreOptions options{};
  options.metric = NF_L2SQ;
  options.dim = kDim;
  std::unique_ptr<Store> store;
  CHECK_OK(device.create_store(options, &store, kCall));
  // On a busy machine work may have ended before it is asked for, but not every time.
  Status lost;
  for (int i = 0; i < 20 && lost.ok(); ++i) lost = store->append(rows.host(), kCall);
  CHECK_IN(lost.message(), lost.code() == NF_DEVICE_LOST);
  CHECK_IN(lost.message(), lost.message().find(" s, 0.0 s is the limit") != std::string::npos);
  CHECK(device.health().code() == NF_DEVICE_LOST);
  CHECK(store->append(rows.host(), kCall).code() == NF_DEVICE_LOST);
}

}  // namespace
}  // namespace nearfield::wgpu::test

int main(int argc, char** argv) {
  using namespace nearfield::wgpu;
  std::mt19937_64 random(test::seed_from(argc, argv, 3));
  const std::shared_ptr<Native> native = Native::open();
  if (native->adapters().empty()) {
    std::printf("ABSENT: wgpu has no device: %s\n", native->why_none().c_str());
    return 77;
  }
  test::silence_is_a_loss(native, random);
  return test::finish();
}
