// SPDX-License-Identifier: Apache-2.0
#include "turns.hpp"

namespace nearfield {
namespace {

// The cancel word is plain memory that nobody signals, so waiters look at it: half of the 10 ms that a call
// may take to notice.
constexpr auto kLook = std::chrono::milliseconds(5);

}  // namespace

Status Turns::take(const Call& call) {
  do {
    NF_TRY(call.poll());
  } while (!wait([&call] { return !call.is_over(); }));
  return {};
}

void Turns::take_always() {
  wait([] { return true; });
}

bool Turns::try_take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (taken_) return false;
  taken_ = true;
  return true;
}

template <typename StillWanted>
bool Turns::wait(const StillWanted& still_wanted) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!taken_) {
    taken_ = true;
    return true;
  }
  Waiter self;
  (first_ == nullptr ? first_ : last_->next) = &self;
  last_ = &self;
  while (!self.has_turn) {
    self.woken.wait_for(lock, kLook);
    if (!self.has_turn && !still_wanted()) {
      unlink(&self);
      return false;
    }
  }
  return true;
}

void Turns::unlink(Waiter* waiter) {
  Waiter** link = &first_;
  Waiter* before = nullptr;
  while (*link != waiter) {
    before = *link;
    link = &before->next;
  }
  *link = waiter->next;
  if (last_ == waiter) last_ = before;
}

void Turns::give_back() {
  const std::lock_guard<std::mutex> lock(mutex_);
  Waiter* const next = first_;
  if (next == nullptr) {
    taken_ = false;
    return;
  }
  // The turn passes over without becoming free, so nobody overtakes.
  first_ = next->next;
  if (first_ == nullptr) last_ = nullptr;
  next->has_turn = true;
  next->woken.notify_one();
}

}  // namespace nearfield
