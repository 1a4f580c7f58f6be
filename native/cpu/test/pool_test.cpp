// SPDX-License-Identifier: Apache-2.0
// The thread pool: every job runs once per worker, failures and exceptions become a Status, many short jobs
// in a row, destruction at once.
#include "pool.hpp"

#include <algorithm>
#include <atomic>
#include <new>
#include <stdexcept>
#include <vector>

#include "check.hpp"

namespace nearfield::cpu::test {
namespace {

std::unique_ptr<Pool> make(int32_t threads) {
  std::unique_ptr<Pool> pool;
  CHECK(Pool::create(threads, &pool).ok());
  return pool;
}

void test_every_worker_once() {
  for (const int32_t threads : {1, 2, 5}) {
    const auto pool = make(threads);
    CHECK(pool->threads() == threads);
    for (int32_t workers = 1; workers <= threads + 1; ++workers)
      for (int round = 0; round < 300; ++round) {
        std::vector<int> calls(static_cast<size_t>(threads + 1));  // unsynchronised: one writer each
        std::atomic<int> shares{100};
        std::atomic<int> done{0};
        const Status status = pool->run(workers, [&](int32_t worker) -> Status {
          ++calls[static_cast<size_t>(worker)];
          while (shares.fetch_sub(1) > 0) done.fetch_add(1);
          return {};
        });
        bool ok = status.ok() && done.load() == 100;
        for (int32_t worker = 0; worker <= threads; ++worker)
          ok = ok && calls[static_cast<size_t>(worker)] == (worker < std::min(workers, threads) ? 1 : 0);
        if (!ok) CHECK(!"a worker ran never or twice");
      }
    CHECK(true);
  }
}

void test_failures() {
  const auto pool = make(3);
  for (int32_t bad = 0; bad < 3; ++bad) {
    const Status failed = pool->run(3, [&](int32_t worker) -> Status {
      if (worker == bad) return error(NF_CANCELLED, "worker %d", worker);
      while (!pool->stopping()) std::this_thread::yield();  // hangs if the others are not told
      return {};
    });
    CHECK(failed.code() == NF_CANCELLED && failed.message() == "worker " + std::to_string(bad));
    CHECK(pool->run(3,
                    [&](int32_t worker) -> Status {
                      if (worker == bad) throw std::bad_alloc();
                      return {};
                    })
              .code() == NF_RESOURCE_EXHAUSTED);
    CHECK(pool->run(3,
                    [&](int32_t worker) -> Status {
                      if (worker == bad) throw std::runtime_error("bug");
                      return {};
                    })
              .code() == NF_INTERNAL);
    CHECK(pool->run(3, [](int32_t) -> Status { return {}; }).ok());  // nothing sticks
  }
}

void test_short_lives() {
  for (int round = 0; round < 100; ++round) make(1 + round % 5);
  CHECK(true);
}

}  // namespace
}  // namespace nearfield::cpu::test

int main() {
  using namespace nearfield::cpu::test;
  test_every_worker_once();
  test_failures();
  test_short_lives();
  return finish();
}
