// SPDX-License-Identifier: Apache-2.0
#include "host.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <unistd.h>
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace nearfield::cpu {

namespace {

// "key : value" in a file of such lines; "" when absent.
std::string value_of(const char* file, const std::string& key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const size_t colon = line.find(':');
    const size_t start = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (start != std::string::npos) return line.substr(start);
  }
  return {};
}

// The numbers of a control group file (v2, as seen inside a container); "max" reads as 0.
int read_numbers(const char* file, double* first, double* second) {
  std::ifstream in(file);
  std::string word;
  int count = 0;
  for (double* to : {first, second})
    if (in >> word) {
      *to = word == "max" ? 0 : std::strtod(word.c_str(), nullptr);
      ++count;
    }
  return count;
}

}  // namespace

std::string cpu_name() {
  std::string name;
#if defined(__x86_64__) || defined(__i386__)
  unsigned words[12] = {};
  bool known = true;
  for (unsigned i = 0; i < 3; ++i)
    known = known && __get_cpuid(0x80000002u + i, words + 4 * i, words + 4 * i + 1, words + 4 * i + 2,
                                 words + 4 * i + 3) != 0;
  if (known)
    name.assign(reinterpret_cast<const char*>(words), strnlen(reinterpret_cast<const char*>(words), 48));
#elif defined(__APPLE__)
  char brand[128] = {};
  size_t size = sizeof(brand) - 1;
  if (sysctlbyname("machdep.cpu.brand_string", brand, &size, nullptr, 0) == 0) name = brand;
#endif
  if (name.empty()) name = value_of("/proc/cpuinfo", "model name");
  if (name.empty()) {  // arm64 Linux names implementer and part only
    const std::string part = value_of("/proc/cpuinfo", "CPU part");
    if (!part.empty()) name = "CPU " + value_of("/proc/cpuinfo", "CPU implementer") + " part " + part;
  }
  const size_t start = name.find_first_not_of(' ');
  if (start == std::string::npos) return "CPU";
  return name.substr(start, name.find_last_not_of(' ') - start + 1);
}

int32_t usable_cores() {
  int32_t cores = static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = std::max(1, CPU_COUNT(&set));
#endif
  double quota = 0, period = 0;
  if (read_numbers("/sys/fs/cgroup/cpu.max", &quota, &period) == 2 && quota > 0 && period > 0)
    cores = std::min(cores, std::max(1, static_cast<int32_t>(std::ceil(quota / period))));
  return cores;
}

uint64_t usable_memory() {
  uint64_t bytes = 0;
#if defined(__APPLE__)
  size_t size = sizeof(bytes);
  if (sysctlbyname("hw.memsize", &bytes, &size, nullptr, 0) != 0) bytes = 0;
#elif !defined(_WIN32)
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page > 0) bytes = static_cast<uint64_t>(pages) * static_cast<uint64_t>(page);
#endif
  double limit = 0, unused = 0;
  if (read_numbers("/sys/fs/cgroup/memory.max", &limit, &unused) >= 1 && limit > 0 &&
      (bytes == 0 || limit < static_cast<double>(bytes)))
    bytes = static_cast<uint64_t>(limit);
  return bytes;
}

uint64_t available_memory() {
  const std::string kib = value_of("/proc/meminfo", "MemAvailable");
  const uint64_t available = kib.empty() ? 0 : std::strtoull(kib.c_str(), nullptr, 10) << 10;
  return std::min(available, usable_memory());
}

}  // namespace nearfield::cpu
