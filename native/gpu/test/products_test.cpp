// SPDX-License-Identifier: Apache-2.0
// How the host divides a search by products of codes, over a queue that notes what it is asked for: every row
// is in one window, parts of a sample leave no gap, and the suite's cases of codes reach every branch that
// divides the work, with candidates that find room and with such that never do.
#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "case.hpp"
#include "gpu/device.hpp"
#include "metric.hpp"
#include "noting_queue.hpp"
#include "tile32.hpp"

namespace nearfield::gpu {
namespace {

using namespace test;
using SuiteCase = nearfield::test::Case;

struct Run {
  int64_t rows;
  std::map<uint32_t, uint32_t> groups_of_slabs;  // by first row
  std::vector<Submission> log;
};

class Searches {
 public:
  // `answer`: what every word says that is read back.
  Searches(const SuiteCase& c, uint32_t answer) : case_(c) {
    Limits limits;
    limits.binding_bytes = 16ull << 30;
    limits.slab_bytes = 1ull << 30;
    limits.lanes = limits.tile_rows = 128;
    limits.most_lists = 4096;
    limits.most_list_k = 2048;
    limits.sides_of_products = limits.codes = limits.coded_products = true;
    limits.most_coded_k = 32;
    DeviceOptions options;
    options.force_path = "coded-product";
    options.slab_bytes = c.tiny_slabs ? 1 : 0;
    ok(Context::create(std::make_unique<NotingQueue>(limits, FlatShape{8, 256, 1584}, &log_, answer), "test",
                       options, &context_));
    device_ = std::make_unique<GpuDevice>(context_);
    StoreOptions wanted;
    wanted.metric = c.metric;
    wanted.dim = c.dim;
    wanted.coded = true;
    ok(device_->create_store(wanted, &store_, call_));
  }

  void append(int64_t rows) {
    const std::vector<float> row(static_cast<size_t>(case_.dim), 0.5f / static_cast<float>(case_.dim));
    const std::vector<float> sides(static_cast<size_t>(rows),
                                   row_side(case_.metric, squared_norm(row.data(), case_.dim)));
    ok(store_->append({row.data(), rows, 0, sides.data()}, call_));
  }
  // Of the first slabs, as a training in steps leaves it.
  void recode_half() {
    auto basis = std::make_shared<Basis>();
    basis->dim = case_.dim;
    basis->level_dims = 16;
    basis->mean.assign(static_cast<size_t>(case_.dim), 0.25f);
    store_->set_basis(basis);
    int64_t left = 0;
    ok(store_->recode(store_->rows() / 2, &left, call_));
  }
  Run search() {
    log_.clear();
    const int64_t padded = padded_dim(case_.dim);
    const std::vector<float> queries(static_cast<size_t>(case_.batch * padded), 0.0f);
    std::vector<Hit> hits(static_cast<size_t>(case_.batch * case_.k));
    std::vector<int32_t> rescored(static_cast<size_t>(case_.batch));
    SearchPlan plan;
    plan.queries = queries.data();
    plan.query_stride = padded;
    plan.batch = case_.batch;
    plan.k = static_cast<int32_t>(case_.k);
    plan.hits = hits.data();
    plan.rescored = rescored.data();
    ok(store_->search(plan, call_));
    Run run{store_->rows(), {}, std::move(log_)};
    return run;
  }

 private:
  static void ok(const Status& status) { check(status.ok(), status.message()); }

