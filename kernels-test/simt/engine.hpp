// SPDX-License-Identifier: Apache-2.0
// One block in flight: who waits where, and who may go on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "access.hpp"
#include "cuda_async.hpp"
#include "fiber.hpp"
#include "simt.hpp"

namespace nearfield::simt {

struct Fiber : Thread {
  enum class State : uint8_t { kReady, kAtBarrier, kAtWarp, kAtPhase, kDone };
  struct AsyncCopy {
    void* to;
    const void* from;
    size_t bytes;
    const void* place;
  };

  State state = State::kReady;
  unsigned orders = 0;
  Site where;
  Lanes mask = 0;  // asked for; after the exchange: who took part
  Stack* stack = nullptr;
  std::vector<AsyncCopy> copies;
  std::vector<size_t> copy_groups;  // ends in `copies`
  const void* phase_of = nullptr;   // kAtPhase: the mbarrier, and the parity of the phase that is to end
  unsigned parity = 0;
  Products products;
};

struct Warp {
  Lanes running = 0, ready = 0, waiting = 0;
  char tokens[2] = {};  // as Engine::barrier_tokens_
  unsigned exchanges = 0;
  Lanes low_bits = 0;  // of the first byte of each in `out`
  std::array<Slot, kMostLanes> in, out;
};

// Runs the blocks of a launch one after the other on the calling thread.
class Engine {
 public:
  Engine(Dim3 grid, Dim3 size, const std::function<void()>& body, const Options& options);
  ~Engine() { tsan_acquire(&end_token_); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  void run();  // throws Error

  // Called on a fiber.
  unsigned barrier(unsigned orders, Site where, bool vote);
  Lanes exchange(Lanes mask, const Slot& value, unsigned orders, Site where);
  void await_phase(const void* barrier, unsigned parity, Site where);
  void* shared_array(const void* key, size_t bytes, size_t align, Site where);
  void* dynamic_shared(size_t align, Site where);
  [[noreturn]] void fail(std::string message);
  Fiber& self() { return *self_; }
  Accessor& accessor() { return accessor_; }
  SharedMemory& shared() { return shared_; }
  Async& async() { return async_; }
  char* phase_token() { return &phase_token_; }  // TSan's: what arriving at mbarriers orders

 private:
  static void enter();
  void begin_block(unsigned number);
  void run_block();
  bool resume_warp(unsigned warp);
  void make_current(Fiber& fiber);
  Fiber& next_ready(unsigned warp);
  void resume(Fiber& fiber);
  // False: failure_ says why not.
  bool release_warp(const Fiber& last);
  void release_waiting(unsigned warp);
  bool release_barrier();
  bool release_phases();
  bool land_copy();
  std::string deadlock() const;
  std::string describe(const std::string& message) const;
  void yield();
  [[noreturn]] void give_up();  // the running fiber; failure_ says why

  const Options options_;
  const std::function<void()>& body_;
  Block block_;
  std::vector<Fiber> fibers_;
  std::vector<Warp> warps_;
  std::mt19937_64 random_;
  Switch switch_;
  Fiber* self_ = nullptr;
  size_t alive_ = 0;
  unsigned votes_ = 0;       // at the barrier that comes next
  unsigned last_votes_ = 0;  // at the last one
  std::exception_ptr thrown_;
  std::string failure_;
  SharedMemory shared_;
  Accessor accessor_;
  Async async_;
  // TSan's: what the start of a block, its barriers, its end and its arrays order. Two of a kind take turns:
  // who leaves a barrier does not see what others do on their way to the next one.
  char start_token_ = 0, end_token_ = 0, shared_token_ = 0, phase_token_ = 0, barrier_tokens_[2] = {};
  unsigned barriers_ = 0;
};

// The engine of the launch in progress on this thread.
inline constinit thread_local Engine* engine = nullptr;

}  // namespace nearfield::simt
