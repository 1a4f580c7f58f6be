// SPDX-License-Identifier: Apache-2.0
#include "matrix.hpp"

#include <algorithm>
#include <cstdio>

#include "nearfield/nearfield.h"

namespace nearfield::test {
namespace {

constexpr const char* kNames[kOutcomes] = {"PASS", "FAIL", "XFAIL", "UNSUPPORTED", "ABSENT", "SKIP"};

std::string pad(const std::string& text, size_t width) {
  return text.size() < width ? text + std::string(width - text.size(), ' ') : text;
}

}  // namespace

Matrix::Column Matrix::describe(const Backend& backend) {
  const nf_device_info& info = backend.info();
  if (!backend.present()) return {backend.row(), backend.absent(), false, false};
  return {backend.row(), std::string(info.name) + " (" + info.driver + ")", true, info.emulated != 0};
}

void Matrix::record(const Case& c, const std::string& row, Outcome outcome) {
  ++cells_[{c.test, c.metric}][row].counts[static_cast<int>(outcome)];
  ++totals_[static_cast<int>(outcome)];
}

int64_t Matrix::total(Outcome outcome) const { return totals_[static_cast<int>(outcome)]; }

// The worst outcome decides. "ok" means that the backend's kernels ran on the device named, "sim" that an
// emulator ran them.
std::string Matrix::show(const std::string& test, int32_t metric, const Column& column) const {
  const auto cells = cells_.find({test, metric});
  if (cells == cells_.end()) return "";
  const auto found = cells->second.find(column.name);
  if (found == cells->second.end()) return "-";
  const auto count = [&](Outcome outcome) { return found->second.counts[static_cast<int>(outcome)]; };
  if (count(Outcome::FAIL) != 0) return "FAIL";
  if (count(Outcome::ABSENT) != 0) return "absent";
  if (count(Outcome::UNSUPPORTED) != 0) return "unsupported";
  if (count(Outcome::XFAIL) != 0) return "xfail";
  if (count(Outcome::PASS) == 0) return "-";
  return (column.emulated ? "sim " : "ok ") + std::to_string(count(Outcome::PASS));
}

// Operations whose metrics all fared the same share a line.
void Matrix::print(const std::vector<std::string>& tests) const {
  size_t name = 14;
  for (const std::string& test : tests) name = std::max(name, test.size() + 2);
  constexpr size_t kMetric = 40;
  size_t width = 14;
  for (const Column& column : columns_) width = std::max(width, column.name.size() + 2);
  std::string head = pad("operation", name) + pad("metric", kMetric);
  for (const Column& column : columns_) head += pad(column.name, width);
  std::printf("\n%s\n%s\n", head.c_str(), std::string(head.size(), '-').c_str());
  for (const std::string& test : tests) {
    std::vector<std::pair<std::string, std::string>> lines;  // cells, metrics
    for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) {
      if (cells_.find({test, metric}) == cells_.end()) continue;
      std::string line;
      for (const Column& column : columns_) line += pad(show(test, metric, column), width);
      const auto same =
          std::find_if(lines.begin(), lines.end(), [&](const auto& l) { return l.first == line; });
      if (same == lines.end()) {
        lines.push_back({line, metric_name(metric)});
      } else {
        same->second += std::string(" ") + metric_name(metric);
      }
    }
    for (const auto& [line, metrics] : lines)
      std::printf("%s%s%s\n", pad(test, name).c_str(), pad(metrics, kMetric).c_str(), line.c_str());
  }
  std::printf(
      "\n\"ok 9\": nine cases passed on the device named; \"sim\": on an emulator; \"-\": not applicable.\n");
  std::string counts;
  for (int i = 0; i < kOutcomes; ++i)
    counts += std::string(i == 0 ? "" : ", ") + kNames[i] + " " + std::to_string(totals_[i]);
  std::printf("%s\n", counts.c_str());
  std::string ran;
  for (const Column& column : columns_) {
    if (!column.present) {
      std::printf("%s is absent: %s\n", column.name.c_str(), column.device.c_str());
    } else {
      ran += (ran.empty() ? "" : "; ") + column.name + (column.emulated ? " emulated on " : " on ") +
             column.device;
    }
  }
  std::printf("What really ran: %s.\n", ran.empty() ? "nothing" : ran.c_str());
}

}  // namespace nearfield::test
