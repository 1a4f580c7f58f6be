// SPDX-License-Identifier: Apache-2.0
// Greedy: fix one uncovered element, fill the rest at random, keep the choice that covers most.
#include "cover.hpp"

#include <cstdint>
#include <set>
#include <utility>

#include "random.hpp"

namespace nearfield::test {
namespace {

using Value = std::pair<int, int>;  // parameter, value
using Element = std::pair<Value, Value>;

// For single values both halves are the same.
std::vector<Element> elements(const Choice& choice, bool pairs) {
  std::vector<Element> found;
  for (int a = 0; a < static_cast<int>(choice.size()); ++a) {
    const Value first{a, choice[static_cast<size_t>(a)]};
    if (!pairs) found.push_back({first, first});
    for (int b = a + 1; pairs && b < static_cast<int>(choice.size()); ++b)
      found.push_back({first, {b, choice[static_cast<size_t>(b)]}});
  }
  return found;
}

std::vector<Element> all_elements(const std::vector<int>& sizes, bool pairs) {
  std::vector<Element> all;
  const int parameters = static_cast<int>(sizes.size());
  for (int a = 0; a < parameters; ++a) {
    for (int i = 0; i < sizes[static_cast<size_t>(a)]; ++i) {
      if (!pairs) all.push_back({{a, i}, {a, i}});
      for (int b = a + 1; pairs && b < parameters; ++b) {
        for (int j = 0; j < sizes[static_cast<size_t>(b)]; ++j) all.push_back({{a, i}, {b, j}});
      }
    }
  }
  return all;
}

std::vector<Choice> cover(const std::vector<int>& sizes, const Allowed& allowed, bool pairs) {
  constexpr int kCandidates = 40;  // of which the best is kept
  constexpr int kAttempts = 400;   // after which an element counts as impossible
  Random random(7);
  std::set<Element> open;
  for (const Element& e : all_elements(sizes, pairs)) open.insert(e);
  std::vector<Choice> rows;
  while (!open.empty()) {
    const Element wanted = *open.begin();
    Choice best;
    size_t best_new = 0;
    for (int attempt = 0, found = 0; attempt < kAttempts && found < kCandidates; ++attempt) {
      Choice choice;
      for (const int size : sizes) choice.push_back(static_cast<int>(random.below(size)));
      choice[static_cast<size_t>(wanted.first.first)] = wanted.first.second;
      choice[static_cast<size_t>(wanted.second.first)] = wanted.second.second;
      if (!allowed(choice)) continue;
      ++found;
      size_t fresh = 0;
      for (const Element& e : elements(choice, pairs)) fresh += open.count(e);
      if (fresh > best_new) {
        best_new = fresh;
        best = choice;
      }
    }
    open.erase(wanted);
    if (best.empty()) continue;
    for (const Element& e : elements(best, pairs)) open.erase(e);
    rows.push_back(best);
  }
  return rows;
}

}  // namespace

std::vector<Choice> cover_values(const std::vector<int>& sizes, const Allowed& allowed) {
  return cover(sizes, allowed, false);
}

std::vector<Choice> cover_pairs(const std::vector<int>& sizes, const Allowed& allowed) {
  return cover(sizes, allowed, true);
}

}  // namespace nearfield::test
