// SPDX-License-Identifier: Apache-2.0
// What was gathered on its way to the device, and waiting for it: at most two submissions are in flight.
#include <utility>

#include "buffers.hpp"
#include "gpu/patience.hpp"
#include "queue.hpp"

namespace nearfield::wgpu {

Status WebGpuQueue::submit(double units, const char* what) {
  const Symbols& s = symbols();
  end_pass();
  if (encoder_ == nullptr) return {};
  if (!slots_.empty()) write(params_, 0, slots_.data(), slots_.size());
  slots_.clear();
  if (!std::exchange(measurable_, true)) units = 0;
  WGPUCommandEncoder encoder = std::exchange(encoder_, nullptr);
  WGPUCommandBuffer commands = s.wgpuCommandEncoderFinish(encoder, nullptr);
  s.wgpuCommandEncoderRelease(encoder);
  // An invalid command buffer must not be submitted: wgpu-native treats that as fatal.
  if (Status status = take_error(what); !status.ok()) {
    if (commands != nullptr && status.code() != NF_DEVICE_LOST) s.wgpuCommandBufferRelease(commands);
    return status;
  }
  while (flights_.size() >= 2) wait_oldest();
  NF_TRY(lost_in(what));  // and keeps the commands, as above
  s.wgpuQueueSubmitForIndex(queue_, 1, &commands);
  s.wgpuCommandBufferRelease(commands);
  const auto ended = std::make_shared<std::atomic<bool>>(false);
  flights_.push_back({ended, units, gpu::Pace::Clock::now()});
  WGPUQueueWorkDoneCallbackInfo done{};
  done.mode = WGPUCallbackMode_AllowSpontaneous;
  done.callback = on_work_done;
  done.userdata1 = new Ended(ended);
  s.wgpuQueueOnSubmittedWorkDone(queue_, done);
  return take_error(what);
}

void WebGpuQueue::discard() {
  end_pass();
  if (encoder_ != nullptr) symbols().wgpuCommandEncoderRelease(encoder_);
  encoder_ = nullptr;
  slots_.clear();
  measurable_ = true;
}

void WebGpuQueue::wait_oldest() {
  const Flight flight = flights_.front();
  flights_.pop_front();
  if (!health().ok()) return;
  wait_for(*flight.ended);
  if (*flight.ended) pace_.ended(flight.submitted, flight.units);
}

void WebGpuQueue::wait_for(const std::atomic<bool>& ended) {
  // A blocking poll has no time of its own, or aborts the process after a minute. lavapipe computes on this
  // CPU: it needs the core.
  gpu::Patience patience(adapter_.silence, adapter_.software() ? std::chrono::nanoseconds(0) : gpu::kSpin);
  while (patience.left()) {
    symbols().wgpuDevicePoll(device_, 0, nullptr);
    if (ended || !health().ok()) return;
  }
  const std::lock_guard<std::mutex> lock(errors_->mutex);
  errors_->lost = true;
  errors_->lost_reason = patience.text();
}

void WebGpuQueue::drain() {
  while (!flights_.empty()) wait_oldest();
}

}  // namespace nearfield::wgpu
