// SPDX-License-Identifier: Apache-2.0
// MetalQueue over a device that notes what it is asked for: order of writes, submissions in flight, errors as
// statuses, names of kernels. Results are the matter of the suite on the emulator.
#include "queue.hpp"

#include <cstdio>
#include <cstring>
#include <functional>
#include <set>

namespace nearfield::metal {
namespace {

int passed = 0, failed = 0;

#define CHECK(condition)                                               \
  do {                                                                 \
    if (condition) {                                                   \
      ++passed;                                                        \
    } else {                                                           \
      ++failed;                                                        \
      std::printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                  \
  } while (0)

// What the device was asked for, and what it answers.
struct Record {
  bool unified = true;
  int allocations_left = 1000;
  int in_flight = 0, most_in_flight = 0, waits = 0;
  std::vector<Fault> faults;  // of the next submissions
  std::vector<std::string> compiled;
};

class NotedBlock final : public Block {
 public:
  NotedBlock(uint64_t bytes, bool visible) : data(bytes), visible_(visible) {}
  void* contents() const override { return visible_ ? const_cast<uint8_t*>(data.data()) : nullptr; }
  mutable std::vector<uint8_t> data;

 private:
  bool visible_;
};

const NotedBlock& noted(const Block& block) { return static_cast<const NotedBlock&>(block); }

// A dispatch adds 1 to the first byte of its first buffer: enough to see the order.
class NotedCommands final : public Commands {
 public:
  explicit NotedCommands(Record& record) : record_(record) {}
  void dispatch(const Pipeline&, const void*, size_t, std::span<const Block* const> buffers, gpu::Grid,
                uint32_t) override {
    steps_.push_back([to = &noted(*buffers[0])] { ++to->data[0]; });
  }
  void copy(const Block& from, uint64_t from_offset, const Block& to, uint64_t to_offset,
            uint64_t bytes) override {
    steps_.push_back([=, from = &noted(from), to = &noted(to)] {
      std::memcpy(to->data.data() + to_offset, from->data.data() + from_offset, bytes);
    });
  }
  void commit() override { record_.most_in_flight = std::max(record_.most_in_flight, ++record_.in_flight); }
  Fault wait(std::chrono::nanoseconds, std::string* reason) override {
    ++record_.waits;
    --record_.in_flight;
    if (!record_.faults.empty()) {
      const Fault fault = record_.faults.front();
      record_.faults.erase(record_.faults.begin());
      if (fault != Fault::kNone) {
        *reason = "planted";
        return fault;
      }
    }
    for (const auto& step : steps_) step();
    return Fault::kNone;
  }

 private:
  Record& record_;
  std::vector<std::function<void()>> steps_;
};

class NotedDevice final : public Device {
 public:
  explicit NotedDevice(Record& record) : record_(record) {
    adapter_.name = "noted";
    adapter_.buffer_bytes = 1 << 20;
    adapter_.unified = record.unified;
  }
  const Adapter& adapter() const override { return adapter_; }
  std::unique_ptr<Block> allocate(uint64_t bytes, bool host) override {
    if (record_.allocations_left-- <= 0) return nullptr;
    return std::make_unique<NotedBlock>(bytes, host || adapter_.unified);
  }
  Status compile(const std::string& name, uint32_t, std::unique_ptr<Pipeline>* out) override {
    record_.compiled.push_back(name);
    *out = std::make_unique<Pipeline>();
    return {};
  }
  std::unique_ptr<Commands> begin() override { return std::make_unique<NotedCommands>(record_); }

 private:
  Record& record_;
  Adapter adapter_;
};

struct Fixture {
  explicit Fixture(bool unified = true) {
    record.unified = unified;
    queue = std::make_unique<MetalQueue>(std::make_unique<NotedDevice>(record));
    CHECK(queue->allocate(4, gpu::Use::kStorage, "test", &word).ok());
    CHECK(queue->allocate(4, gpu::Use::kReadback, "test", &back).ok());
  }
  void write(uint8_t value) {
    const uint8_t bytes[4] = {value, 0, 0, 0};
    queue->write(word, 0, bytes, sizeof(bytes));
  }
  Status dispatch() {
    const MoveParams params{};
    const gpu::Buffer* const buffers[] = {&word};
    return queue->dispatch({gpu::kMove, {}, &params, sizeof(params), buffers, {1, 1}});
  }
  // What the word holds, or the error.
  Status read(uint8_t* value) {
    uint8_t bytes[4] = {};
    queue->copy(word, 0, back, 0, 4);
    NF_TRY(queue->submit(0, "test"));
    NF_TRY(queue->read(back, 4, bytes, "test"));
    *value = bytes[0];
    return {};
  }

  Record record;
  std::unique_ptr<MetalQueue> queue;
  gpu::Buffer word, back;
};

void writes_are_in_order(bool unified) {
  Fixture f(unified);
  uint8_t value = 0;
  f.write(5);
  CHECK(f.dispatch().ok());
  CHECK(f.queue->submit(1, "test").ok());
  f.write(10);  // while that is in flight
  CHECK(f.dispatch().ok());
  CHECK(f.read(&value).ok() && value == 11);
  // A write is no part of what is gathered: dropping that does not drop it.
  CHECK(f.dispatch().ok() && f.queue->submit(1, "test").ok());
  f.write(20);
  CHECK(f.dispatch().ok());
  f.queue->discard();
  f.queue->drain();
  CHECK(f.read(&value).ok() && value == 20);
}

void two_are_in_flight() {
  Fixture f;
  for (int i = 0; i < 5; ++i) {
    CHECK(f.dispatch().ok());
    CHECK(f.queue->submit(1, "test").ok());
  }
  CHECK(f.record.most_in_flight == 2 && f.record.in_flight == 2);
  f.queue->drain();
  CHECK(f.record.in_flight == 0);
}

void faults_are_statuses() {
  for (const auto& [fault, code] :
       {std::pair{Fault::kOutOfMemory, NF_RESOURCE_EXHAUSTED}, std::pair{Fault::kTimeout, NF_INTERNAL},
        std::pair{Fault::kOther, NF_INTERNAL}}) {
    Fixture f;
    uint8_t value = 0;
    f.write(1);
    f.record.faults = {fault};
    const Status status = f.read(&value);
    CHECK(status.code() == code && status.message().find("planted") != std::string::npos);
    CHECK(f.read(&value).ok() && value == 1);  // usable again
  }
  Fixture f;
  uint8_t value = 0;
  f.record.faults = {Fault::kLost};
  CHECK(f.read(&value).code() == NF_DEVICE_LOST);
  CHECK(f.queue->health().code() == NF_DEVICE_LOST && f.dispatch().code() == NF_DEVICE_LOST);
  gpu::Buffer more;
  CHECK(f.queue->allocate(4, gpu::Use::kStorage, "test", &more).code() == NF_DEVICE_LOST);
  f.queue->drain();
}

// A device that hangs is lost, by the call that waited; nobody waits for it again.
void silence_is_a_loss() {
  Fixture f;
  CHECK(f.dispatch().ok() && f.queue->submit(1, "test").ok());
  CHECK(f.dispatch().ok() && f.queue->submit(1, "test").ok());
  f.record.faults = {Fault::kHung};
  uint8_t value = 0;
  const Status status = f.read(&value);
  CHECK(status.code() == NF_DEVICE_LOST && status.message() == "test: the device noted was lost: planted");
  CHECK(f.queue->health().code() == NF_DEVICE_LOST && f.dispatch().code() == NF_DEVICE_LOST);
  f.queue->drain();
  CHECK(f.record.waits == 1);
}

void memory_runs_out() {
  Fixture f;
  gpu::Buffer more;
  CHECK(f.queue->allocate(2 << 20, gpu::Use::kStorage, "test", &more).code() == NF_RESOURCE_EXHAUSTED);
  CHECK(f.dispatch().ok() && f.queue->submit(1, "test").ok());
  f.record.allocations_left = 0;
  CHECK(f.queue->allocate(4, gpu::Use::kStorage, "test", &more).code() == NF_RESOURCE_EXHAUSTED);
  f.write(7);  // finds no memory to stage in: reported by the next submission
  CHECK(f.dispatch().ok());
  CHECK(f.queue->submit(1, "test").code() == NF_RESOURCE_EXHAUSTED);
  uint8_t value = 0;
  CHECK(f.read(&value).ok() && value == 1);
}

// Every kernel that the host logic may ask for is an instance, is compiled once, and fits its list.
void shapes_have_kernels() {
  Fixture f;
  const gpu::Buffer* const buffers[] = {&f.word};
  const MoveParams params{};
  const auto ask = [&](const gpu::Kernel& kernel, const gpu::Variant& variant) {
    const Status status = f.queue->dispatch({kernel, variant, &params, sizeof(params), buffers, {1, 1}});
    if (!status.ok()) std::printf("%s\n", status.message().c_str());
    CHECK(status.ok());
  };
  const gpu::Limits& limits = f.queue->limits();
  for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) {
    for (const gpu::Kernel& kernel : {gpu::kHistogram, gpu::kCollect, gpu::kScore})
      ask(kernel, {metric, 1, 1});
    for (const int64_t batch : {1, 2, 4, 5, 31, 32, 10'000})
      for (int32_t k = 1; k <= limits.most_list_k; ++k) {
        const gpu::FlatShape flat = f.queue->flat_shape(batch, k);
        if (flat.list_capacity < static_cast<uint32_t>(k) + limits.tile_rows) CHECK(false);
        if (k % 128 > 1) continue;  // where shapes change, and between
        ask(gpu::kFlat, {metric, flat.query_block, flat.list_capacity});
        ask(gpu::kMerge, {1, 1, flat.list_capacity});
        const gpu::MatrixShape matrix = f.queue->matrix_shape(metric, 128, batch, k);
        if (matrix.query_tile == 0) continue;
        CHECK(metric <= NF_DOT && matrix.list_capacity >= static_cast<uint32_t>(k) + limits.tile_rows);
        ask(gpu::kMatrix, {metric, matrix.query_tile, 1});
        ask(gpu::kRescore, {metric, 1, matrix.list_capacity});
      }
  }
  for (int32_t metric = NF_L2SQ; metric <= NF_POINCARE; ++metric) {
    for (const gpu::Kernel& kernel : {gpu::kRotate, gpu::kCode}) ask(kernel, {metric, 1, 1});
    for (const uint32_t queries : {1u, gpu::kLevelsQueries}) ask(gpu::kLevels, {metric, queries, 1});
    for (const int32_t k : {1, 128, 896, 1024})
      ask(gpu::kRescore, {metric, 1, f.queue->flat_shape(1, k).list_capacity});
  }
  ask(gpu::kMove, {});
  CHECK(std::set<std::string>(f.record.compiled.begin(), f.record.compiled.end()).size() ==
        f.record.compiled.size());
  const Status unknown =
      f.queue->dispatch({gpu::kFlat, {1, 3, 256}, &params, sizeof(params), buffers, {1, 1}});
  CHECK(unknown.code() == NF_INTERNAL && unknown.message().find("flat_m1_q3_c256") != std::string::npos);
}

}  // namespace
}  // namespace nearfield::metal

int main() {
  using namespace nearfield::metal;
  writes_are_in_order(true);
  writes_are_in_order(false);
  two_are_in_flight();
  faults_are_statuses();
  silence_is_a_loss();
  memory_runs_out();
  shapes_have_kernels();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
