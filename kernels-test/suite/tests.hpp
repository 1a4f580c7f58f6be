// SPDX-License-Identifier: Apache-2.0
// The tests: one function per operation or property; each runs one case on one backend and throws Failure.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "backend.hpp"
#include "case.hpp"
#include "problem.hpp"

namespace nearfield::test {

struct Bench {
  Backend& backend;
  Backend* reference;  // another backend to agree with, or NULL
  const Case& spec;
  const Problem& problem;

  // The context that the case asks for.
  nf_context* context() const;
};

struct Test {
  const char* name;   // as in Case::test
  int32_t operation;  // NF_OP_KNN ...: what the backend must support
  void (*run)(const Bench& bench);
};

const std::vector<Test>& all_tests();

// Throws NotApplicable unless the backend has indexes of this metric with int8 codes.
void require_codes(const Bench& bench);
// Throws NotApplicable unless the backend has indexes of this metric with lists, of coded rows, too.
void require_lists(const Bench& bench);
// Throws NotApplicable where the case would take minutes.
void require_speed(const Bench& bench);
// The paths that force a coded index to be searched by its codes, however few its rows.
std::vector<ContextOptions> code_paths(const Bench& bench);
// Of them those that cases of lists run: on a slow device only one, but in a case of small slabs.
std::vector<ContextOptions> list_paths(const Bench& bench);
// Contexts and scan types of the indexes that cases of lists try.
std::vector<std::pair<ContextOptions, int32_t>> list_ways(const Bench& bench);

void test_knn(const Bench& bench);
void test_knn_steps(const Bench& bench);
void test_search(const Bench& bench);
void test_score(const Bench& bench);
void test_prefix(const Bench& bench);
void test_within(const Bench& bench);
void test_filter(const Bench& bench);
void test_live(const Bench& bench);
void test_hidden(const Bench& bench);
void test_replace(const Bench& bench);
void test_read(const Bench& bench);
void test_add(const Bench& bench);
void test_memory(const Bench& bench);
void test_compact(const Bench& bench);
void test_stop(const Bench& bench);
void test_ties(const Bench& bench);
void test_room(const Bench& bench);
void test_bits_batch(const Bench& bench);
void test_bits_workspace(const Bench& bench);
void test_bits_threads(const Bench& bench);
void test_bits_slabs(const Bench& bench);
void test_bits_paths(const Bench& bench);
void test_bits_hardware(const Bench& bench);
void test_bits_filter(const Bench& bench);
void test_model(const Bench& bench);
void test_agree(const Bench& bench);
void test_assign(const Bench& bench);
void test_kmeans(const Bench& bench);
void test_kmeans_warm(const Bench& bench);
void test_kmeans_many(const Bench& bench);
void test_kmeans_levels(const Bench& bench);
void test_kmeans_far(const Bench& bench);
void test_kmeans_balanced(const Bench& bench);
void test_kmeans_ends(const Bench& bench);
void test_codes(const Bench& bench);
void test_codes_capped(const Bench& bench);
void test_codes_model(const Bench& bench);
void test_codes_alone(const Bench& bench);
void test_lists(const Bench& bench);
void test_lists_many(const Bench& bench);
void test_lists_model(const Bench& bench);
void test_lists_maintain(const Bench& bench);
void test_lists_maintain_wide(const Bench& bench);
void test_lists_maintain_memory(const Bench& bench);
void test_lists_drift(const Bench& bench);

}  // namespace nearfield::test
