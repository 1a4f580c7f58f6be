// SPDX-License-Identifier: Apache-2.0
// A column that runs in a process of its own, beside the others: libraries over an emulated driver find it by
// their environment, and a fault in an emulated kernel ends nothing else.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>
#include <vector>

#include "case.hpp"
#include "matrix.hpp"
#include "options.hpp"

namespace nearfield::test {

class RowProcess {
 public:
  // Starts this program again for one row, which prints what fails and writes its outcomes to us.
  RowProcess(const Options& options, const std::string& row);
  ~RowProcess();
  RowProcess(const RowProcess&) = delete;
  RowProcess& operator=(const RowProcess&) = delete;

  // Waits for it and takes over what it found. A case without an outcome has failed, unless that was asked
  // for
  // (--fail-fast).
  void finish(const std::vector<Case>& cases, Matrix* matrix);

  Effort effort() const { return effort_; }

  // What such a process writes.
  static void write_column(std::FILE* to, const Backend& backend);
  static void write_outcome(std::FILE* to, const Case& c, Outcome outcome);

 private:
  void start(const Options& options);

  const std::string row_;
  const Effort effort_;
  const bool partial_;
  std::FILE* outcomes_;
  pid_t process_ = -1;
};

}  // namespace nearfield::test
