// SPDX-License-Identifier: Apache-2.0
// The system under test: one index, and what `run` does with it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fbin.hpp"
#include "library.hpp"
#include "message.hpp"

namespace nearfield::bench {

// Seconds of single calls, in any order.
class Latencies {
 public:
  void add(double seconds) { seconds_.push_back(seconds); }
  void add(const Latencies& other);
  void write(Reply* to);  // p50_s, p90_s, p99_s, max_s; sorts

 private:
  std::vector<double> seconds_;
};

class Searcher {
 public:
  Reply hello(const Command& command);
  Reply load(const Command& command);
  Reply workload(const Command& command);
  Reply run(const Command& command);
  Reply answers(const Command& command);
  Reply insert(const Command& command);

 private:
  struct Destroy {
    const nf_api* api;
    void operator()(nf_index* index) const { api->index_destroy(index); }
  };
  using Index = std::unique_ptr<nf_index, Destroy>;
  struct Results {  // of one batch
    std::vector<int64_t> rows;
    std::vector<float> distances;
  };

  Index create(int32_t metric, int64_t dim, int64_t rows);
  void add(nf_index* index, const Fbin& base, int64_t from, int64_t count);
  void search(int64_t first_query, int64_t count, Results* to);
  Results room(int64_t queries) const;
  void need_index(const char* operation) const;
  void need_workload(const char* operation) const;

  std::unique_ptr<Library> library_;
  Index index_{nullptr, Destroy{nullptr}};
  int64_t dim_ = 0;
  std::unique_ptr<Fbin> queries_;
  int64_t batch_ = 0, clients_ = 1;
  int32_t k_ = 0;
  std::vector<int64_t> next_;  // per client: the first query of its next call
};

}  // namespace nearfield::bench
