// SPDX-License-Identifier: Apache-2.0
// Cases for force_path "hardware" of the GPU backends (native/gpu/context.cpp): 1 MiB a slab, a tile of 128
// rows a part, 16 dispatches and a million units a submission, sampling from 65,536 rows on. That these
// shapes reach every branch which divides work is checked by native/gpu/test/division_test.cpp.
#include "case.hpp"
#include "nearfield/nearfield.h"

namespace nearfield::test {
namespace {

struct Shape {
  int32_t metric, dim;
  int64_t rows, k, batch;
  Data data;
};

constexpr Shape kShapes[] = {
    // Sampled, several slabs, several queries; the one of --smoke.
    {NF_COSINE, 4, 70'000, 10, 4, Data::GAUSS},
    // More parts than merge follows lists, 2,048 of WebGPU's and 4,096 of the others: the first list has the
    // answer, whatever the others close.
    {NF_L2SQ, 4, 530'000, 12, 1, Data::DUPLICATES},
    {NF_MANHATTAN, 4, 270'000, 10, 3, Data::TIES},
    // Sampled for the sake of k; long lists; more slabs than dispatches in a submission.
    {NF_DOT, 7, 70'000, 40, 1, Data::CLUSTERED},
    {NF_L2SQ, 64, 70'000, 129, 1, Data::GAUSS},
    {NF_DOT, 64, 70'000, 2, 1, Data::SCALES},
    // Beyond the threshold of the matrix form, sampled; direct where there is none.
    {NF_L2SQ, 3, 70'000, 9, 33, Data::OFFSET},
    {NF_COSINE, 3, 70'000, 9, 33, Data::CLUSTERED},
    {NF_DOT, 3, 70'000, 33, 33, Data::SCALES},
    {NF_POINCARE, 3, 70'000, 9, 33, Data::BOUNDARY},
    // More queries than a submission takes.
    {NF_DOT, 769, 1000, 10, 65, Data::GAUSS},
    {NF_MANHATTAN, 769, 1000, 10, 65, Data::GAUSS},
    // Radix selection.
    {NF_COSINE, 9, 70'000, 2100, 2, Data::TIES},
};

}  // namespace

void add_hardware_cases(Effort effort, std::vector<Case>* to) {
  for (const Shape& shape : kShapes) {
    to->push_back({"bits-hardware", shape.metric, shape.dim, shape.rows, shape.k, shape.batch, shape.data});
    if (effort == Effort::SMOKE) return;
  }
}

}  // namespace nearfield::test
