// SPDX-License-Identifier: Apache-2.0
// The best rows of a batch among those of a few lists: the lists of each query in the order of their
// centroids, in rounds, so that the device meets all queries of a round at once.
#include <algorithm>
#include <limits>
#include <vector>

#include "metric.hpp"
#include "search.hpp"

namespace nearfield {
namespace {

class ListFinder {
 public:
  ListFinder(const Call& call, Context& context, Index& index, const QueryBatch& batch, int32_t k,
             const Found& found)
      : call_(call),
        work_(context.workspace()),
        target_(static_cast<int64_t>(context.workspace_target())),
        index_(index),
        lists_(index.listed()->lists),
        coarse_(*index.listed()->coarse),
        batch_(batch),
        k_(k),
        found_(found) {}

  Status run(std::span<const int64_t> numbers) {
    for (auto rest = numbers; !rest.empty();) {
      const size_t taken = batch_size(rest);
      NF_TRY(find(rest.first(taken)));
      rest = rest.subspan(taken);
    }
    return {};
  }

 private:
  // A query on its way through its lists.
  struct Walk {
    int64_t number;        // of the batch
    size_t query;          // of the prepared ones
    const uint32_t* mask;  // of places, as far as it is filled
    int32_t looked = 0;    // lists that it has been through
    int32_t until = 0;     // ... after this round
  };

  size_t batch_size(std::span<const int64_t> numbers) const {
    const int64_t mask_bytes = index_.mask_words() * static_cast<int64_t>(sizeof(uint32_t));
    const int64_t query_bytes = padded_dim(index_.dim()) * static_cast<int64_t>(sizeof(float)) +
                                (2 * k_ + lists_.count() / 4) * static_cast<int64_t>(sizeof(Hit));
    int64_t bytes = 0;
    int32_t last = -1;
    for (size_t i = 0; i < numbers.size(); ++i) {
      const int32_t filter = batch_.filter_of(numbers[i]);
      bytes += query_bytes + (filter != last && filter >= 0 ? mask_bytes : 0);
      if (i > 0 && bytes > target_) return i;
      last = filter;
    }
    return numbers.size();
  }

  Status find(std::span<const int64_t> numbers) {
    NF_TRY(call_.poll());
    prepare_queries(index_.metric(), batch_.queries, batch_.squared, numbers, &work_.queries);
    std::vector<Walk> walks;
    masks_.clear();
    for (size_t i = 0; i < numbers.size(); ++i) {
      const int64_t number = numbers[i];
      walks.push_back({number, i, nullptr, 0, std::clamp(batch_.probes->of(number), 1, lists_.count())});
      std::fill_n(found_.hits + number * k_, k_, Hit{});
      found_.rescored[number] = 0;
    }
    while (!walks.empty()) {
      NF_TRY(order_lists(walks));
      NF_TRY(look(walks));
      std::erase_if(walks, [&](const Walk& walk) {
        const bool is_full = found_.hits[walk.number * k_ + k_ - 1].row != kNoRow;
        if (found_.lists != nullptr) found_.lists[walk.number] = walk.looked;
        return is_full || walk.looked == lists_.count();
      });
      for (Walk& walk : walks)
        walk.until = static_cast<int32_t>(std::min<int64_t>(2 * int64_t{walk.looked}, lists_.count()));
    }
    return {};
  }

  // The lists of each walk, as many as any of this round goes to.
  Status order_lists(const std::vector<Walk>& walks) {
    most_ = 0;
    for (const Walk& walk : walks) most_ = std::max(most_, walk.until);
    const int64_t stride = padded_dim(index_.dim());
    const float* queries = work_.queries.data();
    if (walks.size() * static_cast<size_t>(stride) != work_.queries.size()) {
      some_.clear();
      for (const Walk& walk : walks)
        some_.insert(some_.end(), queries + static_cast<int64_t>(walk.query) * stride,
                     queries + static_cast<int64_t>(walk.query + 1) * stride);
      queries = some_.data();
    }
    order_.assign(walks.size() * static_cast<size_t>(most_), Hit{});
    return coarse_.nearest(call_, queries, stride, static_cast<int64_t>(walks.size()), most_, order_.data());
  }

