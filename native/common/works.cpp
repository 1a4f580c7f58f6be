// SPDX-License-Identifier: Apache-2.0
#include "works.hpp"

#include <atomic>
#include <utility>

namespace nearfield {
namespace {

// Of all contexts together: a token of one means nothing to another, not even to one at the same address.
std::atomic<Works::Token> last_token{Works::kNone};

}  // namespace

std::unique_ptr<Work> Works::take(Token token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.find(token);
  if (found == kept_.end() || found->second.given_up) return nullptr;
  std::unique_ptr<Work> work = std::move(found->second.work);
  kept_.erase(found);
  return work;
}

Works::Token Works::keep(Token token, std::unique_ptr<Work> work) {
  const std::lock_guard<std::mutex> lock(mutex_);
  while (token == kNone) token = ++last_token;
  kept_.insert_or_assign(token, Kept{std::move(work), false});
  return token;
}

void Works::give_up(Token token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.find(token);
  if (found != kept_.end()) found->second.given_up = true;
}

// Works are destroyed without the mutex, which give_up waits for: freeing a block takes milliseconds.
void Works::sweep() {
  std::map<Token, Kept> swept;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto next = kept_.begin(); next != kept_.end();) {
    const auto entry = next++;
    if (entry->second.given_up) swept.insert(kept_.extract(entry));
  }
}

void Works::clear() {
  std::map<Token, Kept> cleared;
  const std::lock_guard<std::mutex> lock(mutex_);
  cleared.swap(kept_);
}

}  // namespace nearfield
