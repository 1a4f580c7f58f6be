// SPDX-License-Identifier: Apache-2.0
// A queue that notes what it is asked for and computes nothing.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gpu/device.hpp"

namespace nearfield::gpu::test {

inline int passed = 0, failed = 0;
inline void check(bool ok, const std::string& what) {
  ok ? ++passed : ++failed;
  if (!ok) std::printf("FAIL %s\n", what.c_str());
}

struct Noted {
  std::string kernel;
  Variant variant;
  ScanParams scan{};
  MergeParams merge{};
  CodedProductParams product{};
  PruneParams prune{};
  MatrixParams matrix{};
};
using Submission = std::vector<Noted>;

class NoMemory final : public Memory {};

// What is read back is the same word over and over.
class NotingQueue final : public Queue {
 public:
  NotingQueue(const Limits& limits, FlatShape flat, std::vector<Submission>* log, uint32_t answer = 0)
      : limits_(limits), flat_(flat), log_(log), answer_(answer) {}
  const Limits& limits() const override { return limits_; }
  FlatShape flat_shape(int64_t batch, int32_t k) const override {
    const uint32_t capacity = std::max(256u, std::bit_ceil(static_cast<uint32_t>(k) + limits_.tile_rows));
    return {batch > 1 && capacity == 256 ? flat_.query_block : 1, capacity, flat_.workgroups};
  }
  MatrixShape matrix_shape(int32_t metric, int32_t, int64_t batch, int32_t) const override {
    const bool product = metric == NF_L2SQ || metric == NF_COSINE || metric == NF_DOT;
    if (!limits_.sides_of_products || !product || batch < 32) return {};
    return {32, 64, 1024};
  }
  // CUDA's (cuda/shapes.cpp).
  CodedProductShape coded_product_shape(int32_t, int32_t, int64_t batch, int32_t k) const override {
    if (!limits_.coded_products) return {};
    return {batch <= 64 ? 64u : 128u, 128, 2, std::bit_ceil(static_cast<uint32_t>(k) + 128)};
  }
  void info(nf_device_info*) const override {}
  Status health() const override { return {}; }
  Status take_error(const char*) override { return {}; }
  Status allocate(uint64_t bytes, Use, const char*, Buffer* out) override {
    *out = Buffer(std::make_unique<NoMemory>(), bytes);
    return {};
  }
  void write(const Buffer&, uint64_t, const void*, uint64_t) override {}
  Status dispatch(const Dispatch& dispatch) override {
    Noted noted{dispatch.kernel.name, dispatch.variant};
    const auto note = [&](const Kernel& kernel, auto* to) {
      if (noted.kernel == kernel.name) std::memcpy(to, dispatch.params, sizeof(*to));
    };
    if (dispatch.params_bytes == sizeof(ScanParams))
      std::memcpy(&noted.scan, dispatch.params, sizeof(ScanParams));
    note(kMerge, &noted.merge);
    note(kCodedProduct, &noted.product);
    note(kPrune, &noted.prune);
    note(kRescore, &noted.matrix);
    gathered_.push_back(noted);
    return {};
  }
  void copy(const Buffer&, uint64_t, const Buffer&, uint64_t, uint64_t) override {}
  Status submit(double, const char*) override {
    if (!gathered_.empty()) log_->push_back(std::exchange(gathered_, {}));
    return {};
  }
  void discard() override { gathered_.clear(); }
  void drain() override {}
  Status read(const Buffer&, uint64_t bytes, void* to, const char*) override {
    for (uint64_t at = 0; at + sizeof(answer_) <= bytes; at += sizeof(answer_))
      std::memcpy(static_cast<char*>(to) + at, &answer_, sizeof(answer_));
    return {};
  }
  // What an H200 reads in 10 ms at 4.3 TB/s, 16 bytes a unit.
  double units_per_dispatch() const override { return 2.7e9; }

 private:
  Limits limits_;
  FlatShape flat_;
  std::vector<Submission>* log_;
  uint32_t answer_;
  Submission gathered_;
};

}  // namespace nearfield::gpu::test
