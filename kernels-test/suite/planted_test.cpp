// SPDX-License-Identifier: Apache-2.0
// The test of the suite: nearfield_planted breaks on demand, and the suite must say so each time; without a
// fault it must be green. The faults are those that the library lists, so that none is forgotten.
#include <sys/wait.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "backend.hpp"
#include "check.hpp"

namespace nearfield::test {
namespace {

struct Run {
  int exit_code = -1;
  std::string first_failure;
  std::string last_line;
};

Run run(const std::string& command) {
  Run result;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return result;
  char buffer[4096];
  while (std::fgets(buffer, sizeof(buffer), pipe) != nullptr) {
    buffer[std::strcspn(buffer, "\n")] = 0;
    if (result.first_failure.empty() && std::strncmp(buffer, "FAIL ", 5) == 0) result.first_failure = buffer;
    result.last_line = buffer;
  }
  const int status = pclose(pipe);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  return result;
}

int main_of(const std::string& suite, const std::string& library_dir, const std::string& effort) {
  Backend planted("planted", library_dir, "");
  if (!planted.present()) {
    std::printf("FAIL %s\n0 passed, 1 failed\n", planted.absent().c_str());
    return 1;
  }
  int passed = 0;
  int failed = 0;
  const auto expect = [&](bool condition, const std::string& what) {
    condition ? ++passed : ++failed;
    std::printf("%s %s\n", condition ? "ok  " : "FAIL", what.c_str());
    std::fflush(stdout);
  };
  expect(planted.paths().size() > 1, text("the library lists %zu paths", planted.paths().size()));
  for (const std::string& path : planted.paths()) {
    const std::string command = "'" + suite + "' " + effort + " --fail-fast --backend planted --path " +
                                path + " --lib-dir '" + library_dir + "' 2>&1";
    const Run result = run(command);
    const std::string said = path + ": exit " + std::to_string(result.exit_code) + ", " + result.last_line;
    int cases_passed = 0;
    int cases_failed = 0;
    const bool counted =
        std::sscanf(result.last_line.c_str(), "%d passed, %d failed", &cases_passed, &cases_failed) == 2;
    if (path == "none") {
      expect(counted && result.exit_code == 0 && cases_passed > 0 && cases_failed == 0, said);
      if (!result.first_failure.empty()) std::printf("     %s\n", result.first_failure.c_str());
    } else {
      expect(counted && result.exit_code == 1 && cases_failed > 0, said + ", " + result.first_failure);
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace nearfield::test

// Arguments: the suite, the folder of the libraries, and optionally the effort (default --quick).
int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: nearfield_planted_test SUITE LIB_DIR [--smoke | --quick | --full]\n");
    return 2;
  }
  try {
    return nearfield::test::main_of(argv[1], argv[2], argc == 4 ? argv[3] : "--quick");
  } catch (const nearfield::test::Failure& failure) {
    std::printf("FAIL %s\n0 passed, 1 failed\n", failure.what());
    return 1;
  }
}
