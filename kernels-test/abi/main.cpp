// SPDX-License-Identifier: Apache-2.0
// nearfield_abi_test LIBRARY [--seed N] [--rounds N]: the ABI's promises, on one backend library.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <sstream>
#include <string>

#include "harness.hpp"

namespace {

// Whether NEARFIELD_REQUIRE names the backend, or it on a kind of device: "wgpu", "wgpu+lavapipe". The
// emulated kind has tests of its own.
bool is_required(const std::string& backend) {
  const char* const required = std::getenv("NEARFIELD_REQUIRE");
  std::stringstream columns(required == nullptr ? "" : required);
  for (std::string column; std::getline(columns, column, ',');)
    if (column == backend || (column.rfind(backend + "+", 0) == 0 && column != backend + "+simt"))
      return true;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace nearfield_test;
  const char* library = nullptr;
  uint64_t seed = std::random_device()();
  int rounds = 2000;  // of the fuzz test: about a second on the scalar backend
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
      seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::atoi(argv[++i]);
    } else {
      library = argv[i];
    }
  }
  if (library == nullptr) {
    std::fprintf(stderr, "usage: %s LIBRARY [--seed N] [--rounds N]\n", argv[0]);
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // what was printed before a crash is seen
  std::string why;
  const nf_api* const api = load(library, &why);
  if (api == nullptr) {
    std::printf("FAIL %s: %s\n0 passed, 1 failed\n", library, why.c_str());
    return 1;
  }
  // Before anything can crash: how to run the same again.
  std::printf("backend %s (%s), rerun with: %s %s --seed %llu --rounds %d\n", api->backend, api->build,
              argv[0], library, static_cast<unsigned long long>(seed), rounds);

  Report report;
  const Bench bench{api, &report, seed};
  Caller caller;
  int32_t devices = 0;
  if (!bench.ok(api->device_count(&devices, &caller.call), "device_count", caller)) return 1;
  if (devices == 0) {
    const bool must = is_required(api->backend);
    report.check(caller.error.message[0] != '\0', "no device, and no reason given");
    std::printf("%s no device: %s\n", must ? "FAIL" : "ABSENT", caller.error.message);
    std::printf("%d passed, %d failed\n", report.passed, report.failed + (must ? 1 : 0));
    return report.failed != 0 || must ? 1 : 77;
  }
  test_lifecycle(bench);
  test_arguments(bench);
  test_splits(bench);
  test_modes(bench);
  test_steps(bench);
  test_knn_steps(bench);
  test_kmeans_steps(bench);
  test_knn_ahead(bench);
  test_training(bench);
  test_lists(bench);
  test_quantize(bench);
  test_concurrency(bench);
  test_fuzz(bench, rounds);
  std::printf("%d passed, %d failed\n", report.passed, report.failed);
  return report.failed == 0 ? 0 : 1;
}
