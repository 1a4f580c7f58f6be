// SPDX-License-Identifier: Apache-2.0
// Command line of nearfield_suite.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "case.hpp"

namespace nearfield::test {

struct Options {
  std::vector<std::string> rows;      // backends
  std::vector<std::string> must_run;  // NEARFIELD_REQUIRE
  std::string library_dir;
  std::string path;       // forced in every context
  std::string case_text;  // a part of the names of the cases to run
  uint64_t seed = 1;
  Effort effort = Effort::QUICK;
  bool list = false;
  bool verbose = false;
  bool fail_fast = false;
  bool brief = false;    // emulated columns: the cases of --smoke
  bool checked = false;  // emulated columns: with every load and store of the kernels checked
  int outcomes = -1;     // of a column's own process: where its outcomes go
  std::string program;

  const char* effort_name() const;
  Effort effort_of(const std::string& row) const;
  bool required(const std::string& row) const;
  // The command line that says the same, without --list.
  std::vector<std::string> words() const;
  // The command that runs one case again.
  std::string rerun(const std::string& row, const std::string& case_name) const;
};

// Nothing, and the sentence to print, when the arguments are wrong or ask for help.
std::optional<Options> parse(int argc, char** argv, std::string* problem);

}  // namespace nearfield::test
