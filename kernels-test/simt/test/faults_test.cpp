// SPDX-License-Identifier: Apache-2.0
// nearfield_simt_faults_test LIBRARY: what a GPU backend answers when its device is missing, too old, full,
// slow or lost. The library runs on an emulated device, which fails as NEARFIELD_SIMT_FAULT says
// (control.hpp).
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "fault_fixture.hpp"

namespace nearfield_test {
namespace {

// No device is an answer, not a failure, and says why.
void absent(const Bench& bench, const char* text, const char* said) {
  fault(text);
  Caller caller;
  int32_t count = -1;
  bench.ok(bench.api->device_count(&count, &caller.call), "device_count", caller);
  bench.report->check(count == 0 && std::strstr(caller.error.message, said) != nullptr, text,
                      caller.error.message);
}

void no_device(const Bench& bench) { absent(bench, "no-device=1", "no "); }
void old_driver(const Bench& bench) {
  absent(bench, "driver=11080", "it serves CUDA 11.8, this library needs CUDA 12.0 or later");
}
void old_device(const Bench& bench) {
  absent(bench, "capability=61", "it has compute capability 6.1, this library needs 7.5 or later");
}

void no_code(const Bench& bench, const char* text, const char* said) {
  fault(text);
  Caller caller;
  nf_context* context = nullptr;
  const nf_context_desc desc = sized<nf_context_desc>();
  const nf_status status = bench.api->context_create(&desc, &context, &caller.call);
  bench.report->check(
      status == NF_UNAVAILABLE && context == nullptr && std::strstr(caller.error.message, said) != nullptr,
      text, std::string(status_name(status)) + " " + caller.error.message);
}
void no_code_for_device(const Bench& bench) { no_code(bench, "no-code=1", "compute capability 9.0"); }

// Products of warpgroups where the GPU and the driver have what they need; only there has "tf32" another
// form.
void warpgroups(const Bench& bench, const char* text, bool are_served) {
  fault(text);
  for (const char* const path : {"tf32", "tf32-mma"}) {
    Caller caller;
    nf_context* context = nullptr;
    nf_context_desc desc = sized<nf_context_desc>();
    desc.force_path = path;
    const nf_status status = bench.api->context_create(&desc, &context, &caller.call);
    const bool exists = are_served || std::strcmp(path, "tf32") == 0;
    bench.report->check(status == (exists ? NF_OK : NF_INVALID_ARGUMENT), std::string(path) + " " + text,
                        std::string(status_name(status)) + " " + caller.error.message);
    if (status == NF_OK) bench.api->context_destroy(context);
  }
}

// This driver takes an image for this GPU.
void serves(const Bench& bench, const char* text) {
  fault(text);
  Fixture fixture(bench);
  fixture.check_unchanged(text);
}

// The N-th allocation of an add fails, for every N there is: nothing has changed, and the add works
// afterwards.
void failed_allocations(const Bench& bench) {
  int failed = 0;
  for (int n = 1;; ++n) {
    Fixture fixture(bench);
    Caller caller;
    fault(("allocation=" + std::to_string(n)).c_str());
    const nf_status status = fixture.add(40'000, caller);
    fault("");
    if (status == NF_OK) break;
    ++failed;
    const std::string when = "allocation " + std::to_string(n) + " of an add failed";
    fixture.expect(status, NF_RESOURCE_EXHAUSTED, when, caller);
    fixture.check_unchanged(when);
    Caller again;
    bench.ok(fixture.add(40'000, again), "add, after it failed", again);
    if (n > 100) break;
  }
  bench.report->check(failed >= 2 && failed < 100, "an add allocates several times",
                      std::to_string(failed) + " allocations failed");
}

void full_device(const Bench& bench) {
  Fixture fixture(bench);
  fault("memory=4000000");
  Caller caller;
  fixture.expect(fixture.add(400'000, caller), NF_RESOURCE_EXHAUSTED, "32 MB on a device of 4 MB", caller);
  fixture.check_unchanged("the device was full");
}

// A kernel that cannot be launched fails its call only.
void failed_launch(const Bench& bench) {
  Fixture fixture(bench);
  for (const char* text : {"launch=1", "launch=2"}) {
    fault(text);
    Caller caller;
    Answers none{};
    fixture.expect(fixture.search(&none, caller), NF_INTERNAL, text, caller);
    fault("");
    fixture.check_unchanged(text);
  }
  fault("launch=1");
  Caller caller;
  fixture.expect(fixture.add(2000, caller), NF_INTERNAL, "an add whose first kernel fails", caller);
  fault("");
  fixture.check_unchanged("an add failed");
}

void lost_device(const Bench& bench) {
  Fixture fixture(bench);
  fault("lost=1");
  for (const char* what : {"the search that loses the device", "a search after that"}) {
    Caller caller;
    Answers none{};
    fixture.expect(fixture.search(&none, caller), NF_DEVICE_LOST, what, caller, "lost");
  }
  Caller adding;
  fixture.expect(fixture.add(100, adding), NF_DEVICE_LOST, "an add after that", adding, "lost");
  // Handles are destroyed at the end of the scope, and a new context is another device's.
  fixture.index.reset();
  fixture.context.reset();
  fault("");
  Fixture fresh(bench);
  fresh.check_unchanged("a new context was made");
}

// A device that ends nothing and reports nothing is given up after its limit, for good; memory that it may
// still write is kept, and handles are destroyed at once.
void hung_device(const Bench& bench) {
  fault("silence=200");  // asked for when the device is opened
  Fixture fixture(bench);
  fault("hang=1,silence=200");
  const auto begin = std::chrono::steady_clock::now();
  for (const char* what : {"the search that finds the device hung", "a search after that"}) {
    Caller caller;
    Answers none{};
    fixture.expect(fixture.search(&none, caller), NF_DEVICE_LOST, what, caller, " s, 0.2 s is the limit");
  }
  Caller adding;
  fixture.expect(fixture.add(100, adding), NF_DEVICE_LOST, "an add after that", adding, "lost");
  fixture.index.reset();
  fixture.context.reset();
  // Far below the limit for a real GPU, however busy this machine is: nobody waited without end.
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  bench.report->check(seconds < 25, "calls and destruction return", std::to_string(seconds) + " s");
}

// A call looks at its deadline between two submissions. How much work one holds follows what was measured, so
// that it may take some searches until the work of one is more than two slow submissions.
void slow_device(const Bench& bench) {
  Fixture fixture(bench);
  fault("slow=60");
  nf_status status = NF_OK;
  for (int i = 0; i < 20 && status == NF_OK; ++i) {
    Caller caller;
    caller.call.timeout_ns = 20'000'000;
    Answers none{};
    status = fixture.search(&none, caller);
  }
  bench.report->check(status == NF_DEADLINE_EXCEEDED, "a search that takes too long", status_name(status));
  Caller adding;
  adding.call.timeout_ns = 20'000'000;
  // Six pieces of 4 MiB (gpu/moves.cpp): two are in flight before one is waited for.
  fixture.expect(fixture.add(300'000, adding), NF_DEADLINE_EXCEEDED, "an add that takes too long", adding);
  fault("");
  fixture.check_unchanged("calls took too long");
}

struct Test {
  const char* name;
  const char* backend;  // NULL: all
  void (*run)(const Bench&);
};
constexpr Test kTests[] = {
    {"no device", nullptr, no_device},
    {"old driver", "cuda", old_driver},
    {"no code for the device", "cuda", no_code_for_device},
    {"old device", "cuda", old_device},
    {"warpgroups", "cuda", [](const Bench& bench) { warpgroups(bench, "capability=90", true); }},
    {"warpgroups, no maps", "cuda", [](const Bench& bench) { warpgroups(bench, "no-maps=1", false); }},
    {"no warpgroups", "cuda", [](const Bench& bench) { warpgroups(bench, "capability=89", false); }},
    {"T4, CUDA 12.0", "cuda", [](const Bench& bench) { serves(bench, "capability=75,driver=12000"); }},
    {"A100, CUDA 12.2", "cuda", [](const Bench& bench) { serves(bench, "capability=80,driver=12020"); }},
    {"Orin, CUDA 12.6", "cuda", [](const Bench& bench) { serves(bench, "capability=87,driver=12060"); }},
    {"H200, CUDA 12.4", "cuda", [](const Bench& bench) { serves(bench, "capability=90,driver=12040"); }},
    {"B200, CUDA 12.8: PTX", "cuda",
     [](const Bench& bench) { serves(bench, "capability=100,driver=12080"); }},
    {"Thor: PTX", "cuda", [](const Bench& bench) { serves(bench, "capability=110,driver=13000"); }},
    {"GB10, CUDA 13.0", "cuda", [](const Bench& bench) { serves(bench, "capability=121,driver=13000"); }},
    {"failed allocations", nullptr, failed_allocations},
    {"full device", nullptr, full_device},
    {"roll-back of a hidden add", nullptr, rolled_back_add},
    {"roll-back of live bits", nullptr, rolled_back_live_range},
    {"roll-back of a compaction", nullptr, rolled_back_compaction},
    {"roll-back of a knn step", nullptr, rolled_back_knn},
    {"failed launch", nullptr, failed_launch},
    {"lost device", nullptr, lost_device},
    {"hung device", nullptr, hung_device},
    {"slow device", nullptr, slow_device},
};

// A driver is opened once per process, and what a fault breaks shall not reach the next test.
bool in_own_process(const char* library, const Test& test, Report* report) {
  int counts[2];
  if (pipe(counts) != 0) return false;
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    Report own;
    std::string why;
    const nf_api* const api = load(library, &why);
    own.check(api != nullptr, library, why);
    if (api != nullptr && (test.backend == nullptr || std::strcmp(test.backend, api->backend) == 0))
      test.run({api, &own, kSeed});
    std::fflush(nullptr);
    const bool written = write(counts[1], &own, sizeof(own)) == sizeof(own);
    _exit(written ? 0 : 1);
  }
  close(counts[1]);
  Report own;
  const bool read_all = read(counts[0], &own, sizeof(own)) == sizeof(own);
  close(counts[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (read_all) report->passed += own.passed, report->failed += own.failed;
  return read_all && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace
}  // namespace nearfield_test

int main(int argc, char** argv) {
  using namespace nearfield_test;
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s LIBRARY\n", argv[0]);
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  Report report;
  for (const Test& test : kTests)
    report.check(in_own_process(argv[1], test, &report), std::string(test.name) + ": the process lives");
  std::printf("%d passed, %d failed\n", report.passed, report.failed);
  return report.failed == 0 ? 0 : 1;
}
