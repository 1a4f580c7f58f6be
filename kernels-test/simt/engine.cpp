// SPDX-License-Identifier: Apache-2.0
#include "engine.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace nearfield::simt {
namespace {

constexpr unsigned kLaneStride = 37;  // odd: visits every lane, in an order without neighbours

std::string text(const Site& s) { return std::string(s.file_name()) + ":" + std::to_string(s.line()); }

std::string text(const Dim3& d) {
  return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
}

bool same(const Site& a, const Site& b) {
  if (std::memcmp(&a, &b, sizeof(Site)) == 0) return true;  // one record of the compiler
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

Dim3 position_of(unsigned index, Dim3 size) {
  return {index % size.x, index / size.x % size.y, index / size.x / size.y};
}

// Stacks outlive a launch: making one costs two system calls.
Stack& stack_of(size_t index) {
  thread_local std::vector<std::unique_ptr<Stack>> stacks;
  while (stacks.size() <= index) stacks.push_back(std::make_unique<Stack>());
  return *stacks[index];
}

class Running {
 public:
  explicit Running(Engine* now) : engine_(engine), current_(current) { engine = now; }
  ~Running() {
    engine = engine_;
    current = current_;
  }

 private:
  Engine* const engine_;
  const Current current_;
};

}  // namespace

Engine::Engine(Dim3 grid, Dim3 size, const std::function<void()>& body, const Options& options)
    : options_(options),
      body_(body),
      block_{{}, grid, size, options.warp_size},
      random_(options.seed),
      shared_(options.shared_limit),
      accessor_(options.warp_size, options.padded) {
  const unsigned threads = size.count();
  if (threads == 0 || threads > options.most_threads)
    throw Error(std::string(options.name) + ": a block of " + std::to_string(threads) +
                " threads, the limit is " + std::to_string(options.most_threads));
  if (options.warp_size == 0 || options.warp_size > kMostLanes)
    throw Error("a warp has 1 to " + std::to_string(kMostLanes) + " lanes, asked for " +
                std::to_string(options.warp_size));
  fibers_.resize(threads);
  warps_.resize((threads + options.warp_size - 1) / options.warp_size);
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = fibers_[i];
    fiber.position = position_of(i, size);
    fiber.index = i;
    fiber.lane = i % options.warp_size;
    fiber.warp = i / options.warp_size;
    fiber.stack = &stack_of(i);
  }
}

void Engine::run() {
  const Running running(this);
  const unsigned blocks = block_.grid.count();
  std::vector<unsigned> order(blocks);
  for (unsigned i = 0; i < blocks; ++i)
    order[i] = options_.schedule == Schedule::kReverse ? blocks - 1 - i : i;
  if (options_.schedule == Schedule::kRandom) std::shuffle(order.begin(), order.end(), random_);
  for (const unsigned number : order) {
    begin_block(number);
    run_block();
  }
}

void Engine::begin_block(unsigned number) {
  block_.position = position_of(number, block_.grid);
  accessor_.begin_block(static_cast<unsigned>(warps_.size()));
  const auto pattern = static_cast<uint8_t>(random_());
  shared_.begin(options_.schedule == Schedule::kForward   ? 0xff
                : options_.schedule == Schedule::kReverse ? 0
                                                          : pattern);
  for (Warp& warp : warps_) warp.running = warp.ready = warp.waiting = 0;
  alive_ = fibers_.size();
  votes_ = 0;
  async_.begin_block(block_.size.count());
  for (Fiber& fiber : fibers_) {
    fiber.state = Fiber::State::kReady;
    fiber.copies.clear();
    fiber.copy_groups.clear();
    fiber.products = {};
    warps_[fiber.warp].running |= Lanes{1} << fiber.lane;
    fiber.stack->start(&Engine::enter, fiber.index % 64 * 64);
  }
  for (Warp& warp : warps_) warp.ready = warp.running;
  tsan_release(&start_token_);
}

