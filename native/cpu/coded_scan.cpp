// SPDX-License-Identifier: Apache-2.0
// Many queries by the product of their codes and the rows'.
#include <algorithm>
#include <cstring>
#include <limits>

#include "scan.hpp"

namespace nearfield::cpu {

namespace {
constexpr float kNone = std::numeric_limits<float>::infinity();
// When most queries of a tile keep too many rows of a group, as many groups go without codes: a failed trial
// costs a third of a group, so that 1/48 of the time is lost.
constexpr int32_t kUncodedGroups = 15;

// [chunk][32][4] to [two chunks][32][8]. A level has an even number of chunks.
void join_chunks(const uint8_t* from, size_t bytes, uint8_t* to) {
  constexpr size_t chunk = kChunkStride;  // a code is a byte
  for (const uint8_t* end = from + bytes; from != end; from += 2 * chunk)
    for (size_t at = 0; at < chunk; at += kChunkFloats, to += 2 * kChunkFloats) {
      std::memcpy(to, from + at, kChunkFloats);
      std::memcpy(to + kChunkFloats, from + chunk + at, kChunkFloats);
    }
}
}  // namespace

// What is behind the last level, up to a whole tile, meets zeros of the queries.
void pack_codes(const Slab& slab, int64_t group, int32_t packed_dims, uint8_t* to) {
  const CodedGroup from = slab.codes.group(group);
  const auto level_bytes = static_cast<size_t>(slab.codes.layout.level_bytes());
  for (int64_t level = 0; level < slab.codes.layout.levels(); ++level, to += level_bytes) {
    const uint8_t* codes = from.codes + level * from.level_stride;
    if (packed_dims == 2 * kChunkFloats)
      join_chunks(codes, level_bytes, to);
    else
      std::memcpy(to, codes, level_bytes);
  }
}

void Scan::begin_coded() {
  const auto queries = static_cast<size_t>(part_.queries);
  space_.pauses.assign(queries, 0);
  space_.expected.assign(queries, 4);
  if (part_.lists) begin_lists();
  for (size_t b = 0; b < coded_.size(); ++b) {
    const CodedQueries& coded = coded_[b];
    const CodeBound& bound = coded.basis().bound();
    space_.tests[b].resize(queries);
    space_.product_tests[b].resize(part_.coded_product || part_.lists ? queries : 0);
    for (size_t i = 0; i < queries; ++i) {
      const CodedQuery& query = coded.query(static_cast<int64_t>(i));
      CodeTest& test = space_.tests[b][i];
      test = part_.capped() ? bound.capped_test(query) : bound.test(query, kNone);
      if (part_.coded_product || part_.lists)
        space_.product_tests[b][i] = coded.product_test(static_cast<int64_t>(i), test);
    }
    if (part_.coded_product)
      space_.codes.fit(packed_dims(part_.state.codes->packed_dims, coded.basis().shape().coded_dim()) *
                       kGroupRows / static_cast<int64_t>(sizeof(float)));
  }
}

void Scan::take_coded_limit(int64_t query, float limit) {
  const auto i = static_cast<size_t>(query);
  for (size_t b = 0; b < coded_.size(); ++b) {
    const CodedQuery& coded = coded_[b].query(query);
    if (coded.direct) continue;
    CodeTest& test = space_.tests[b][i];
    if (part_.capped())
      coded_[b].basis().bound().set_cutoff(coded, limit, &test);
    else
      coded_[b].basis().bound().set_limit(coded, limit, &test);
    if (part_.coded_product) space_.product_tests[b][i] = coded_[b].product_test(query, test);
  }
}

size_t Scan::basis_of(const Slab& slab) const {
  size_t b = 0;
  while (coded_[b].basis_pointer() != slab.codes.basis) ++b;
  return b;
}

Status Scan::coded_product(const Slab& slab, const Group& group, int64_t first_panel, int64_t last_panel) {
  const size_t b = basis_of(slab);
  const CodedQueries& coded = coded_[b];
  const Panels& panels = part_.panels;
  const int64_t place = (group.first_row - slab.first) / kGroupRows;
  const int64_t step = std::max<int64_t>(1, kQueriesPerCall / panels.widest());
  bool is_packed = false;
  int64_t hopeless = 0;
  for (int64_t panel = first_panel; panel < last_panel; panel += step) {
    const int64_t end = std::min(panel + step, last_panel);
    const int64_t first = panels.first_query(panel), last = panels.first_query(end);
    uint32_t wanted[kQueriesPerCall];
    const int32_t wanting = wanted_rows(group, first, last, wanted);
    NF_TRY(poll(wanting * group.floats / 2 + (last - first) * kMaskProducts));
    if (wanting == 0) continue;
    if (!is_packed) {
      pack_codes(slab, place, part_.state.codes->packed_dims, reinterpret_cast<uint8_t*>(space_.codes.get()));
      const auto bytes = static_cast<uint64_t>(slab.codes.layout.read_bytes(slab.codes.layout.levels()));
      scanned_.read += bytes;
      scanned_.whole += bytes;
    }
    is_packed = true;
    uint32_t kept[kQueriesPerCall];
    CodedProductTile tile;
    tile.shape = &coded.basis().shape();
    tile.codes = reinterpret_cast<const uint8_t*>(space_.codes.get());
    tile.sides = slab.codes.group(place).sides;
    tile.panels = coded.panel(first);
    tile.bias = coded.product_bias(first);
    tile.panel_count = static_cast<int32_t>(end - panel);
    tile.panel_queries = static_cast<int32_t>(panels.narrow());
    tile.wider_panels = static_cast<int32_t>(std::clamp<int64_t>(panels.wider() - panel, 0, end - panel));
    tile.tests = space_.product_tests[b].data() + first;
    tile.dot = metric_ == NF_DOT;
    tile.shrink = coded.product_shrink();
    tile.widen = CodedQueries::kProductWiden;
    tile.kept = kept;
    part_.state.codes->product(tile);
    hopeless += rescore_kept(group, first, last, kept, wanted);
  }
  if (pairs_.count != 0) rescore_pairs();
  if (2 * hopeless > panels.first_query(last_panel) - panels.first_query(first_panel))
    uncoded_groups_ = kUncodedGroups;
  return {};
}

}  // namespace nearfield::cpu
