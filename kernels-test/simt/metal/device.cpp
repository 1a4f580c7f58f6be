// SPDX-License-Identifier: Apache-2.0
// native/metal/device.hpp on the emulator: what the shipped backend and queue reach instead of metal-cpp.
// Committed commands run when somebody waits for them or for later ones, so that a result that is read too
// early is stale.
#include "device.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "control.hpp"
#include "kernels.hpp"
#include "memory.hpp"
#include "simt.hpp"

namespace nearfield::metal {
namespace {

constexpr uint64_t kMemoryBytes = uint64_t{4} << 30;
constexpr uint64_t kBufferBytes = uint64_t{1} << 30;
constexpr uint32_t kThreadgroupBytes = 32 * 1024;
constexpr uint32_t kMostThreads = 1024;

// Commands retain the memory that they use.
struct Storage {
  explicit Storage(void* p) : memory(p) {}
  ~Storage() { simt::release(memory); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  void* const memory;
};

class SimtBlock final : public Block {
 public:
  SimtBlock(void* memory, uint64_t bytes, bool visible)
      : storage_(std::make_shared<Storage>(memory)), bytes_(bytes), visible_(visible) {}

  // Whoever asks may write, unseen by us.
  void* contents() const override {
    if (!visible_) return nullptr;
    simt::mark_written(storage_->memory, bytes_);
    return storage_->memory;
  }
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  uint64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Storage> storage_;
  uint64_t bytes_;
  bool visible_;
};

const SimtBlock& of(const Block& block) { return static_cast<const SimtBlock&>(block); }

class SimtPipeline final : public Pipeline {
 public:
  SimtPipeline(const simt::metal::Kernel& kernel, uint32_t lanes) : kernel_(kernel), lanes_(lanes) {}
  const simt::metal::Kernel& kernel() const { return kernel_; }
  uint32_t lanes() const { return lanes_; }

 private:
  const simt::metal::Kernel& kernel_;
  uint32_t lanes_;
};

// The commands of one submission, and how they ended.
struct Work {
  std::vector<std::function<void()>> steps;
  std::chrono::steady_clock::time_point ready{};
  bool done = false;
  Fault fault = Fault::kNone;
  std::string reason;
};

class SimtDevice;

class SimtCommands final : public Commands {
 public:
  explicit SimtCommands(SimtDevice& device) : device_(device), work_(std::make_shared<Work>()) {}
  void dispatch(const Pipeline& pipeline, const void* params, size_t params_bytes,
                std::span<const Block* const> buffers, gpu::Grid grid, uint32_t lanes) override;
  void copy(const Block& from, uint64_t from_offset, const Block& to, uint64_t to_offset,
            uint64_t bytes) override;
  void commit() override;
  Fault wait(std::chrono::nanoseconds most, std::string* reason) override;

 private:
  SimtDevice& device_;
  std::shared_ptr<Work> work_;
};

class SimtDevice final : public Device {
 public:
  explicit SimtDevice(Adapter adapter) : adapter_(std::move(adapter)) {}

  const Adapter& adapter() const override { return adapter_; }

  std::unique_ptr<Block> allocate(uint64_t bytes, bool host) override {
    if (simt::fault_strikes("allocation") || bytes > adapter_.buffer_bytes) return nullptr;
    const auto most = static_cast<uint64_t>(simt::fault("memory", static_cast<int64_t>(kMemoryBytes)));
    if (simt::allocated_bytes() + bytes > most) return nullptr;
    void* const memory = simt::allocate(bytes);
    if (memory == nullptr) return nullptr;
    return std::make_unique<SimtBlock>(memory, bytes, host || adapter_.unified);
  }

  Status compile(const std::string& name, uint32_t lanes, std::unique_ptr<Pipeline>* out) override {
    const simt::metal::Kernel* const kernel = simt::metal::find_kernel(name);
    if (kernel == nullptr) return error(NF_INTERNAL, "the emulator has no kernel %s", name.c_str());
    if (lanes == 0 || lanes > kMostThreads)
      return error(NF_INTERNAL, "kernel %s: %u lanes, %u at most", name.c_str(), lanes, kMostThreads);
    *out = std::make_unique<SimtPipeline>(*kernel, lanes);
    return {};
  }

  std::unique_ptr<Commands> begin() override { return std::make_unique<SimtCommands>(*this); }

  void commit(std::shared_ptr<Work> work) {
    // One after the other, as on a device.
    ready_ = std::max(ready_, std::chrono::steady_clock::now()) +
             std::chrono::milliseconds(simt::fault("slow", 0));
    work->ready = ready_;
    queue_.push_back(std::move(work));
  }

  // Everything committed up to `last`.
  void run(const std::shared_ptr<Work>& last) {
    while (!last->done && !hung_) {
      if (queue_.empty()) return finish(*last, Fault::kOther, "waited for before it was committed");
      const std::shared_ptr<Work> work = std::move(queue_.front());
      queue_.pop_front();
      std::this_thread::sleep_until(work->ready);
      Fault fault = lost_ ? Fault::kLost : Fault::kNone;
      std::string reason = lost_ ? "the emulated device was lost" : "";
      try {
        for (size_t i = 0; i < work->steps.size() && fault == Fault::kNone; ++i) {
          work->steps[i]();
          if (lost_) fault = Fault::kLost, reason = "the emulated device was lost";
          if (hung_) return;
        }
      } catch (const simt::Error& e) {
        fault = Fault::kOther;
        reason = e.what();
      }
      finish(*work, fault, reason);
    }
  }

