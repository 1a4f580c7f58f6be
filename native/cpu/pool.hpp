// SPDX-License-Identifier: Apache-2.0
// A small pool of threads, one per device. The caller is worker 0; the others sleep between jobs and are
// joined by the destructor. One job at a time (backend.hpp: calls on a device run one at a time).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "status.hpp"

namespace nearfield::cpu {

class Pool {
 public:
  // `threads` >= 1, the caller's included. NF_RESOURCE_EXHAUSTED when the system gives no more threads.
  static Status create(int32_t threads, std::unique_ptr<Pool>* out);
  ~Pool();

  int32_t threads() const { return static_cast<int32_t>(threads_.size()) + 1; }

  // Runs job(worker) for worker = 0 .. workers-1 and waits for all; the first failure is the answer. A job
  // takes its share from a counter of its own and ends early when stopping() says so. Whatever a job throws
  // becomes a Status.
  using Job = std::function<Status(int32_t worker)>;
  Status run(int32_t workers, const Job& job);

  // True once a worker of the current job has failed.
  bool stopping() const { return stop_.load(std::memory_order_relaxed); }

 private:
  Pool() = default;
  void loop(int32_t worker);
  void work(int32_t worker, const Job& job);

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const Job* job_ = nullptr;  // the rest under mutex_
  uint64_t job_number_ = 0;
  int32_t workers_ = 0;
  int32_t running_ = 0;
  bool closing_ = false;
  Status first_failure_;
  std::atomic<bool> stop_{false};
};

}  // namespace nearfield::cpu
