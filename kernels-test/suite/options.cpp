// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "backend.hpp"

namespace nearfield::test {
namespace {

constexpr const char* kUsage =
    "usage: nearfield_suite [option]...\n"
    "  --backend NAME[,NAME]  columns to run: cpu, wgpu, wgpu+lavapipe, wgpu+dawn, cuda, metal,\n"
    "                         cuda+simt, metal+simt (default: all), planted\n"
    "  --case TEXT            only cases whose name contains TEXT\n"
    "  --seed N               seed of all data (default 1)\n"
    "  --smoke | --quick | --full\n"
    "                         a few cases for sanitizers; the default; the larger product\n"
    "  --brief                cuda+simt, metal+simt: the cases of --smoke\n"
    "  --path NAME            force a path of the backend (of planted: a fault) in every context\n"
    "  --lib-dir DIR          where libnearfield_* are (default: ../lib beside this program)\n"
    "  --checked              cuda+simt, metal+simt: check every load and store of the kernels, at ten times "
    "the time\n"
    "  --fail-fast            stop at the first failure\n"
    "  --list                 print the names of the cases and stop\n"
    "  --verbose              a line per case\n"
    "In the environment, NEARFIELD_REQUIRE=cpu,wgpu+lavapipe makes these columns fail when absent, and\n"
    "NEARFIELD_TEST_FULL=1 makes --full the default.\n";

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t from = 0; from < text.size();) {
    const size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) parts.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return parts;
}

bool parse_seed(const std::string& text, uint64_t* to) {
  char* end = nullptr;
  errno = 0;
  *to = std::strtoull(text.c_str(), &end, 10);
  return errno == 0 && !text.empty() && *end == 0 && text[0] != '-';
}

}  // namespace

const char* Options::effort_name() const {
  return effort == Effort::SMOKE ? "smoke" : effort == Effort::FULL ? "full" : "quick";
}

Effort Options::effort_of(const std::string& row) const {
  return brief && is_emulated(row) ? Effort::SMOKE : effort;
}

bool Options::required(const std::string& row) const {
  return std::find(must_run.begin(), must_run.end(), row) != must_run.end();
}

std::string Options::rerun(const std::string& row, const std::string& case_name) const {
  std::string line =
      program + " --" + effort_name() + " --backend " + row + " --seed " + std::to_string(seed);
  if (!path.empty()) line += " --path " + path;
  if (checked) line += " --checked";
  return line + " --case '" + case_name + "'";
}

std::vector<std::string> Options::words() const {
  std::string names;
  for (const std::string& row : rows) names += (names.empty() ? "" : ",") + row;
  std::vector<std::string> words = {program,
                                    "--backend",
                                    names,
                                    "--case",
                                    case_text,
                                    "--seed",
                                    std::to_string(seed),
                                    std::string("--") + effort_name(),
                                    "--lib-dir",
                                    library_dir};
  if (!path.empty()) words.insert(words.end(), {"--path", path});
  if (verbose) words.push_back("--verbose");
  if (fail_fast) words.push_back("--fail-fast");
  if (checked) words.push_back("--checked");
  if (outcomes >= 0) words.insert(words.end(), {"--outcomes", std::to_string(outcomes)});
  return words;
}

std::optional<Options> parse(int argc, char** argv, std::string* problem) {
  Options options;
  options.program = argv[0];
  const size_t slash = options.program.rfind('/');
  options.library_dir =
      (slash == std::string::npos ? std::string(".") : options.program.substr(0, slash)) + "/../lib";
  options.rows = default_rows();
  const char* require = std::getenv("NEARFIELD_REQUIRE");
  if (require != nullptr) options.must_run = split(require);
  if (std::getenv("NEARFIELD_TEST_FULL") != nullptr) options.effort = Effort::FULL;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    bool missing = false;
    const auto value = [&]() -> std::string {
      missing = i + 1 >= argc;
      return missing ? "" : argv[++i];
    };
    if (argument == "--backend") {
      options.rows = split(value());
    } else if (argument == "--case") {
      options.case_text = value();
    } else if (argument == "--seed") {
      const std::string text = value();
      if (!missing && !parse_seed(text, &options.seed)) {
        *problem = "nearfield_suite: --seed " + text + " is not a number from 0 to 2^64-1\n";
        return std::nullopt;
      }
    } else if (argument == "--smoke") {
      options.effort = Effort::SMOKE;
    } else if (argument == "--quick") {
      options.effort = Effort::QUICK;
    } else if (argument == "--full") {
      options.effort = Effort::FULL;
    } else if (argument == "--brief") {
      options.brief = true;
    } else if (argument == "--path") {
      options.path = value();
    } else if (argument == "--lib-dir") {
      options.library_dir = value();
    } else if (argument == "--fail-fast") {
      options.fail_fast = true;
    } else if (argument == "--checked") {
      options.checked = true;
    } else if (argument == "--outcomes") {  // row_process.cpp
      options.outcomes = std::atoi(value().c_str());
    } else if (argument == "--list") {
      options.list = true;
    } else if (argument == "--verbose") {
      options.verbose = true;
    } else if (argument == "--help") {
      *problem = kUsage;
      return std::nullopt;
    } else {
      *problem = "nearfield_suite: unknown option " + argument + "\n" + kUsage;
      return std::nullopt;
    }
    if (missing) {
      *problem = "nearfield_suite: " + argument + " needs a value\n";
      return std::nullopt;
    }
  }
  // A required column that is not asked for would be missed silently.
  for (const std::string& row : options.must_run)
    if (require != nullptr && options.rows == default_rows() &&
        std::find(options.rows.begin(), options.rows.end(), row) == options.rows.end())
      options.rows.push_back(row);
  return options;
}

}  // namespace nearfield::test
