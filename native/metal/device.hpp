// SPDX-License-Identifier: Apache-2.0
// What the Metal backend needs of Metal: adapters, memory, pipelines, commands. device.cpp,
// commands.cpp and pipeline.cpp are the only files that see metal-cpp; the emulator of kernels-test/simt
// brings another device.cpp. Not thread-safe: calls on a Device
// and on what it made run one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gpu/patience.hpp"
#include "gpu/queue.hpp"
#include "status.hpp"

namespace nearfield::metal {

struct Adapter {
  std::string name;
  std::string driver;              // what nf_device_info::driver says
  uint64_t memory_bytes = 0;       // that a process should not exceed
  uint64_t buffer_bytes = 0;       // of one buffer at most
  uint32_t threadgroup_bytes = 0;  // of one threadgroup at most
  bool unified = true;             // CPU and GPU share their memory
  bool emulated = false;
  std::chrono::nanoseconds silence = gpu::kMostSilence;  // after which the device counts as hung
};

// Memory of the GPU. Freed with this object, or when the commands that use it have ended.
class Block : public gpu::Memory {
 public:
  // Where the CPU sees it; NULL: it does not.
  virtual void* contents() const = 0;
};

class Pipeline {
 public:
  virtual ~Pipeline() = default;
};

// How a submission ended.
// kHung: it has not ended, and nobody waits any longer.
enum class Fault : uint8_t { kNone, kOutOfMemory, kTimeout, kLost, kHung, kOther };

// The commands of one submission. They run in order, each seeing what the ones before it wrote, and after
// those of every Commands committed earlier. Dropped when destroyed uncommitted; destroyed after wait()
// otherwise.
class Commands {
 public:
  virtual ~Commands() = default;
  // `params` is copied. The buffers are bound in order behind it: nothing but Blocks of this device.
  virtual void dispatch(const Pipeline& pipeline, const void* params, size_t params_bytes,
                        std::span<const Block* const> buffers, gpu::Grid grid, uint32_t lanes) = 0;
  virtual void copy(const Block& from, uint64_t from_offset, const Block& to, uint64_t to_offset,
                    uint64_t bytes) = 0;
  virtual void commit() = 0;
  // Waits for the end, for as long as `most`; `reason` gets the GPU's words when it is not kNone.
  virtual Fault wait(std::chrono::nanoseconds most, std::string* reason) = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const Adapter& adapter() const = 0;
  // Zeroed or not; NULL when there is no memory. `host`: the CPU must see it, which unified memory always
  // grants.
  virtual std::unique_ptr<Block> allocate(uint64_t bytes, bool host) = 0;
  // An instance of kernels/instances.h, by its name, compiled for threadgroups of `lanes` threads.
  virtual Status compile(const std::string& name, uint32_t lanes, std::unique_ptr<Pipeline>* out) = 0;
  // NULL when there is no memory.
  virtual std::unique_ptr<Commands> begin() = 0;
};

// The adapters that can run the kernels. None is no error: `why_none` says why.
std::vector<Adapter> adapters(std::string* why_none);
// By its index there; `what` names the call in the message.
Status open_device(int32_t index, const char* what, std::unique_ptr<Device>* out);

}  // namespace nearfield::metal