  // One round.
  Status look(std::vector<Walk>& walks) {
    run_offsets_.assign(1, 0);
    runs_.clear();
    std::vector<const uint32_t*> masks;
    bool masked = false;
    const auto k = static_cast<size_t>(k_);
    std::vector<float> limits;
    const int64_t stride = padded_dim(index_.dim());
    std::vector<float> queries;
    queries.reserve(walks.size() * static_cast<size_t>(stride));
    for (size_t i = 0; i < walks.size(); ++i) {
      Walk& walk = walks[i];
      const size_t first = runs_.size();
      for (int32_t at = walk.looked; at < walk.until; ++at) {
        const auto list =
            static_cast<int32_t>(order_[i * static_cast<size_t>(most_) + static_cast<size_t>(at)].row);
        for (const GroupRun& run : lists_.runs(list)) runs_.push_back(run);
      }
      walk.looked = walk.until;
      run_offsets_.push_back(static_cast<int64_t>(runs_.size()));
      NF_TRY(mask(walk, std::span<const GroupRun>(runs_).subspan(first)));
      masks.push_back(walk.mask);
      masked = masked || walk.mask != nullptr;
      const Hit& last = found_.hits[walk.number * k_ + k_ - 1];
      float limit = last.row != kNoRow ? last.rank : std::numeric_limits<float>::infinity();
      if (batch_.limits != nullptr) limit = std::min(limit, batch_.limits[walk.number]);
      limits.push_back(limit);
      const float* from = work_.queries.data() + static_cast<int64_t>(walk.query) * stride;
      queries.insert(queries.end(), from, from + stride);
    }
    std::vector<Hit> added(walks.size() * k);
    std::vector<int32_t> rescored(walks.size());
    std::vector<uint8_t> certified(batch_.cap != 0 ? walks.size() : 0, 1);
    SearchPlan plan;
    plan.queries = queries.data();
    plan.query_stride = stride;
    plan.batch = static_cast<int64_t>(walks.size());
    plan.k = k_;
    plan.mask_of_query = masked ? masks.data() : nullptr;
    const bool limited = std::any_of(limits.begin(), limits.end(), [](float limit) {
      return limit != std::numeric_limits<float>::infinity();
    });
    plan.limits = limited ? limits.data() : nullptr;
    plan.run_offsets = run_offsets_.data();
    plan.runs = runs_.data();
    index_.name_places(&plan);
    plan.hits = added.data();
    plan.rescored = rescored.data();
    plan.cap = batch_.cap;
    plan.certified = batch_.cap != 0 ? certified.data() : nullptr;
    plan.scanned = found_.scanned;
    if (!runs_.empty()) NF_TRY(index_.store().search(plan, call_));
    for (size_t i = 0; i < walks.size(); ++i) {
      const int64_t number = walks[i].number;
      merge_hits(1, added.data() + i * k, k_, 0, found_.hits + number * k_, k_);
      found_.rescored[number] += rescored[i];
      if (batch_.cap != 0) found_.certified[number] &= certified[i];
    }
    return {};
  }

  // The words of a query's mask for these groups. Queries of one filter share a mask.
  Status mask(Walk& walk, std::span<const GroupRun> runs) {
    const int32_t filter = batch_.filter_of(walk.number);
    if (filter < 0 || batch_.filters[static_cast<size_t>(filter)].keeps_all()) return {};
    auto known =
        std::find_if(masks_.begin(), masks_.end(), [&](const Mask& m) { return m.filter == filter; });
    if (known == masks_.end()) {
      NF_TRY(call_.poll());
      masks_.emplace_back();
      known = masks_.end() - 1;
      known->filter = filter;
      known->words.resize(static_cast<size_t>(index_.mask_words()));
      const RowFilter& kept = batch_.filters[static_cast<size_t>(filter)];
      known->numbers = kept.whole_mask(index_.live());
      if (known->numbers == nullptr) {
        known->own.resize(static_cast<size_t>(index_.live().word_count()));
        kept.fill_mask(index_.live(), known->own.data());
        known->numbers = known->own.data();
      }
    }
    for (const GroupRun& run : runs) index_.fill_mask(known->numbers, run, known->words.data());
    walk.mask = known->words.data();
    return {};
  }

  struct Mask {
    int32_t filter;
    const uint32_t* numbers;  // of row numbers
    std::vector<uint32_t> own, words;
  };

  const Call& call_;
  Workspace& work_;
  const int64_t target_;  // bytes of workspace that a batch aims at
  Index& index_;
  const Lists& lists_;
  CoarseQuantizer& coarse_;
  const QueryBatch& batch_;
  const int32_t k_;
  const Found found_;
  int32_t most_ = 0;
  std::vector<Hit> order_;  // most_ per walk: lists
  std::vector<float> some_;
  std::vector<Mask> masks_;
  std::vector<int64_t> run_offsets_;
  std::vector<GroupRun> runs_;
};

}  // namespace

Status find_in_lists(const Call& call, Context& context, Index& index, const QueryBatch& batch,
                     std::span<const int64_t> numbers, int32_t k, const Found& found) {
  return ListFinder(call, context, index, batch, k, found).run(numbers);
}

}  // namespace nearfield