  void lose() { lost_ = true; }
  void hang() { hung_ = true; }

 private:
  static void finish(Work& work, Fault fault, const std::string& reason) {
    work.done = true;
    work.fault = fault;
    work.reason = reason;
    work.steps.clear();
  }

  const Adapter adapter_;
  std::deque<std::shared_ptr<Work>> queue_;
  std::chrono::steady_clock::time_point ready_{};
  bool lost_ = false, hung_ = false;
};

void SimtCommands::dispatch(const Pipeline& pipeline, const void* params, size_t params_bytes,
                            std::span<const Block* const> buffers, gpu::Grid grid, uint32_t lanes) {
  const auto& compiled = static_cast<const SimtPipeline&>(pipeline);
  const simt::metal::Kernel& kernel = compiled.kernel();
  const auto* const bytes = static_cast<const char*>(params);
  std::vector<std::shared_ptr<Storage>> bound;
  for (const Block* block : buffers) bound.push_back(of(*block).storage());
  const unsigned most_threads = compiled.lanes();
  SimtDevice& device = device_;
  work_->steps.push_back([=, &kernel, &device, copy = std::vector<char>(bytes, bytes + params_bytes)] {
    if (copy.size() != kernel.params_bytes || bound.size() != kernel.buffers)
      throw simt::Error(std::string(kernel.name) + ": " + std::to_string(copy.size()) +
                        " bytes of parameters and " + std::to_string(bound.size()) + " buffers, it takes " +
                        std::to_string(kernel.params_bytes) + " and " + std::to_string(kernel.buffers));
    if (simt::fault_strikes("launch"))
      throw simt::Error(std::string(kernel.name) + ": a fault that a test asked for");
    if (simt::fault_strikes("lost")) return device.lose();
    if (simt::fault_strikes("hang")) return device.hang();
    // Parameters are aligned as in constant memory.
    alignas(16) char params[256];
    std::memcpy(params, copy.data(), std::min(copy.size(), sizeof(params)));
    std::vector<void*> pointers;
    for (const auto& storage : bound) pointers.push_back(storage->memory);
    simt::Options options = simt::options_of(kernel.name, pointers);
    options.shared_limit = kThreadgroupBytes;
    options.most_threads = most_threads;
    simt::launch(
        {grid.x, grid.y}, {lanes}, [&] { kernel.run(params, pointers.data()); }, options);
  });
}

void SimtCommands::copy(const Block& from, uint64_t from_offset, const Block& to, uint64_t to_offset,
                        uint64_t bytes) {
  const SimtBlock &source = of(from), &target = of(to);
  const bool inside = from_offset + bytes <= source.bytes() && to_offset + bytes <= target.bytes();
  work_->steps.push_back([=, from = source.storage(), to = target.storage()] {
    if (!inside || from_offset % 4 != 0 || to_offset % 4 != 0 || bytes % 4 != 0)
      throw simt::Error("a copy of " + std::to_string(bytes) + " bytes from offset " +
                        std::to_string(from_offset) + " to " + std::to_string(to_offset) +
                        " leaves its buffer, or is no multiple of 4");
    char* const p = static_cast<char*>(to->memory) + to_offset;
    const char* const q = static_cast<const char*>(from->memory) + from_offset;
    std::memcpy(p, q, bytes);
    simt::copy_marks(p, q, bytes);
  });
}

void SimtCommands::commit() { device_.commit(work_); }

Fault SimtCommands::wait(std::chrono::nanoseconds most, std::string* reason) {
  gpu::Patience patience(most, {});
  while (patience.left() && !work_->done) device_.run(work_);
  if (!work_->done) {
    *reason = patience.text();
    return Fault::kHung;
  }
  if (work_->fault != Fault::kNone) *reason = work_->reason;
  return work_->fault;
}

Adapter emulated() {
  Adapter adapter;
  adapter.name = "emulated Apple GPU";
  adapter.driver = "kernels-test/simt";
  adapter.memory_bytes = kMemoryBytes;
  adapter.buffer_bytes = kBufferBytes;
  adapter.threadgroup_bytes = kThreadgroupBytes;
  adapter.unified = simt::fault("unified", 1) != 0;
  adapter.emulated = true;
  if (const int64_t ms = simt::fault("silence", 0); ms != 0) adapter.silence = std::chrono::milliseconds(ms);
  return adapter;
}

}  // namespace

std::vector<Adapter> adapters(std::string* why_none) {
  if (simt::fault("no-device", 0) == 0) return {emulated()};
  if (why_none != nullptr) *why_none = "this Mac has no Metal device: a test asked for none";
  return {};
}

Status open_device(int32_t index, const char* what, std::unique_ptr<Device>* out) {
  const std::vector<Adapter> found = adapters(nullptr);
  if (index < 0 || static_cast<size_t>(index) >= found.size())
    return error(NF_UNAVAILABLE, "%s: device=%d is gone, metal has %zu", what, index, found.size());
  *out = std::make_unique<SimtDevice>(found[static_cast<size_t>(index)]);
  return {};
}

}  // namespace nearfield::metal
