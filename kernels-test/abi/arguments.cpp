// SPDX-License-Identifier: Apache-2.0
#include "arguments.hpp"

#include <cstring>

namespace nearfield_test {
namespace {

// A call block that cannot be read leaves no place for a message.
void test_call_block(Runner& runner) {
  const Expectation silent{NF_INVALID_ARGUMENT, "", false};
  for (const Entry entry : {Entry::kDeviceCount, Entry::kCreate, Entry::kSearch}) {
    runner.expect(entry, "call->struct_size 0", silent, [](Requests& r) { r.call->struct_size = 0; });
    runner.expect(entry, "call->struct_size short", silent, [](Requests& r) { --r.call->struct_size; });
    runner.expect(entry, "call->struct_size of 4 GiB", silent,
                  [](Requests& r) { r.call->struct_size = UINT32_MAX; });
    runner.expect(entry, "call misaligned", silent, [](Requests& r) {
      r.call = reinterpret_cast<nf_call*>(reinterpret_cast<unsigned char*>(r.call) + 4);
    });
    runner.expect(entry, "call->error misaligned", silent,
                  [](Requests& r) { r.call->error = reinterpret_cast<nf_error*>(r.at.arena + 1); });
    runner.expect(entry, "call->error short", silent, [](Requests& r) {
      std::memset(r.at.arena, 0, sizeof(nf_error));
      r.call->error = reinterpret_cast<nf_error*>(r.at.arena);
      r.call->error->struct_size = sizeof(nf_error) - 1;
    });
    const auto lengthen = [](Requests& r, unsigned char last) {
      std::memset(r.at.arena, 0, sizeof(nf_call) + 16);
      std::memcpy(r.at.arena, r.call, sizeof(nf_call));
      r.call = reinterpret_cast<nf_call*>(r.at.arena);
      r.call->struct_size += 16;
      r.at.arena[sizeof(nf_call) + 15] = last;
    };
    runner.expect(entry, "call longer by zeros", {NF_OK, ""}, [&](Requests& r) { lengthen(r, 0); });
    runner.expect(entry, "call longer by a field", {NF_UNIMPLEMENTED, "is not 0"},
                  [&](Requests& r) { lengthen(r, 1); });
  }
}

// What a metric refuses, of rows and of queries.
void test_metric_limits(const Bench& bench, nf_context* context) {
  struct Vectors {
    Entry entry;
    nf_matrix Requests::Storage::*matrix;
    const char* noun;
  };
  const Vectors places[] = {{Entry::kAdd, &Requests::Storage::rows, "row"},
                            {Entry::kReplace, &Requests::Storage::rows, "row"},
                            {Entry::kSearch, &Requests::Storage::queries, "query"},
                            {Entry::kScore, &Requests::Storage::queries, "query"},
                            {Entry::kKnn, &Requests::Storage::queries, "query"},
                            {Entry::kKnn, &Requests::Storage::dataset, "dataset row"},
                            {Entry::kAssign, &Requests::Storage::queries, "data row"},
                            {Entry::kAssign, &Requests::Storage::dataset, "centroid"}};
  const auto set = [](Requests& r, nf_matrix Requests::Storage::*matrix, float first) {
    nf_matrix& m = r.at.*matrix;
    auto* row = static_cast<float*>(m.data) + m.row_stride / static_cast<int64_t>(sizeof(float));
    std::memset(row, 0, kDim * sizeof(float));
    row[0] = first;
  };
  Runner cosine(bench, context, NF_COSINE), poincare(bench, context, NF_POINCARE),
      dot(bench, context, NF_DOT);
  for (const Vectors& v : places) {
    const std::string at = std::string(v.noun) + " 1 has norm ";
    const auto with = [&set, v](float first) {
      return [&set, v, first](Requests& r) { set(r, v.matrix, first); };
    };
    cosine.expect(v.entry, std::string("cosine, zero ") + v.noun, {NF_INVALID_ARGUMENT, at + "0, cosine"},
                  with(0));
    cosine.expect(v.entry, std::string("cosine, tiny ") + v.noun, {NF_INVALID_ARGUMENT, at + "1"},
                  with(1e-30f));
    poincare.expect(v.entry, std::string("Poincare, on the boundary ") + v.noun,
                    {NF_INVALID_ARGUMENT, at + "1, at most 0.99999 "}, with(1));
    poincare.expect(v.entry, std::string("Poincare, outside ") + v.noun,
                    {NF_INVALID_ARGUMENT, at + "3.5, at most"}, with(-3.5f));
    poincare.expect(v.entry, std::string("Poincare, just too near ") + v.noun,
                    {NF_INVALID_ARGUMENT, at + "0.99999"}, with(0.999995f));
    poincare.expect(v.entry, std::string("Poincare, near ") + v.noun, {NF_OK, ""}, with(0.99998f));
    poincare.expect(v.entry, std::string("Poincare, zero ") + v.noun, {NF_OK, ""}, with(0));
    dot.expect(v.entry, std::string("dot, zero ") + v.noun, {NF_OK, ""}, with(0));
    dot.expect(v.entry, std::string("dot, norm 1e18 ") + v.noun, {NF_OK, ""}, with(1e18f));
  }
}

// A good call writes what it must and nothing beside it.
void test_gaps(const Bench& bench, nf_context* context) {
  Runner runner(bench, context, NF_L2SQ);
  const auto is_pattern = [](const void* from, size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(from);
    for (size_t i = 0; i < size; ++i)
      if (bytes[i] != 0x5A) return false;
    return true;
  };
  const Requests& r = runner.requests();
  constexpr int64_t kFilled = Requests::kQueries * Requests::kResultStride;
  for (const Entry entry : {Entry::kSearch, Entry::kKnn, Entry::kAssign}) {
    runner.expect(entry, "for its gaps", {NF_OK, ""}, [](Requests&) {});
    for (int64_t i = 0; i < kFilled + 8; ++i) {
      const bool written = i < kFilled && i % Requests::kResultStride < Requests::kK;
      const bool kept = is_pattern(&r.at.result_rows[i], sizeof(int64_t)) &&
                        is_pattern(&r.at.result_distances[i], sizeof(float));
      bench.report->check(kept != written, std::string(operation(entry)) + ": element " + std::to_string(i),
                          written ? "was not written" : "was written");
    }
    bench.report->check(is_pattern(r.at.result_count + 2, 8) && is_pattern(r.at.result_certified + 2, 6) &&
                            is_pattern(r.at.result_rescored + 2, 8) && is_pattern(r.at.result_lists + 2, 8),
                        std::string(operation(entry)) + ": arrays per query", "were written past their end");
    bench.report->check(r.at.result_certified[0] == 1 && r.at.result_certified[1] == 1,
                        std::string(operation(entry)) + ": certified", "is not 1 on a flat f32 index");
  }
  runner.expect(Entry::kKmeans, "for its gaps", {NF_OK, ""}, [](Requests&) {});
  constexpr int64_t kCentroids = Requests::kClusters * kDim;
  bench.report->check(!is_pattern(&r.at.centroids[kCentroids - 1], sizeof(float)) &&
                          is_pattern(&r.at.centroids[kCentroids], 8 * sizeof(float)) &&
                          !is_pattern(&r.at.labels[Requests::kDataset - 1], sizeof(int32_t)) &&
                          is_pattern(&r.at.labels[Requests::kDataset], 8 * sizeof(int32_t)) &&
                          !is_pattern(&r.at.inertia, sizeof(double)),
                      "kmeans: its outputs", "were not written, or more was");
  // Query 0 has the list {0, 7, 38}, of which 7 is dead.
  runner.expect(Entry::kSearch, "for its missing entries", {NF_OK, ""}, [](Requests&) {});
  const float missing = r.at.result_distances[2];
  bench.report->check(r.at.result_count[0] == 2 && r.at.result_rows[2] == -1 && r.at.result_rows[3] == -1 &&
                          missing != missing,
                      "search: missing entries", "are not row -1 and distance NaN");
  runner.expect(Entry::kScore, "for its gaps", {NF_OK, ""}, [](Requests&) {});
  const float* d = r.at.score_distances;
  bench.report->check(
      d[0] >= 0 && d[1] != d[1] && d[2] >= 0 && d[3] != d[3] && d[4] != d[4] && is_pattern(d + 5, 32),
      "score: dead and unknown rows", "are not NaN, or more was written");
  runner.expect(Entry::kScore, "a part of the arrays", {NF_OK, ""}, [](Requests& q) { q.at.offsets[0] = 1; });
  bench.report->check(is_pattern(d, 4), "score: entries before offsets[0]", "were written");
  runner.expect(Entry::kRead, "for its gaps", {NF_OK, ""}, [](Requests&) {});
  for (int64_t row = 0; row < 3; ++row)
    bench.report->check(is_pattern(r.at.out_data + row * Requests::kStride + kDim, 4), "read: padding of row",
                        std::to_string(row) + " was written");
}

}  // namespace

void test_arguments(const Bench& bench) {
  const ContextHandle context = bench.context();
  Runner runner(bench, context.get(), NF_L2SQ);
  for (const auto& lines : {value_lines(), struct_lines()})
    for (const Line& line : lines) runner.expect(line.entry, line.name, line.expected, line.change);
  test_call_block(runner);
  test_metric_limits(bench, context.get());
  test_gaps(bench, context.get());
}

}  // namespace nearfield_test
