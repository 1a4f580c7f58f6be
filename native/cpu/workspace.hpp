// SPDX-License-Identifier: Apache-2.0
// Memory of a flat search, kept between searches of a device.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "aligned_floats.hpp"
#include "coded_queries.hpp"
#include "select.hpp"
#include "tile32.hpp"

namespace nearfield::cpu {

struct Slab;

// A row that a scan of lists could not leave out.
struct Candidate {
  const Slab* slab;
  int32_t place;  // in the slab
  ProductTerms terms;
  float excess;  // ProductTest, under the limit when it was last looked at
};
// Of a query, 1 KiB with those that list_scan.cpp leaves after a run. More are rescored at once.
inline constexpr size_t kMostCandidates = 32;

// One query as one worker sees it.
struct QueryState {
  Queue queue;
  std::vector<Candidate> candidates;
  int32_t rescored = 0;
};

struct WorkerSpace {
  std::vector<QueryState> states;  // per query
  std::vector<float> limits;       // per query: a rank above it is not wanted
  std::vector<float> cuts;         // per query: what the product kernel compares with
  AlignedFloats packed;            // a group and its side values, with the product kernel
  AlignedFloats encoding;          // EncodeTile::work
  // Of a store without rows: a group that is decoded and one to be coded, and DecodeTile::work.
  AlignedFloats decoded, incoming, decoding;
  // With codes, per basis alive and query: what the kernels compare with.
  std::vector<CodeTest> tests[2];
  std::vector<ProductTest> product_tests[2];
  std::vector<int32_t>
      pauses;  // with levels, per query: runs of groups to come that are scanned without codes
  std::vector<int64_t> expected;  // with levels, per query: LevelTile::expected
  AlignedFloats codes;            // of one group, level after level; or of some queries, RunTile::panel
  std::vector<float> tested;      // with lists, per query: the limit of its product test
  int64_t run_levels = 0;         // of the next panel: RunTile::levels
  int64_t run_visits = 0, run_longer = 0;  // with so many levels

  static constexpr uint64_t bytes_per_query() { return sizeof(QueryState) + 2 * sizeof(float); }
  // For each basis alive.
  static constexpr uint64_t coded_bytes_per_query() {
    return sizeof(CodeTest) + sizeof(ProductTest) + sizeof(int32_t) + sizeof(int64_t);
  }
  // With lists.
  static constexpr uint64_t listed_bytes_per_query() {
    return kMostCandidates * sizeof(Candidate) + sizeof(float);
  }
  static constexpr uint64_t packed_bytes(uint64_t padded) {
    return (padded + 1) * kGroupRows * sizeof(float);
  }
  uint64_t bytes() const {
    uint64_t sum = states.capacity() * sizeof(QueryState) +
                   static_cast<uint64_t>(packed.size() + encoding.size() + decoded.size() + incoming.size() +
                                         decoding.size()) *
                       sizeof(float) +
                   (limits.capacity() + cuts.capacity() + pauses.capacity() + tested.capacity() +
                    2 * expected.capacity()) *
                       sizeof(float) +
                   static_cast<uint64_t>(codes.size()) * sizeof(float);
    for (int i = 0; i < 2; ++i)
      sum += tests[i].capacity() * sizeof(CodeTest) + product_tests[i].capacity() * sizeof(ProductTest);
    for (const QueryState& state : states)
      sum += state.queue.bytes() + state.candidates.capacity() * sizeof(Candidate);
    return sum;
  }
};

struct Workspace {
  std::vector<WorkerSpace> workers;
  std::unique_ptr<SharedLimit[]> limits;  // per query
  int64_t limit_count = 0;
  std::vector<double> squared;      // per query its norm, with the product kernel
  AlignedFloats panels;             // the queries, with the product kernel
  std::vector<CodedQueries> coded;  // with codes, one for each basis alive

  static constexpr uint64_t product_bytes_per_query(uint64_t padded) {
    return sizeof(double) + padded * sizeof(float);
  }
  uint64_t bytes() const {
    uint64_t sum = static_cast<uint64_t>(limit_count) * sizeof(SharedLimit) +
                   static_cast<uint64_t>(panels.size()) * sizeof(float) + squared.capacity() * sizeof(double);
    for (const WorkerSpace& worker : workers) sum += worker.bytes();
    for (const CodedQueries& queries : coded) sum += queries.bytes();
    return sum;
  }

  // For a part of `queries`, whose limits start anew.
  void fit(int32_t worker_count, int64_t queries) {
    if (limit_count < queries) {
      limits = std::make_unique<SharedLimit[]>(static_cast<size_t>(queries));
      limit_count = queries;
    }
    for (int64_t i = 0; i < queries; ++i) limits[static_cast<size_t>(i)].reset();
    workers.resize(std::max(workers.size(), static_cast<size_t>(worker_count)));
    for (WorkerSpace& worker : workers)
      if (static_cast<int64_t>(worker.states.size()) < queries)
        worker.states.resize(static_cast<size_t>(queries));
  }
  void fit_product(int32_t worker_count, int64_t queries, int64_t padded) {
    squared.resize(static_cast<size_t>(queries));
    panels.fit(queries * padded);
    for (int32_t i = 0; i < worker_count; ++i)
      workers[static_cast<size_t>(i)].packed.fit((padded + 1) * kGroupRows);
  }
};

}  // namespace nearfield::cpu
