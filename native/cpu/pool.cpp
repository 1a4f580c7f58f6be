// SPDX-License-Identifier: Apache-2.0
#include "pool.hpp"

#include <new>
#include <system_error>

#include "float_mode.hpp"
#include "signals.hpp"

namespace nearfield::cpu {

Status Pool::create(int32_t threads, std::unique_ptr<Pool>* out) {
  std::unique_ptr<Pool> pool(new Pool());
  try {
    const SignalsBlocked blocked;
    pool->threads_.reserve(static_cast<size_t>(threads - 1));
    for (int32_t worker = 1; worker < threads; ++worker)
      pool->threads_.emplace_back([raw = pool.get(), worker] { raw->loop(worker); });
  } catch (const std::system_error& failure) {
    return Status(NF_RESOURCE_EXHAUSTED,
                  "context_create: the system started " + std::to_string(pool->threads()) + " of " +
                      std::to_string(threads) + " threads (" + failure.code().message() + ")",
                  failure.code().value());
  }
  *out = std::move(pool);
  return {};
}

Pool::~Pool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Status Pool::run(int32_t workers, const Job& job) {
  if (workers > threads()) workers = threads();
  stop_.store(false, std::memory_order_relaxed);
  if (workers > 1) {
    {
      const std::lock_guard lock(mutex_);
      job_ = &job;
      ++job_number_;
      workers_ = workers;
      running_ = workers - 1;
    }
    wake_.notify_all();
  }
  work(0, job);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return running_ == 0; });
  job_ = nullptr;
  return std::exchange(first_failure_, Status());
}

void Pool::loop(int32_t worker) {
  const DefaultFloatMode mode;  // where threads inherit it, it is that of whoever made the pool
  uint64_t seen = 0;
  while (true) {
    const Job* job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return closing_ || (job_number_ != seen && job_ != nullptr); });
      if (closing_) return;
      seen = job_number_;
      if (worker >= workers_) continue;
      job = job_;
    }
    work(worker, *job);
    bool last;
    {
      const std::lock_guard lock(mutex_);
      last = --running_ == 0;
    }
    if (last) done_.notify_one();
  }
}

void Pool::work(int32_t worker, const Job& job) {
  Status status;
  try {
    status = job(worker);
  } catch (const std::bad_alloc&) {
    // At most 15 characters, which std::string holds without allocating: a second bad_alloc here would end
    // the process.
    status = Status(NF_RESOURCE_EXHAUSTED, "no host memory");
  } catch (...) {
    status = Status(NF_INTERNAL, "exception");
  }
  if (status.ok()) return;
  stop_.store(true, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (first_failure_.ok()) first_failure_ = std::move(status);
}

}  // namespace nearfield::cpu
