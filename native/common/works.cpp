// SPDX-License-Identifier: Apache-2.0
#include "works.hpp"

#include <utility>

namespace nearfield {

// Contexts begin far from each other, for a token of one must mean nothing to another: the golden ratio
// spreads their addresses over all numbers.
Works::Works() : last_(reinterpret_cast<Token>(this) * static_cast<Token>(0x9E3779B97F4A7C15)) {}

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
  while (token == kNone) token = ++last_;
  kept_.insert_or_assign(token, Kept{std::move(work), false});
  return token;
}

void Works::give_up(Token token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.find(token);
  if (found != kept_.end()) found->second.given_up = true;
}

void Works::sweep() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(kept_, [](const auto& entry) { return entry.second.given_up; });
}

void Works::clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  kept_.clear();
}

}  // namespace nearfield
