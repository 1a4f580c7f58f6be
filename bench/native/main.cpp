// SPDX-License-Identifier: Apache-2.0
// Reads commands, answers each with one line. bench/README.md has the protocol.
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <new>

#include "commands.hpp"
#include "nearfield/nearfield.h"
#include "searcher.hpp"

namespace nearfield::bench {

int32_t metric_number(const std::string& name) {
  static const std::map<std::string, int32_t> metrics = {{"l2", NF_L2SQ},
                                                         {"cosine", NF_COSINE},
                                                         {"dot", NF_DOT},
                                                         {"poincare", NF_POINCARE},
                                                         {"manhattan", NF_MANHATTAN}};
  const auto found = metrics.find(name);
  if (found == metrics.end()) throw Refused("command: metric=\"" + name + "\" is not known");
  return found->second;
}

namespace {

int serve() {
  Searcher searcher;
  const std::map<std::string, std::function<Reply(const Command&)>> commands = {
      {"hello", [&](const Command& c) { return searcher.hello(c); }},
      {"load", [&](const Command& c) { return searcher.load(c); }},
      {"workload", [&](const Command& c) { return searcher.workload(c); }},
      {"run", [&](const Command& c) { return searcher.run(c); }},
      {"answers", [&](const Command& c) { return searcher.answers(c); }},
      {"insert", [&](const Command& c) { return searcher.insert(c); }},
      {"reach", [&](const Command& c) { return searcher.reach(c); }},
      {"change", [&](const Command& c) { return searcher.change(c); }},
      {"compact", [&](const Command& c) { return searcher.compact(c); }},
      {"kmeans", [&](const Command& c) { return searcher.kmeans(c); }},
      {"generate", generate},
      {"truth", truth},
      {"recall", recall},
      {"limits", limits},
      {"copying", copying},
      {"quit", [](const Command&) { return Reply(); }}};
  for (std::string line; std::getline(std::cin, line);) {
    std::string answer;
    bool last = false;
    try {
      const Command command(line);
      const std::string name = command.text("command");
      const auto found = commands.find(name);
      if (found == commands.end()) throw Refused("command \"" + name + "\" is not known");
      answer = found->second(command).line();
      last = name == "quit";
    } catch (const Refused& refused) {
      answer = Reply::refusal(refused.what(), refused.unsupported());
    } catch (const std::bad_alloc&) {
      answer = Reply::refusal("command: no memory on the host", false);
    }
    std::cout << answer << std::endl;
    if (last) break;
  }
  return 0;
}

}  // namespace
}  // namespace nearfield::bench

int main() {
  std::ios::sync_with_stdio(false);
  return nearfield::bench::serve();
}
