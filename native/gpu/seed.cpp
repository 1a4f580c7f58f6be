// SPDX-License-Identifier: Apache-2.0
// Limits from a sample. The k-th best of some rows is a limit for the k-th best of all of them: known before
// a scan begins, it keeps queues and candidates short. The sample is spread over the store, because rows that
// were inserted together often lie together.
#include <algorithm>

#include "scan.hpp"

namespace nearfield::gpu {
namespace {

// A sixty-fourth of the rows costs little and leaves a query some 64 k rows to look at; fewer than 16 Ki
// would not repay two dispatches.
constexpr int64_t kShare = 64;
constexpr int64_t kLeastRows = 16 << 10;
// A sample of more than a quarter is half a scan.
constexpr int64_t kLeastTimes = 4;

}  // namespace

uint32_t sample_parts(uint64_t count, int32_t k) {
  return static_cast<uint32_t>(
      std::min<uint64_t>(kSampleParts, kSampleBytes / (count * static_cast<uint64_t>(k) * sizeof(Entry))));
}

int64_t sample_rows(const Scan& scan) {
  // These paths are for tests with small stores; the others are compared with the automatic one.
  const Path path = scan.context().path();
  const bool is_small = path == Path::kSmallGrid || path == Path::kDirect || path == Path::kMatrix;
  const int64_t least = is_small ? scan.context().limits().tile_rows : kLeastRows;
  return std::max<int64_t>({least, scan.rows() / kShare, 2 * int64_t{scan.plan().k}});
}

Status seed_limits(Scan* scan, const FlatShape& shape, int64_t count, int64_t wanted, uint32_t max_parts,
                   int64_t* seen) {
  Context& context = scan->context();
  const Limits& limits = context.limits();
  *seen = 0;
  if (wanted * kLeastTimes > scan->rows()) return {};
  std::vector<Scan::Range> ranges;
  uint32_t part_groups = 0;
  scan->take_blocks_of(shape.query_block, shape.workgroups);
  const int64_t sampled = scan->sample(std::min(max_parts, limits.most_lists), wanted, &ranges, &part_groups);
  if (sampled == 0) return {};
  // What the merge writes to `best` is overwritten by the scan, for which there is no best so far.
  NF_TRY(dispatch_flat(scan, shape, count, ranges, {.part_groups = part_groups, .is_first = true}));
  *seen = sampled;
  return context.queue().submit(static_cast<double>(sampled) * static_cast<double>(count) * scan->chunks(),
                                "search");
}

}  // namespace nearfield::gpu