  const SuiteCase case_;
  const Call call_{nullptr, "test"};
  std::vector<Submission> log_;
  std::shared_ptr<Context> context_;
  std::unique_ptr<GpuDevice> device_;
  std::unique_ptr<Store> store_;
};

// What holds for every search; notes which branches it took.
void judge(const std::string& what, const Run& run, std::map<std::string, int>* reached) {
  struct Slab {
    uint32_t next = 0, level_chunks = 0;  // groups up to here were in a window
  };
  std::map<uint32_t, Slab> slabs;
  std::set<uint32_t> level_chunks;
  uint32_t part_base = 0, windows = 0, passes = 0, flats = 0;
  std::set<uint32_t> sampled, rescored;
  bool window = false, coded = false;
  uint32_t coded_chunks = 0;  // of the basis that the queries are coded in
  const auto rows_seen = [&] {
    int64_t groups = 0;
    for (const auto& [first, slab] : slabs) groups += slab.next;
    return groups * kGroupRows;
  };
  for (const Submission& submission : run.log)
    for (const Noted& noted : submission) {
      if (noted.kernel == kFlat.name || noted.kernel == kMatrix.name) ++flats;
      if (noted.kernel == kCodedProduct.name) {
        const CodedProductParams& p = noted.product;
        check(coded || p.level_chunks == coded_chunks, what + ": queries in the basis of another slab");
        coded_chunks = p.level_chunks;
        coded = false;
        level_chunks.insert(p.level_chunks);
        const uint32_t shares = (p.tiles + p.tiles_per_workgroup - 1) / p.tiles_per_workgroup;
        check(p.workgroups == shares * p.query_tiles, what + ": workgroups");
        check(p.tiles > 0 && p.group_begin + (p.tiles - 1) * p.apart < p.group_end,
              what + ": a tile beyond the rows");
        if (p.query_tiles > 1) ++(*reached)["several tiles of queries"];
        if (p.is_sample != 0) {
          check(p.part_base == part_base && passes == 0, what + ": parts overlap or leave a gap");
          part_base += 2 * p.tiles;
          check(part_base <= p.part_stride && p.part_stride <= 3 * p.capacity,
                what + ": more parts than room");
          sampled.insert(p.first_row);
          if (p.tiles > 1) ++(*reached)["a sample of several tiles"];
          continue;
        }
        Slab& slab = slabs[p.first_row];
        check(p.group_begin == slab.next && p.group_end > p.group_begin, what + ": rows twice or not at all");
        check(p.group_begin + p.tiles * p.apart >= p.group_end, what + ": tiles do not reach the end");
        slab.next = p.group_end;
        window = true;
        if (shares > 1) ++(*reached)["several workgroups of tiles"];
      }
      coded = coded || noted.kernel == kCode.name;
      if (noted.kernel == kPrune.name) {
        if (noted.prune.parts != 0) {
          check(noted.prune.parts == part_base && noted.prune.parts >= noted.prune.k,
                what + ": another number of parts than there are");
          ++(*reached)["a sample"];
          if (sampled.size() > 1) ++(*reached)["a sample over several slabs"];
        } else {
          check(window, what + ": nothing to prune");
          window = false;
          ++windows;
        }
      }
      if (noted.kernel == kRescore.name && noted.matrix.slab_rows != 0 && !slabs.empty()) {
        check(!window, what + ": rescored before the last window was pruned");
        rescored.insert(noted.matrix.first_row);
        check((noted.matrix.first != 0) == (rescored.size() == 1), what + ": first");
        if (noted.matrix.goes_on != 0) continue;
        // The end of a scan.
        check(rescored.size() == slabs.size() && rows_seen() >= run.rows &&
                  rows_seen() < run.rows + static_cast<int64_t>(slabs.size()) * kGroupRows,
              what + ": not all rows");
        if (slabs.size() > 1) ++(*reached)["several slabs"];
        if (windows > 1) ++(*reached)["several windows"];
        if (++passes == 2) ++(*reached)["a second scan"];
        slabs.clear();
        rescored.clear();
        windows = 0;
      }
    }
  check(slabs.empty() && passes > 0, what + ": a scan without an end");
  if (level_chunks.size() > 1) ++(*reached)["slabs in two bases"];
  if (passes == 2 && flats > 0) ++(*reached)["rows for what found no room twice"];
}

void suite_reaches_all() {
  std::map<std::string, int> reached;
  for (const SuiteCase& c : nearfield::test::all_cases(nearfield::test::Effort::QUICK)) {
    if (c.test != "codes" || c.metric > NF_POINCARE) continue;
    for (const uint32_t answer : {0u, NEARFIELD_CUT_SHORT}) {
      const std::string what = c.name() + (answer != 0 ? ", no room" : "");
      Searches searches(c, answer);
      searches.append(c.rows * 2 / 3 + 1);
      judge(what, searches.search(), &reached);
      searches.append(c.rows - c.rows * 2 / 3 - 1);
      searches.recode_half();
      judge(what + ", half recoded", searches.search(), &reached);
    }
  }
  for (const char* branch :
       {"a sample", "a sample of several tiles", "a sample over several slabs", "several windows",
        "several slabs", "slabs in two bases", "several tiles of queries", "several workgroups of tiles",
        "a second scan", "rows for what found no room twice"}) {
    check(reached[branch] > 0, std::string("no case of the suite has ") + branch);
    std::printf("%s: %d\n", branch, reached[branch]);
  }
}

}  // namespace
}  // namespace nearfield::gpu

int main() {
  using namespace nearfield::gpu;
  suite_reaches_all();
  std::printf("%d passed, %d failed\n", test::passed, test::failed);
  return test::failed != 0;
}
