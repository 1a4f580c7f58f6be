// SPDX-License-Identifier: Apache-2.0
#include "context.hpp"

#include "metric.hpp"

namespace nearfield {
namespace {

template <typename T>
uint64_t bytes_of(const std::vector<T>& vector) {
  return vector.capacity() * sizeof(T);
}

}  // namespace

uint64_t Workspace::bytes() const {
  return bytes_of(queries) + bytes_of(squared) + bytes_of(hits) + bytes_of(batch_hits) +
         bytes_of(candidates) + bytes_of(rescored) + bytes_of(batch_rescored) + bytes_of(certified) +
         bytes_of(batch_certified) + bytes_of(lists) + bytes_of(recall) + bytes_of(masks) +
         bytes_of(number_mask) + bytes_of(offsets) + bytes_of(rows) + bytes_of(places) + bytes_of(ranks);
}

Context::Context(std::unique_ptr<Device> device, DeviceOptions options, uint64_t memory_bytes)
    : device_(std::move(device)), options_(std::move(options)), memory_bytes_(memory_bytes) {
  for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) {
    if (device_->supports(metric)) metrics_ |= uint32_t{1} << metric;
    if (device_->serves_runs(metric) && metric != NF_MANHATTAN) listed_metrics_ |= uint32_t{1} << metric;
    if (device_->supports_codes(metric)) coded_metrics_ |= uint32_t{1} << metric;
    if (device_->supports_codes_alone(metric)) codes_alone_metrics_ |= uint32_t{1} << metric;
  }
}

uint64_t Context::workspace_target() const {
  return options_.workspace_limit != 0 ? options_.workspace_limit : kDefaultWorkspace;
}

Status Context::check_served(const Call& call, int32_t metric) const {
  NF_TRY(check_metric(call, metric));
  if (serves(metric)) return {};
  return error(NF_UNIMPLEMENTED, "%s: metric=%d (%s) is not served by this device", call.operation(), metric,
               metric_name(metric));
}

Status Context::check_usable(const Call& call) const {
  if (closed_)
    return error(NF_FAILED_PRECONDITION, "%s: the context of this index is destroyed", call.operation());
  if (lost_)
    return Status(NF_DEVICE_LOST, std::string(call.operation()) + ": the device was lost: " + why_lost_,
                  native_code_);
  return device_->health();
}

void Context::after_call(const Status& status) {
  if (status.code() == NF_DEVICE_LOST) {
    lost_ = true;
    native_code_ = status.native_code();
    why_lost_ = status.message();
  }
  // One large call must not hold its memory for ever.
  if (workspace_.bytes() > workspace_target()) workspace_ = Workspace();
}

void Context::give_up(Works::Token token) {
  works_.give_up(token);
  if (!turns_.try_take()) return;
  const TurnHolder holder(turns_);
  works_.sweep();
}

void Context::close() {
  turns_.take_always();
  const TurnHolder holder(turns_);
  closed_ = true;
  works_.clear();
  workspace_ = Workspace();
}

}  // namespace nearfield
