// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "table.hpp"

namespace nearfield_test {
namespace {

void contexts(Table& t) {
  t.fine(Entry::kDeviceCount, "as it should be", [](Requests&) {});
  t.bad(Entry::kDeviceCount, "count NULL", "NULL", [](Requests& r) { r.count = nullptr; });
  t.bad(Entry::kDeviceCount, "count misaligned", "misaligned",
        [](Requests& r) { r.count = misaligned(r.count); });
  t.fine(Entry::kDeviceInfo, "as it should be", [](Requests&) {});
  t.bad(Entry::kDeviceInfo, "device -1", "device=-1", [](Requests& r) { r.device = -1; });
  t.bad(Entry::kDeviceInfo, "device 1000", "device=1000", [](Requests& r) { r.device = 1000; });
  const Entry create = Entry::kContextCreate;
  t.fine(create, "as it should be", [](Requests&) {});
  t.bad(create, "device -1", "device=-1", [](Requests& r) { r.context_desc->device = -1; });
  t.bad(create, "device 1000", "device=1000", [](Requests& r) { r.context_desc->device = 1000; });
  t.bad(create, "threads -1", "threads=-1", [](Requests& r) { r.context_desc->threads = -1; });
  t.bad(create, "out NULL", "NULL", [](Requests& r) { r.context_out = nullptr; });
  t.bad(create, "out misaligned", "misaligned",
        [](Requests& r) { r.context_out = misaligned(r.context_out); });
  t.bad(create, "an unknown path", "no-such-path",
        [](Requests& r) { r.context_desc->force_path = "no-such-path"; });
  t.unimplemented(create, "unknown flags", "flags=0x80", [](Requests& r) { r.context_desc->flags = 0x80; });
}

void descriptions(Table& t) {
  for (const Entry entry : {Entry::kEstimate, Entry::kCreate}) {
    t.fine(entry, "as it should be", [](Requests&) {});
    t.bad(entry, "context NULL", "NULL", [](Requests& r) { r.context = nullptr; });
    t.bad(entry, "kind 0", "kind=0", [](Requests& r) { r.desc->kind = 0; });
    t.unimplemented(entry, "kind IVF of Manhattan", "kind=2", [](Requests& r) {
      r.desc->kind = NF_IVF;
      r.desc->metric = NF_MANHATTAN;
    });
    t.unimplemented(entry, "a later kind", "kind=9", [](Requests& r) { r.desc->kind = 9; });
    t.bad(entry, "metric 0", "metric=0", [](Requests& r) { r.desc->metric = 0; });
    t.bad(entry, "metric -7", "metric=-7", [](Requests& r) { r.desc->metric = -7; });
    t.unimplemented(entry, "a later metric", "metric=77", [](Requests& r) { r.desc->metric = 77; });
    t.bad(entry, "dim 0", "dim=0", [](Requests& r) { r.desc->dim = 0; });
    t.bad(entry, "dim -1", "dim=-1", [](Requests& r) { r.desc->dim = -1; });
    t.bad(entry, "dim 2^31-1", "dim=2147483647", [](Requests& r) { r.desc->dim = INT32_MAX; });
    t.bad(entry, "store_dtype 0", "store_dtype=0", [](Requests& r) { r.desc->store_dtype = 0; });
    t.unimplemented(entry, "store_dtype BF16", "store_dtype=3",
                    [](Requests& r) { r.desc->store_dtype = NF_BF16; });
    t.bad(entry, "scan_dtype 0", "scan_dtype=0", [](Requests& r) { r.desc->scan_dtype = 0; });
    t.unimplemented(entry, "scan_dtype BF16", "scan_dtype=3",
                    [](Requests& r) { r.desc->scan_dtype = NF_BF16; });
    t.unimplemented(entry, "scan_dtype I8 of Manhattan", "scan_dtype=4 with metric=5 (Manhattan)",
                    [](Requests& r) {
                      r.desc->scan_dtype = NF_I8;
                      r.desc->metric = NF_MANHATTAN;
                    });
    t.bad(entry, "lists of a flat index", "lists=4", [](Requests& r) { r.desc->lists = 4; });
    t.bad(entry, "probes of a flat index", "probes=2", [](Requests& r) { r.desc->probes = 2; });
    t.bad(entry, "NF_DROP_F32 without codes", "scan_dtype=1",
          [](Requests& r) { r.desc->flags = NF_DROP_F32; });
    t.unimplemented(entry, "NF_DROP_F32 of Poincaré", "flags=0x1", [](Requests& r) {
      r.desc->flags = NF_DROP_F32;
      r.desc->scan_dtype = NF_I8;
      r.desc->metric = NF_POINCARE;
    });
    t.unimplemented(entry, "reserved", "reserved=0x4", [](Requests& r) { r.desc->reserved = 4; });
    t.bad(entry, "capacity -1", "capacity=-1", [](Requests& r) { r.desc->capacity = -1; });
    t.bad(entry, "capacity 2^63-1", "capacity=9223372036854775807",
          [](Requests& r) { r.desc->capacity = kHuge; });
    for (const double norm : {1.0, -0.5, std::nan(""), std::numeric_limits<double>::infinity()})
      t.bad(entry, "poincare_max_norm " + std::to_string(norm), "poincare_max_norm",
            [norm](Requests& r) { r.desc->poincare_max_norm = norm; });
  }
  t.bad(Entry::kEstimate, "peak_bytes NULL", "NULL", [](Requests& r) { r.peak_bytes = nullptr; });
  t.bad(Entry::kEstimate, "bytes misaligned", "misaligned",
        [](Requests& r) { r.bytes = misaligned(r.bytes); });
  t.fine(Entry::kEstimate, "the largest shape", [](Requests& r) {
    r.desc->capacity = int64_t{1} << 40;
    r.desc->dim = 65536;
  });
  t.bad(Entry::kCreate, "out NULL", "NULL", [](Requests& r) { r.index_out = nullptr; });
  t.answers(Entry::kCreate, "a memory limit of 1 byte", NF_RESOURCE_EXHAUSTED, "is 1 bytes",
            [](Requests& r) { r.desc->memory_limit = 1; });
}

void row_numbers(Table& t, Entry entry) {
  t.bad(entry, "row -1", "rows[1]=-1", [](Requests& r) { r.at.numbers[1] = -1; });
  t.bad(entry, "row 40 of 40", "rows[2]=40", [](Requests& r) { r.at.numbers[2] = kIndexRows; });
  t.bad(entry, "row 2^63-1", "holds 40 rows", [](Requests& r) { r.at.numbers[0] = kHuge; });
  if (entry == Entry::kSetLive) return;  // NULL: a range
  t.bad(entry, "rows NULL", "NULL", [](Requests& r) { r.numbers = nullptr; });
  t.bad(entry, "rows misaligned", "misaligned", [](Requests& r) { r.numbers = misaligned(r.numbers); });
}

void mutations(Table& t) {
  for (const Entry entry : {Entry::kInfo, Entry::kAdd, Entry::kReplace, Entry::kRead, Entry::kSetLive,
                            Entry::kCompact, Entry::kSearch, Entry::kScore}) {
    t.fine(entry, "as it should be", [](Requests&) {});
    t.bad(entry, "index NULL", "NULL", [](Requests& r) { r.index = nullptr; });
  }
  vectors(t, Entry::kAdd, "rows", &Requests::Storage::rows, "row");
  t.bad(Entry::kAdd, "first_row NULL", "NULL", [](Requests& r) { r.first_row = nullptr; });
  t.bad(Entry::kAdd, "first_row misaligned", "misaligned",
        [](Requests& r) { r.first_row = misaligned(r.first_row); });
  t.fine(Entry::kAdd, "no rows", [](Requests& r) {
    r.rows->rows = 0;
    r.rows->data = nullptr;
    r.rows->row_stride = 0;
  });
  t.unimplemented(Entry::kAdd, "unknown flags", "flags=0x3", [](Requests& r) { r.add->flags = 3; });
  t.fine(Entry::kAdd, "NF_HIDDEN", [](Requests& r) { r.add->flags = NF_HIDDEN; });
  vectors(t, Entry::kReplace, "data", &Requests::Storage::rows, "row");
  row_numbers(t, Entry::kReplace);
  t.bad(Entry::kReplace, "a row twice", "row 30 is named twice", [](Requests& r) { r.at.numbers[2] = 30; });
  vectors(t, Entry::kRead, "out", &Requests::Storage::out, "");
  row_numbers(t, Entry::kRead);
  t.fine(Entry::kRead, "a row twice", [](Requests& r) { r.at.numbers[2] = 30; });
  row_numbers(t, Entry::kSetLive);
  const Entry live = Entry::kSetLive;
  t.bad(live, "rows misaligned", "misaligned", [](Requests& r) { r.live->rows = misaligned(r.live->rows); });
  t.bad(live, "count -1", "count=-1", [](Requests& r) { r.live->count = -1; });
  t.bad(live, "count 2^63-1", "count=9223372036854775807", [](Requests& r) { r.live->count = kHuge; });
  t.bad(live, "live 2", "live=2", [](Requests& r) { r.live->live = 2; });
  t.bad(live, "live -1", "live=-1", [](Requests& r) { r.live->live = -1; });
  t.bad(live, "first of a list", "first=1", [](Requests& r) { r.live->first = 1; });
  t.fine(live, "no rows", [](Requests& r) { r.live->count = 0; });
  const auto range = [](Requests& r, int64_t first, int64_t count) {
    r.live->rows = nullptr;
    r.live->first = first;
    r.live->count = count;
  };
  t.fine(live, "all rows", [range](Requests& r) { range(r, 0, kIndexRows); });
  t.fine(live, "a range of no rows", [range](Requests& r) { range(r, kIndexRows, 0); });
  t.bad(live, "a range from -1", "first=-1", [range](Requests& r) { range(r, -1, 2); });
  t.bad(live, "a range from 2^63-1", "first=9223372036854775807",
        [range](Requests& r) { range(r, kHuge, 1); });
  t.bad(live, "a range past the end", "first=38", [range](Requests& r) { range(r, 38, 3); });
  t.bad(live, "a range of -1", "count=-1", [range](Requests& r) { range(r, 5, -1); });
  const Entry compact = Entry::kCompact;
  t.bad(compact, "new_row NULL", "NULL", [](Requests& r) { r.compact->new_row = nullptr; });
  t.bad(compact, "new_row misaligned", "misaligned",
        [](Requests& r) { r.compact->new_row = misaligned(r.compact->new_row); });
  t.bad(compact, "new_row_count -1", "new_row_count=-1", [](Requests& r) { r.compact->new_row_count = -1; });
  t.bad(compact, "new_row_count 2^63-1", "new_row_count=9223372036854775807",
        [](Requests& r) { r.compact->new_row_count = kHuge; });
  t.bad(compact, "budget -1", "budget_ns=-1", [](Requests& r) { r.step->budget_ns = -1; });
  t.unimplemented(compact, "flags", "flags=0x1", [](Requests& r) { r.compact->flags = 1; });
  t.bad(compact, "new_row_count 0", "new_row_count=0", [](Requests& r) { r.compact->new_row_count = 0; });
  t.fine(compact, "fewer numbers than rows", [](Requests& r) { r.compact->new_row_count = 7; });
  t.fine(compact, "more numbers than rows", [](Requests& r) { r.compact->new_row_count = kIndexRows + 8; });
  t.bad(compact, "position -1", "position=-1", [](Requests& r) { r.step->position = -1; });
  t.bad(compact, "position 2^63-1", "position=9223372036854775807",
        [](Requests& r) { r.step->position = kHuge; });
  t.fine(compact, "a position of no compaction", [](Requests& r) { r.step->position = 7; });
  t.bad(compact, "work of something else", "work", [](Requests& r) { r.step->work = &r; });
}

// How a call may end early, and the block that says so.
void calls(Table& t) {
  for (const Entry entry : {Entry::kDeviceCount, Entry::kCreate, Entry::kAdd, Entry::kCompact, Entry::kSearch,
                            Entry::kKnn, Entry::kKmeans, Entry::kAssign}) {
    t.fine(entry, "call NULL", [](Requests& r) { r.call = nullptr; });
    t.fine(entry, "call->error NULL", [](Requests& r) { r.call->error = nullptr; });
    t.fine(entry, "a time-out of centuries", [](Requests& r) { r.call->timeout_ns = kHuge; });
    t.fine(entry, "progress", [](Requests& r) { r.call->progress = r.at.progress; });
    t.bad(entry, "timeout_ns -1", "timeout_ns=-1", [](Requests& r) { r.call->timeout_ns = -1; });
    t.bad(entry, "cancel misaligned", "misaligned",
          [](Requests& r) { r.call->cancel = misaligned(r.call->cancel); });
    t.bad(entry, "progress misaligned", "misaligned",
          [](Requests& r) { r.call->progress = misaligned(r.at.progress); });
    t.unimplemented(entry, "call->flags", "flags=0x1", [](Requests& r) { r.call->flags = 1; });
    t.answers(entry, "cancelled before", NF_CANCELLED, "cancelled", [](Requests& r) { r.at.cancel = 1; });
    t.answers(entry, "a time-out of 1 ns", NF_DEADLINE_EXCEEDED, "1 ns",
              [](Requests& r) { r.call->timeout_ns = 1; });
  }
}

}  // namespace

std::vector<Line> value_lines() {
  Table table;
  contexts(table);
  descriptions(table);
  mutations(table);
  searches(table);
  clusterings(table);
  calls(table);
  return table.take();
}

}  // namespace nearfield_test
