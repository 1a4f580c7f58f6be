// SPDX-License-Identifier: Apache-2.0
// What was gathered on its way through the stream, and waiting for it: at most two submissions are in flight.
#include <utility>

#include "gpu/patience.hpp"
#include "queue.hpp"

namespace nearfield::cuda {

Result CudaQueue::enqueue(const Command& command) {
  const Symbols& s = symbols();
  if (command.function == nullptr) {
    if (command.host != nullptr)
      return s.cuMemcpyDtoHAsync_v2(command.host, command.addresses[0], command.bytes, stream_);
    return s.cuMemcpyDtoDAsync_v2(command.addresses[1], command.addresses[0], command.bytes, stream_);
  }
  // The driver copies what the array points to before it returns.
  void* arguments[1 + kMaps + kMostBuffers] = {const_cast<unsigned char*>(command.params)};
  size_t count = 1;
  for (size_t i = 0; command.has_maps && i < kMaps; ++i)
    arguments[count++] = const_cast<TensorMap*>(&command.maps[i]);
  for (size_t i = 0; i < command.buffers; ++i)
    arguments[count++] = const_cast<DevicePointer*>(&command.addresses[i]);
  return s.cuLaunchKernel(command.function->handle, command.grid.x, command.grid.y, 1,
                          command.function->threads, 1, 1, command.function->given_bytes, stream_, arguments,
                          nullptr);
}

Status CudaQueue::submit(double units, const char* what) {
  if (gathered_.empty()) return {};
  const Current current(symbols(), context_);
  while (flights_.size() >= 2) wait_oldest();
  NF_TRY(take_error(what));
  if (!std::exchange(measurable_, true)) units = 0;
  unmarked_ = true;  // until an event follows, whatever fails
  Result result = kSuccess;
  for (size_t i = 0; i < gathered_.size() && result == kSuccess; ++i) {
    result = enqueue(gathered_[i]);
    fail(result, gathered_[i].function != nullptr ? "cuLaunchKernel" : "cuMemcpyAsync");
  }
  gathered_.clear();
  fail(mark(units), "cuEventRecord");
  return take_error(what);
}

void CudaQueue::discard() {
  gathered_.clear();
  measurable_ = true;
}

Result CudaQueue::mark(double units) {
  EventHandle event = nullptr;
  if (!spare_.empty()) {
    event = spare_.back();
    spare_.pop_back();
  } else if (const Result result = symbols().cuEventCreate(&event, kEventNoTiming); result != kSuccess) {
    return result;
  }
  const Result result = symbols().cuEventRecord(event, stream_);
  if (result == kSuccess) {
    flights_.push_back({event, units, gpu::Pace::Clock::now()});
    unmarked_ = false;
  } else {
    spare_.push_back(event);
  }
  return result;
}

Result CudaQueue::wait(EventHandle event) {
  gpu::Patience patience(gpu_.silence, gpu::kSpin);
  while (patience.left())
    if (const Result result = symbols().cuEventQuery(event); result != kNotReady) return result;
  hung_ = true;
  if (lost_.empty()) lost_ = patience.text();
  return kNotReady;
}

void CudaQueue::wait_oldest() {
  const Flight flight = flights_.front();
  flights_.pop_front();
  const Result result = lost_.empty() ? wait(flight.event) : kSuccess;
  if (!hung_) spare_.push_back(flight.event);
  if (result != kSuccess)
    fail(result, "cuEventQuery");
  else
    pace_.ended(flight.submitted, flight.units);
}

void CudaQueue::drain() {
  if (!unmarked_ && flights_.empty()) return;
  const Current current(symbols(), context_);
  if (unmarked_ && lost_.empty()) {
    const Result marked = mark(0);
    fail(marked, "cuEventRecord");
    // Nobody can tell then when the work ends: this context is of no more use.
    if (marked != kSuccess && lost_.empty()) lost_ = "cuEventRecord: " + driver_->describe(marked);
  }
  unmarked_ = false;
  while (!flights_.empty()) wait_oldest();
}

}  // namespace nearfield::cuda
