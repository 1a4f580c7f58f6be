// SPDX-License-Identifier: Apache-2.0
// A device, its queue of calls, and the host memory that searches work in.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend.hpp"
#include "checks.hpp"
#include "turns.hpp"
#include "works.hpp"

namespace nearfield {

// Host memory of searches, kept between calls so that a steady load allocates nothing.
struct Workspace {
  std::vector<float> queries;   // prepared, padded
  std::vector<double> squared;  // |q|^2 per query
  std::vector<Hit> hits;        // of a whole call: nothing is written to the caller before all of it is known
  std::vector<Hit> batch_hits;  // of one batch, where its queries do not follow each other
  std::vector<Hit> candidates;  // of one query over gathered rows
  std::vector<int32_t> rescored;  // per query of a whole call
  std::vector<int32_t> batch_rescored;
  std::vector<uint8_t> certified, batch_certified;  // likewise
  std::vector<int32_t> lists;                       // per query of a whole call: lists that were looked into
  std::vector<float> recall;                        // likewise, estimates
  std::vector<uint32_t> masks;
  std::vector<uint32_t> number_mask;           // of a filter, where the rows lie in lists
  std::vector<int64_t> offsets, rows, places;  // gathered rows
  std::vector<float> ranks;

  uint64_t bytes() const;
};

class Context {
 public:
  // What the host keeps between calls, and a batch aims at, when the caller sets no workspace_limit: batches
  // of 20,000 queries of 768 dimensions.
  static constexpr uint64_t kDefaultWorkspace = uint64_t{64} << 20;

  // `memory_bytes`: of the device, 0 when it cannot say.
  Context(std::unique_ptr<Device> device, DeviceOptions options, uint64_t memory_bytes);

  Turns& turns() { return turns_; }
  Device& device() { return *device_; }
  const DeviceOptions& options() const { return options_; }
  uint64_t memory_bytes() const { return memory_bytes_; }
  Workspace& workspace() { return workspace_; }
  Works& works() { return works_; }
  // Needs no turn. The memory is free again when the context is idle, else with its next call.
  void give_up(Works::Token token);
  uint64_t workspace_target() const;
  uint64_t workspace_bytes() const { return workspace_.bytes(); }
  // Needs no turn.
  bool serves(int32_t metric) const { return metric >= 0 && metric < 32 && (metrics_ >> metric & 1) != 0; }
  Status check_served(const Call& call, int32_t metric) const;
  // Metrics whose indexes may be coded. Needs no turn.
  bool serves_codes(int32_t metric) const { return serves(metric) && (coded_metrics_ >> metric & 1) != 0; }
  // Metrics whose indexes may have lists. Needs no turn.
  bool serves_lists(int32_t metric) const { return serves(metric) && (listed_metrics_ >> metric & 1) != 0; }
  // Those of them that may do without f32 rows.
  bool serves_codes_alone(int32_t metric) const {
    return serves_codes(metric) && (codes_alone_metrics_ >> metric & 1) != 0;
  }

  // Runs `body` in its turn, unless the context is destroyed or its device lost.
  template <typename Body>
  Status run(const Call& call, Body&& body) {
    NF_TRY(turns_.take(call));
    const TurnHolder holder(turns_);
    works_.sweep();
    NF_TRY(check_usable(call));
    Status status = body();
    after_call(status);
    return status;
  }

  // The handle is gone; indexes that are left answer NF_FAILED_PRECONDITION.
  void close();

 private:
  Status check_usable(const Call& call) const;
  void after_call(const Status& status);

  Turns turns_;
  std::unique_ptr<Device> device_;
  DeviceOptions options_;
  uint64_t memory_bytes_;
  Workspace workspace_;
  Works works_;  // after the device, whose stores they hold
  uint32_t metrics_ = 0, coded_metrics_ = 0, codes_alone_metrics_ = 0, listed_metrics_ = 0;  // bit per metric
  bool closed_ = false;
  bool lost_ = false;
  std::string why_lost_;
  int64_t native_code_ = 0;
};

}  // namespace nearfield

// The ABI's opaque handle.
struct nf_context {
  std::shared_ptr<nearfield::Context> context;
};