void Engine::enter() {
  Engine& e = *engine;
  e.switch_.arrived(nullptr);
  tsan_acquire(&e.start_token_);
  try {
    e.body_();
  } catch (...) {
    e.thrown_ = std::current_exception();
  }
  tsan_release(&e.end_token_);
  e.self_->state = Fiber::State::kDone;
  e.switch_.back(*e.self_->stack, true);
}

[[gnu::always_inline]] inline void Engine::make_current(Fiber& fiber) {
  self_ = &fiber;
  warps_[fiber.warp].ready &= ~(Lanes{1} << fiber.lane);
  current = {&fiber, &block_, warps_[fiber.warp].out.data(), &warps_[fiber.warp].low_bits};
  accessor_.resume(fiber);
}

// Of a schedule that has an order.
[[gnu::always_inline]] inline Fiber& Engine::next_ready(unsigned warp) {
  const Lanes ready = warps_[warp].ready;
  const auto lane = static_cast<unsigned>(options_.schedule == Schedule::kForward
                                              ? std::countr_zero(ready)
                                              : kMostLanes - 1 - std::countl_zero(ready));
  return fibers_[size_t{warp} * options_.warp_size + lane];
}

// Until a fiber comes back, which may be another one of the warp.
[[gnu::always_inline]] inline void Engine::resume(Fiber& fiber) {
  make_current(fiber);
  switch_.to_fiber(*fiber.stack);
  if (thrown_ || !failure_.empty()) tsan_acquire(&end_token_);
  if (thrown_) std::rethrow_exception(thrown_);
  if (!failure_.empty()) throw Error(failure_);
  const Fiber& back = *self_;
  if (back.state != Fiber::State::kDone) return;
  --alive_;
  warps_[back.warp].running &= ~(Lanes{1} << back.lane);
  if (warps_[back.warp].waiting != 0) release_waiting(back.warp);
}

// Resumes the warp's threads until none of them is ready; in a random schedule, each at most once.
bool Engine::resume_warp(unsigned warp) {
  const Lanes& ready = warps_[warp].ready;
  if (ready == 0) return false;
  if (options_.schedule != Schedule::kRandom) {
    while (ready != 0) resume(next_ready(warp));
    return true;
  }
  Fiber* const fibers = &fibers_[size_t{warp} * options_.warp_size];
  const auto first = static_cast<unsigned>(random_() % kMostLanes);
  for (unsigned i = 0; i < kMostLanes; ++i) {
    const unsigned lane = (first + i * kLaneStride) % kMostLanes;
    if (ready >> lane & 1) resume(fibers[lane]);
  }
  return true;
}

void Engine::run_block() {
  std::vector<unsigned> warps(warps_.size());
  for (unsigned i = 0; i < warps.size(); ++i) warps[i] = i;
  if (options_.schedule == Schedule::kReverse) std::reverse(warps.begin(), warps.end());
  while (alive_ > 0) {
    bool progress = false;
    if (options_.schedule == Schedule::kRandom) std::shuffle(warps.begin(), warps.end(), random_);
    for (const unsigned warp : warps) progress |= resume_warp(warp);
    if (progress || alive_ == 0) continue;
    if (!release_phases() && !land_copy() && !release_barrier()) throw Error(describe(deadlock()));
  }
  if (const std::string left = async_.unfinished(); !left.empty()) throw Error(describe(left));
  tsan_acquire(&end_token_);
}

// When every thread has arrived. A device hangs, or worse, where some thread has returned or waits elsewhere.
bool Engine::release_barrier() {
  const Fiber* first = nullptr;
  const Fiber* missing = nullptr;
  for (const Fiber& fiber : fibers_) {
    if (fiber.state != Fiber::State::kAtBarrier) {
      missing = &fiber;
      continue;
    }
    if (first == nullptr) first = &fiber;
    if (!same(fiber.where, first->where))
      throw Error(describe("divergent barrier: thread " + std::to_string(first->index) + " waits at " +
                           text(first->where) + ", thread " + std::to_string(fiber.index) + " at " +
                           text(fiber.where)));
  }
  if (first == nullptr) return false;
  if (missing != nullptr)
    throw Error(describe(
        "divergent barrier: thread " + std::to_string(first->index) + " waits at " + text(first->where) +
        ", thread " + std::to_string(missing->index) +
        (missing->state == Fiber::State::kDone ? " has returned" : " waits at " + text(missing->where))));
  accessor_.at_barrier(first->orders);
  ++barriers_;
  last_votes_ = votes_;
  votes_ = 0;
  for (Fiber& fiber : fibers_) fiber.state = Fiber::State::kReady;
  for (Warp& warp : warps_) warp.ready = warp.running;
  return true;
}

