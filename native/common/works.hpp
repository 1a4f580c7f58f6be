// SPDX-License-Identifier: Apache-2.0
// What a context keeps for requests between their steps.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace nearfield {

// A request between its steps, what nf_step.work stands for. Made and destroyed in the turn of its context.
class Work {
 public:
  virtual ~Work() = default;
};

// The works of a context under their tokens, which are no addresses: none is followed, and none comes again,
// so that what a caller has kept for too long, or never had, is refused.
class Works {
 public:
  using Token = uintptr_t;
  static constexpr Token kNone = 0;

  // In the turn. NULL for an unknown token.
  std::unique_ptr<Work> take(Token token);
  // In the turn. kNone: under a new one.
  Token keep(Token token, std::unique_ptr<Work> work);
  // Any thread, without the turn: the work is destroyed by the next sweep.
  void give_up(Token token);
  // In the turn.
  void sweep();
  void clear();

 private:
  struct Kept {
    std::unique_ptr<Work> work;
    bool given_up;
  };
  std::mutex mutex_;
  std::map<Token, Kept> kept_;
};

}  // namespace nearfield
