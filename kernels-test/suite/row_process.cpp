// SPDX-License-Identifier: Apache-2.0
#include "row_process.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <set>

#include "check.hpp"

namespace nearfield::test {

RowProcess::RowProcess(const Options& options, const std::string& row)
    : row_(row), effort_(options.effort_of(row)), partial_(options.fail_fast), outcomes_(std::tmpfile()) {
  check(outcomes_ != nullptr, "%s: no temporary file: %s", row.c_str(), std::strerror(errno));
  std::fflush(nullptr);
  process_ = fork();
  check(process_ >= 0, "%s: no process: %s", row.c_str(), std::strerror(errno));
  if (process_ == 0) start(options);
}

RowProcess::~RowProcess() { std::fclose(outcomes_); }

// In the new process; does not return.
void RowProcess::start(const Options& options) {
  Options own = options;
  own.rows = {row_};
  own.effort = effort_;
  own.outcomes = fileno(outcomes_);
  std::vector<std::string> words = own.words();
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  for (const auto& [name, value] : environment_of(row_, options.library_dir, options.checked))
    setenv(name.c_str(), value.c_str(), 1);
  execv("/proc/self/exe", arguments.data());
  std::fprintf(stderr, "nearfield_suite: %s could not be started: %s\n", row_.c_str(), std::strerror(errno));
  _exit(2);
}

void RowProcess::write_column(std::FILE* to, const Backend& backend) {
  const Matrix::Column column = Matrix::describe(backend);
  std::fprintf(to, "column\t%d\t%d\t%s\n", column.present, column.emulated, column.device.c_str());
  std::fflush(to);
}

void RowProcess::write_outcome(std::FILE* to, const Case& c, Outcome outcome) {
  std::fprintf(to, "%d\t%s\n", static_cast<int>(outcome), c.name().c_str());
  std::fflush(to);
}

void RowProcess::finish(const std::vector<Case>& cases, Matrix* matrix) {
  int status = 0;
  waitpid(process_, &status, 0);
  std::rewind(outcomes_);
  Matrix::Column column{row_, "its process wrote nothing", false, true};
  std::vector<char> line(4096);
  size_t done = 0;
  while (std::fgets(line.data(), static_cast<int>(line.size()), outcomes_) != nullptr) {
    line[std::strcspn(line.data(), "\n")] = 0;
    int present = 0, emulated = 0, device = 0;
    if (std::sscanf(line.data(), "column\t%d\t%d\t%n", &present, &emulated, &device) == 2) {
      column = {row_, line.data() + device, present != 0, emulated != 0};
      continue;
    }
    // In the order of the cases, which both processes made from the same options.
    const char* const name = std::strchr(line.data(), '\t');
    if (name == nullptr || done == cases.size() || cases[done].name() != name + 1) break;
    matrix->record(cases[done++], row_, static_cast<Outcome>(std::atoi(line.data())));
  }
  matrix->column(column);
  if (done == cases.size() || (partial_ && done > 0)) return;
  matrix->record(cases[done], row_, Outcome::FAIL);
  std::printf("FAIL %s %s\n  its process ended %s %d without an outcome\n", row_.c_str(),
              cases[done].name().c_str(), WIFSIGNALED(status) ? "by signal" : "with",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

}  // namespace nearfield::test
