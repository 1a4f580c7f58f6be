// SPDX-License-Identifier: Apache-2.0
// What was gathered on its way to the device, and waiting for it: at most two submissions are in flight.
#include <utility>

#include "queue.hpp"

namespace nearfield::metal {

void MetalQueue::commit(double units) {
  if (gathered_.writes == nullptr && gathered_.commands == nullptr) return;
  gathered_.units = gathered_.measurable ? units : 0;
  gathered_.submitted = gpu::Pace::Clock::now();
  if (gathered_.writes != nullptr) gathered_.writes->commit();
  if (gathered_.commands != nullptr) gathered_.commands->commit();
  flights_.push_back(std::exchange(gathered_, {}));
}

Status MetalQueue::submit(double units, const char* what) {
  if (Status status = take_error(what); !status.ok()) {
    discard();
    return status;
  }
  while (flights_.size() >= 2) wait_oldest();
  commit(units);
  return take_error(what);
}

void MetalQueue::discard() {
  gathered_.commands.reset();
  gathered_.measurable = true;
}

void MetalQueue::wait_oldest() {
  const Submission flight = std::move(flights_.front());
  flights_.pop_front();
  Fault worst = Fault::kNone;
  for (Commands* commands : {flight.writes.get(), flight.commands.get()}) {
    if (commands == nullptr || !health().ok()) continue;
    std::string reason;
    const Fault fault = commands->wait(device_->adapter().silence, &reason);
    note(fault, reason);
    if (fault != Fault::kNone) worst = fault;
  }
  pace_.ended(flight.submitted, worst == Fault::kNone ? flight.units : 0);
}

void MetalQueue::drain() {
  // What was written counts as submitted; what was dispatched since does not.
  if (gathered_.commands == nullptr) commit(0);
  while (!flights_.empty()) wait_oldest();
}

}  // namespace nearfield::metal
