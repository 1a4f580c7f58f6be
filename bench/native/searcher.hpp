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

// `count` rows of a file as the ABI takes them.
nf_matrix matrix(const Fbin& file, int64_t first, int64_t count);

// Throws Refused where the key's number is lower.
int64_t at_least(const Command& command, const char* key, int64_t fallback, int64_t least);

// A turn of Java's owner thread: TURN_NANOS of its DeviceOwner.
inline constexpr int64_t kStepNanos = 10'000'000;

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
  // Of lists, in searcher_lists.cpp: how far the searches of the next `run` and `answers` look; rows removed
  // and as many added; dead rows dropped; k-means.
  Reply reach(const Command& command);
  Reply change(const Command& command);
  Reply compact(const Command& command);
  Reply kmeans(const Command& command);

 private:
  struct Destroy {
    const nf_api* api;
    void operator()(nf_index* index) const { api->index_destroy(index); }
  };
  using Index = std::unique_ptr<nf_index, Destroy>;
  struct Results {  // of one batch
    std::vector<int64_t> rows;
    std::vector<float> distances;
    std::vector<uint8_t> certified;  // a query each; empty without codes, as is the next
    std::vector<int32_t> rescored;
    std::vector<int32_t> lists_scanned;  // a query each; empty without lists, as is the next
    std::vector<float> recall_estimate;
  };

  struct Fit {  // seconds of training in steps
    int64_t steps = 0;
    double seconds = 0, longest = 0;
  };
  struct Answered {  // by searches of an index with codes or lists: of one client
    std::vector<int32_t> rescored;
    int64_t certified = 0, queries = 0, lists_scanned = 0;
    double recall_estimate = 0;
    void add(const Results& results, int64_t count);
    void add(const Answered& other);
    void write_lists(Reply* to) const;  // means of a query
  };
  struct Reach {  // nf_search's
    int32_t probes = 0;
    float target_recall = 0;
    bool exact = false;
  };

  nf_index_desc describe(int32_t metric, int64_t dim, int64_t rows, int32_t scan_dtype, int64_t lists = 0);
  Index create(const nf_index_desc& desc);
  // Touches as much memory as the index takes and gives it back, directly before the clock starts: a virtual
  // machine's host takes free memory back within seconds, and its first touch was 70% of an insertion of
  // 150,000 x 1536 coded rows, which comes seconds after the one before, and a tenth of that of f32 rows,
  // which does not.
  void warm_memory(const nf_index_desc& desc);
  Fit train(nf_index* index, const nf_train& request);
  Fit train_lists(nf_index* index, const Command& command);
  nf_index_info info(nf_index* index);
  void add(nf_index* index, const Fbin& base, int64_t from, int64_t count);
  void search(int64_t first_query, int64_t count, Results* to, Answered* answered);
  Results room(int64_t queries) const;
  void need_index(const char* operation) const;
  void need_workload(const char* operation) const;

  std::unique_ptr<Library> library_;
  Index index_{nullptr, Destroy{nullptr}};
  int64_t dim_ = 0;
  bool coded_ = false, listed_ = false;
  int64_t removed_ = 0;  // rows that are dead, before all others: `answers` counts from the first behind them
  Reach reach_;
  std::unique_ptr<Fbin> queries_;
  int64_t batch_ = 0, clients_ = 1;
  int32_t k_ = 0;
  float max_oversample_ = 0;
  std::vector<int64_t> next_;  // per client: the first query of its next call
};

}  // namespace nearfield::bench