// Who waits for a phase that has ended goes on.
bool Engine::release_phases() {
  bool any = false;
  for (Fiber& fiber : fibers_) {
    if (fiber.state != Fiber::State::kAtPhase || !async_.has_ended(fiber.phase_of, fiber.parity)) continue;
    fiber.state = Fiber::State::kReady;
    warps_[fiber.warp].ready |= Lanes{1} << fiber.lane;
    any = true;
  }
  return any;
}

// A bulk copy arrives as late as it can: when nobody can go on without one.
bool Engine::land_copy() {
  for (const Fiber& fiber : fibers_)
    if (fiber.state == Fiber::State::kAtPhase) {
      const uint64_t pick = options_.schedule == Schedule::kForward   ? 0
                            : options_.schedule == Schedule::kReverse ? ~uint64_t{0}
                                                                      : random_();
      return async_.land(pick);
    }
  return false;
}

// `last` has just arrived, or was waiting when another lane returned: is its group complete?
bool Engine::release_warp(const Fiber& last) {
  Warp& warp = warps_[last.warp];
  const Lanes group = last.mask != 0 ? last.mask : warp.running;
  if (const Lanes gone = group & ~warp.running; gone != 0) {
    failure_ = describe(text(last.where) + ": the mask names lane " + std::to_string(std::countr_zero(gone)) +
                        ", which has returned or does not exist");
    return false;
  }
  if ((group & ~warp.waiting) != 0) return true;
  Fiber* const lanes = &fibers_[size_t{last.warp} * options_.warp_size];
  for (Lanes left = group; left != 0; left &= left - 1) {
    const Fiber& lane = lanes[std::countr_zero(left)];
    if (lane.mask == last.mask && same(lane.where, last.where)) continue;
    failure_ = describe("divergent warp operation: lane " + std::to_string(last.lane) + " of warp " +
                        std::to_string(last.warp) + " waits at " + text(last.where) + ", lane " +
                        std::to_string(lane.lane) + " at " + text(lane.where) +
                        (lane.mask != last.mask ? " with another mask" : ""));
    return false;
  }
  if (group == warp.running) accessor_.at_warp(last.warp, last.orders);
  for (Lanes left = group; left != 0; left &= left - 1) {
    const auto lane = static_cast<unsigned>(std::countr_zero(left));
    warp.out[lane] = warp.in[lane];
    warp.low_bits = (warp.low_bits & ~(Lanes{1} << lane)) | Lanes{warp.in[lane].bytes[0] & 1u} << lane;
    lanes[lane].mask = group;
    lanes[lane].state = Fiber::State::kReady;
  }
  ++warp.exchanges;
  warp.waiting &= ~group;
  warp.ready |= group;
  return true;
}

void Engine::release_waiting(unsigned warp) {
  for (unsigned lane = 0; lane < options_.warp_size; ++lane)
    if ((warps_[warp].waiting >> lane & 1) &&
        !release_warp(fibers_[size_t{warp} * options_.warp_size + lane]))
      throw Error(failure_);
}

std::string Engine::deadlock() const {
  std::string message = "deadlock:";
  int named = 0;
  for (const Fiber& fiber : fibers_) {
    if (fiber.state == Fiber::State::kDone) continue;
    if (++named > 4) return message + " ...";
    message += " thread " + std::to_string(fiber.index) + " waits at " + text(fiber.where) + ";";
  }
  return message;
}

