// SPDX-License-Identifier: Apache-2.0
// nf_kmeans and nf_assign with C++ arguments.
#pragma once

#include <cstdint>
#include <vector>

#include "backend.hpp"
#include "data.hpp"
#include "results.hpp"

namespace nearfield::test {

struct KmeansOptions {
  int32_t metric = 0;
  int32_t clusters = 1;
  int32_t iterations = 0;
  bool balanced = false;
  int64_t sample = 0;
  uint64_t seed = 1;
  std::vector<float> weights = {};
  std::vector<float> start = {};  // a warm one
  int64_t budget_ns = -1;         // below 0: without steps
  bool wants_rows = true;         // labels and inertia
};

struct Clusters {
  std::vector<float> centroids;
  std::vector<int32_t> labels;
  double inertia = 0;
  int64_t steps = 0;
  bool operator==(const Clusters& other) const;  // bit for bit, steps aside
};

// `cancel_at`: the step at which the cancel word is raised, 0: none. Also checks that nothing is written
// before the last step, or when one fails, and nothing beside the outputs.
Answer try_kmeans(Backend& backend, nf_context* context, const nf_matrix& data, const KmeansOptions& options,
                  Clusters* to, int64_t cancel_at = 0);
Clusters kmeans(Backend& backend, nf_context* context, const nf_matrix& data, const KmeansOptions& options);
void assign(Backend& backend, nf_context* context, int32_t metric, const nf_matrix& data,
            const nf_matrix& centroids, Results* to);

}  // namespace nearfield::test
