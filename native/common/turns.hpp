// SPDX-License-Identifier: Apache-2.0
// A fair lock: calls on one context run one at a time, in the order they came. Waiting ends early when the
// call is cancelled or its time is up.
#pragma once

#include <condition_variable>
#include <mutex>

#include "call.hpp"
#include "status.hpp"

namespace nearfield {

class Turns {
 public:
  // Blocks until it is this call's turn. A call that is already cancelled or late gets none.
  Status take(const Call& call);
  // As above, for what must happen: no cancel, no deadline.
  void take_always();
  // Without waiting: false when another has the turn.
  bool try_take();
  void give_back();

 private:
  // Lives on the stack of the waiting thread, linked in order of arrival.
  struct Waiter {
    std::condition_variable woken;
    Waiter* next = nullptr;
    bool has_turn = false;
  };
  template <typename StillWanted>
  bool wait(const StillWanted& still_wanted);
  void unlink(Waiter* waiter);

  std::mutex mutex_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  bool taken_ = false;
};

// Gives the turn back at the end of a scope.
class TurnHolder {
 public:
  explicit TurnHolder(Turns& turns) : turns_(turns) {}
  ~TurnHolder() { turns_.give_back(); }
  TurnHolder(const TurnHolder&) = delete;
  TurnHolder& operator=(const TurnHolder&) = delete;

 private:
  Turns& turns_;
};

}  // namespace nearfield
