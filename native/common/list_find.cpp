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

// That a query with a recall target looks into first: the radius of k hits in fewer says little.
constexpr int32_t kFirstLists = 4;

class ListFinder {
 public:
  ListFinder(const Call& call, Context& context, Index& index, const QueryBatch& batch, int32_t k,
             const Found& found)
      : call_(call),
        work_(context.workspace()),
        target_(static_cast<int64_t>(context.workspace_target())),
        index_(index),
        listed_(*index.listed()),
        lists_(listed_.lists),
        coarse_(*listed_.coarse),
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
    int64_t number;                                  // of the batch
    size_t query;                                    // of the prepared ones
    int32_t until;                                   // lists that it has been through after this round
    double wanted = -1;                              // the estimate to go on to; below 0: none
    const uint32_t* mask = nullptr;                  // of places, as far as it is filled
    int32_t looked = 0;                              // lists that it has been through
    std::vector<Hit> order = {};                     // lists, nearest first, as many as are known
    std::vector<double> squared = {}, between = {};  // ListOrder
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
    const Probes& probes = *batch_.probes;
    const double wanted = listed_.recall.wanted(probes.target);
    for (size_t i = 0; i < numbers.size(); ++i) {
      const int64_t number = numbers[i];
      Walk walk{number, i, probes.of(number)};
      if (probes.has_target(number)) {
        walk.until =
            coarse_.has_distances() ? kFirstLists : listed_.recall.probes(probes.target, lists_.count());
        if (coarse_.has_distances()) walk.wanted = wanted;
      }
      walk.until = std::clamp(walk.until, 1, lists_.count());
      walks.push_back(std::move(walk));
      std::fill_n(found_.hits + number * k_, k_, Hit{});
      found_.rescored[number] = 0;
    }
    while (!walks.empty()) {
      NF_TRY(order_lists(walks));
      NF_TRY(look(walks));
      std::erase_if(walks, [&](Walk& walk) { return ends(walk); });
    }
    return {};
  }

  // Whether a query has found what it looked for; else it is told how far to go.
  bool ends(Walk& walk) {
    const int32_t all = lists_.count();
    const Hit& last = found_.hits[walk.number * k_ + k_ - 1];
    const bool is_full = last.row != kNoRow;
    double estimate = 1;
    const bool is_asked = found_.recall != nullptr || walk.wanted >= 0;
    if (is_asked && coarse_.has_distances() && walk.looked < all) {
      if (walk.squared.empty()) coarse_.distances(walk.order, &walk.squared, &walk.between);
      const double radius = is_full ? coarse_.distance(last.rank) : std::numeric_limits<double>::infinity();
      list_shares(listed_.recall.caps(), {walk.squared, walk.between}, radius, &shares_);
      estimate = 0;
      int32_t needed = 0;
      for (;
           needed < walk.looked || (estimate < walk.wanted && needed < static_cast<int32_t>(shares_.size()));
           ++needed) {
        if (needed == walk.looked) known_ = estimate;
        estimate += shares_[static_cast<size_t>(needed)];
      }
      if (needed == walk.looked) known_ = estimate;
      estimate = known_;
      walk.until = std::clamp(needed, walk.looked + 1, std::min(2 * walk.looked, all));
    }
    // Nothing is known of lists beyond the order.
    if (!is_full || static_cast<size_t>(walk.looked) >= walk.order.size())
      walk.until = static_cast<int32_t>(std::min<int64_t>(2 * int64_t{walk.looked}, all));
    const bool ends = walk.looked == all || (is_full && (walk.wanted < 0 || estimate >= walk.wanted));
    if (!ends) return false;
    if (found_.lists != nullptr) found_.lists[walk.number] = walk.looked;
    if (found_.recall != nullptr) {
      const double recall = walk.looked == all        ? 1
                            : coarse_.has_distances() ? listed_.recall.expected(estimate)
                                                      : listed_.recall.expected_of(walk.looked);
      found_.recall[walk.number] = static_cast<float>(recall);
    }
    return true;
  }

  // The lists that the walks of this round go to.
  Status order_lists(std::vector<Walk>& walks) {
    int32_t width = 0;
    std::vector<Walk*> some;
    for (Walk& walk : walks) {
      if (static_cast<size_t>(walk.until) <= walk.order.size()) continue;
      some.push_back(&walk);
      width = std::max(width, walk.until);
      if (coarse_.has_distances() && (walk.wanted >= 0 || found_.recall != nullptr))
        width = std::max(width, recall_candidates(lists_.count()));
    }
    if (some.empty()) return {};
    const int64_t stride = padded_dim(index_.dim());
    std::vector<float> queries;
    queries.reserve(some.size() * static_cast<size_t>(stride));
    for (const Walk* walk : some) {
      const float* from = work_.queries.data() + static_cast<int64_t>(walk->query) * stride;
      queries.insert(queries.end(), from, from + stride);
    }
    std::vector<Hit> order(some.size() * static_cast<size_t>(width));
    NF_TRY(coarse_.nearest(call_, queries.data(), stride, static_cast<int64_t>(some.size()), width,
                           order.data()));
    for (size_t i = 0; i < some.size(); ++i) {
      const auto from = order.begin() + static_cast<ptrdiff_t>(i) * width;
      some[i]->order.assign(from, from + width);
      some[i]->squared.clear();
    }
    return {};
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
        const auto list = static_cast<int32_t>(walk.order[static_cast<size_t>(at)].row);
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
  const ListedRows& listed_;
  const Lists& lists_;
  CoarseQuantizer& coarse_;
  const QueryBatch& batch_;
  const int32_t k_;
  const Found found_;
  std::vector<double> shares_;
  double known_ = 0;
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