std::string Engine::describe(const std::string& message) const {
  return std::string(options_.name) + ", block " + text(block_.position) + ": " + message;
}

// Straight to the next lane that is ready, where there is one: the scheduler would do the same.
[[gnu::always_inline]] inline void Engine::yield() {
  Fiber& from = *self_;
  if (Switch::kHasAcross && warps_[from.warp].ready != 0 && options_.schedule != Schedule::kRandom) {
    Fiber& to = next_ready(from.warp);
    make_current(to);
    if (&to != &from) switch_.across(*from.stack, *to.stack);
    return;
  }
  switch_.back(*from.stack, false);
}

unsigned Engine::barrier(unsigned orders, Site where, bool vote) {
  Fiber& self = *self_;
  self.where = where;
  self.orders = orders;
  self.state = Fiber::State::kAtBarrier;
  votes_ += vote;
  char* const token = &barrier_tokens_[barriers_ % 2];
  tsan_release(token);
  yield();
  tsan_acquire(token);
  return last_votes_;  // nobody is at the next barrier before all have left this one
}

Lanes Engine::exchange(Lanes mask, const Slot& value, unsigned orders, Site where) {
  Fiber& self = *self_;
  Warp& warp = warps_[self.warp];
  if (mask != 0 && !(mask >> self.lane & 1))
    simt::fail("lane " + std::to_string(self.lane) + " is not in its own mask", where);
  warp.in[self.lane] = value;
  warp.waiting |= Lanes{1} << self.lane;
  self.mask = mask;
  self.orders = orders;
  self.where = where;
  self.state = Fiber::State::kAtWarp;
  char* const token = &warp.tokens[warp.exchanges % 2];
  if (orders != kOrdersNothing) tsan_release(token);
  if (!release_warp(self)) give_up();
  yield();
  if (orders != kOrdersNothing) tsan_acquire(token);
  return self_->mask;
}

void Engine::await_phase(const void* barrier, unsigned parity, Site where) {
  Fiber& self = *self_;
  if (!async_.has_ended(barrier, parity)) {
    self.where = where;
    self.phase_of = barrier;
    self.parity = parity;
    self.state = Fiber::State::kAtPhase;
    yield();
  }
  tsan_acquire(&phase_token_);
}

void* Engine::shared_array(const void* key, size_t bytes, size_t align, Site where) {
  std::string problem;
  bool made = false;
  void* const memory = shared_.array(key, bytes, align, &made, &problem);
  if (memory == nullptr) simt::fail(problem, where);
  if (made) tsan_release(&shared_token_);
  tsan_acquire(&shared_token_);
  return memory;
}

void* Engine::dynamic_shared(size_t align, Site where) {
  if (options_.dynamic_shared == 0) simt::fail("the launch gives no dynamic shared memory", where);
  return shared_array(this, options_.dynamic_shared, align, where);
}

void Engine::fail(std::string message) {
  failure_ = describe("thread " + text(self_->position) + ": " + message);
  give_up();
}

void Engine::give_up() {
  self_->state = Fiber::State::kDone;
  tsan_release(&end_token_);
  switch_.back(*self_->stack, true);
  __builtin_unreachable();
}

// ---- simt.hpp ----

void launch(Dim3 grid, Dim3 size, const std::function<void()>& body, const Options& options) {
  Engine(grid, size, body, options).run();
}

void fail(const std::string& message) {
  if (engine == nullptr) throw Error(message);
  engine->fail(message);
}

void fail(const std::string& message, Site where) { fail(text(where) + ": " + message); }

unsigned barrier(unsigned orders, Site where, bool vote) { return engine->barrier(orders, where, vote); }

Lanes exchange(Lanes mask, const Slot& value, unsigned orders, Site where) {
  return engine->exchange(mask, value, orders, where);
}

void* shared_array(const void* key, size_t bytes, size_t align, Site where) {
  return engine->shared_array(key, bytes, align, where);
}
void* dynamic_shared(size_t align, Site where) { return engine->dynamic_shared(align, where); }

}  // namespace nearfield::simt
