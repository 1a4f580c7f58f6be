// SPDX-License-Identifier: Apache-2.0
// The best rows of a batch: queries whose filter keeps few rows are gathered, all others are scanned.
#include <algorithm>
#include <span>
#include <vector>

#include "metric.hpp"
#include "search.hpp"

namespace nearfield {
namespace {

// A filter is gathered when it keeps at most one row in 32 and no more than 16,384.
//  - Below one row per group, a scan reads 32 rows of each group it touches; a gather reads 4 (a cache line
//  of
//    64 bytes holds a chunk of 4 rows): 8 times less.
//  - 16,384 ranks are 64 KiB per query on the way back from a device, and about 50 us of selection on the
//  host;
//    from there on a scan that selects where the ranks arise is the better half.
constexpr int64_t kGatherShare = kGroupRows;
constexpr int64_t kGatherRows = 16384;
// Of an index of codes alone: each row would be decoded once for each query, in the time of a group of a
// scan.
constexpr int64_t kGatherDecoded = 64;

class Finder {
 public:
  Finder(const Call& call, Context& context, Index& index, const QueryBatch& batch, int32_t k,
         const Found& found)
      : call_(call),
        context_(context),
        work_(context.workspace()),
        target_(static_cast<int64_t>(context.workspace_target())),
        index_(index),
        batch_(batch),
        k_(k),
        found_(found) {}

  Status run() {
    std::vector<int64_t> scanned, gathered;
    NF_TRY(split(&scanned, &gathered));
    if (index_.listed() != nullptr && batch_.probes != nullptr) {
      if (!scanned.empty()) NF_TRY(find_in_lists(call_, context_, index_, batch_, scanned, k_, found_));
      scanned.clear();
    }
    for (auto rest = std::span<const int64_t>(scanned); !rest.empty();) {
      const size_t taken = scan_batch_size(rest);
      NF_TRY(scan(rest.first(taken)));
      rest = rest.subspan(taken);
    }
    for (auto rest = std::span<const int64_t>(gathered); !rest.empty();) {
      const size_t taken = gather_batch_size(rest);
      NF_TRY(gather(rest.first(taken)));
      rest = rest.subspan(taken);
    }
    return {};
  }

 private:
  // Query numbers by the way they are answered, those of one filter together.
  Status split(std::vector<int64_t>* scanned, std::vector<int64_t>* gathered) {
    constexpr int64_t kUnknown = -1;
    kept_.assign(batch_.filters.size(), kUnknown);
    const int64_t sparse =
        std::min(index_.rows() / kGatherShare, index_.options().drop_rows ? kGatherDecoded : kGatherRows);
    for (int64_t query = 0; query < batch_.queries.rows; ++query) {
      const int32_t filter = batch_.filter_of(query);
      bool few = false;
      if (filter >= 0) {
        int64_t& kept = kept_[static_cast<size_t>(filter)];
        if (kept == kUnknown) {
          NF_TRY(call_.poll());  // a count of 100 million rows takes milliseconds
          kept = filter_at(filter).count(index_.live());
        }
        few = kept <= sparse;
      }
      (few ? gathered : scanned)->push_back(query);
    }
    if (batch_.filters.size() < 2) return {};
    const auto by_filter = [this](int64_t a, int64_t b) { return batch_.filter_of(a) < batch_.filter_of(b); };
    std::stable_sort(scanned->begin(), scanned->end(), by_filter);
    std::stable_sort(gathered->begin(), gathered->end(), by_filter);
    return {};
  }

  const RowFilter& filter_at(int32_t filter) const { return batch_.filters[static_cast<size_t>(filter)]; }

  // True when the kernel needs words that the caller's filter does not have.
  bool needs_mask(int32_t filter) const {
    return filter >= 0 && !filter_at(filter).keeps_all() &&
           (index_.listed() != nullptr || filter_at(filter).whole_mask(index_.live()) == nullptr);
  }

  int64_t query_bytes() const {
    return padded_dim(index_.dim()) * static_cast<int64_t>(sizeof(float)) +
           k_ * static_cast<int64_t>(sizeof(Hit));
  }

  size_t scan_batch_size(std::span<const int64_t> numbers) const {
    const int64_t mask_bytes = index_.mask_words() * static_cast<int64_t>(sizeof(uint32_t));
    int64_t bytes = 0;
    int32_t last = -1;
    for (size_t i = 0; i < numbers.size(); ++i) {
      const int32_t filter = batch_.filter_of(numbers[i]);
      bytes += query_bytes() + (filter != last && needs_mask(filter) ? mask_bytes : 0);
      if (i > 0 && bytes > target_) return i;
      last = filter;
    }
    return numbers.size();
  }

  // One mask pointer per query; queries of one filter share it.
  Status fill_masks(std::span<const int64_t> numbers, std::vector<const uint32_t*>* masks) {
    const auto words = static_cast<size_t>(index_.mask_words());
    size_t made = 0;
    int32_t last = -1;
    for (const int64_t number : numbers) {
      const int32_t filter = batch_.filter_of(number);
      made += filter != last && needs_mask(filter) ? 1 : 0;
      last = filter;
    }
    work_.masks.resize(made * words);
    uint32_t* next = work_.masks.data();
    const uint32_t* mask = nullptr;
    last = -1;
    for (const int64_t number : numbers) {
      const int32_t filter = batch_.filter_of(number);
      if (filter != last) {
        mask = nullptr;
        if (needs_mask(filter)) {
          NF_TRY(call_.poll());
          fill_mask(filter_at(filter), next);
          mask = next;
          next += words;
        } else if (filter >= 0) {
          mask = filter_at(filter).whole_mask(index_.live());
        }
        last = filter;
      }
      masks->push_back(mask);
    }
    return {};
  }

  // All words of it.
  void fill_mask(const RowFilter& filter, uint32_t* words) {
    if (index_.listed() == nullptr) return filter.fill_mask(index_.live(), words);
    const uint32_t* of_numbers = filter.mask(index_.live(), &work_.number_mask);
    index_.fill_mask(of_numbers, {0, index_.mask_words()}, words);
  }

  Status scan(std::span<const int64_t> numbers) {
    NF_TRY(call_.poll());
    const auto count = static_cast<int64_t>(numbers.size());
    const bool consecutive =
        numbers.back() - numbers.front() + 1 == count && std::is_sorted(numbers.begin(), numbers.end());
    prepare_queries(index_.metric(), batch_.queries, batch_.squared, numbers, &work_.queries);
    work_.batch_rescored.assign(numbers.size(), 0);
    work_.batch_certified.assign(batch_.cap != 0 ? numbers.size() : 0, 1);
    if (!consecutive) work_.batch_hits.resize(numbers.size() * static_cast<size_t>(k_));
    std::vector<const uint32_t*> masks;
    if (!batch_.filters.empty()) NF_TRY(fill_masks(numbers, &masks));

    SearchPlan plan;
    plan.queries = work_.queries.data();
    plan.query_stride = padded_dim(index_.dim());
    plan.batch = count;
    plan.k = k_;
    const bool masked =
        std::any_of(masks.begin(), masks.end(), [](const uint32_t* m) { return m != nullptr; });
    plan.mask_of_query = masked ? masks.data() : nullptr;
    std::vector<float> limits;
    if (batch_.limits != nullptr)
      for (const int64_t number : numbers) limits.push_back(batch_.limits[number]);
    plan.limits = limits.empty() ? nullptr : limits.data();
    plan.hits = consecutive ? hits_of(numbers.front()) : work_.batch_hits.data();
    plan.rescored = work_.batch_rescored.data();
    plan.cap = batch_.cap;
    index_.name_places(&plan);
    plan.certified = batch_.cap != 0 ? work_.batch_certified.data() : nullptr;
    plan.scanned = found_.scanned;
    NF_TRY(index_.store().search(plan, call_));
    for (size_t i = 0; i < numbers.size(); ++i) {
      found_.rescored[numbers[i]] = work_.batch_rescored[i];
      if (batch_.cap != 0) found_.certified[numbers[i]] = work_.batch_certified[i];
      if (!consecutive) std::copy_n(plan.hits + static_cast<int64_t>(i) * k_, k_, hits_of(numbers[i]));
    }
    return {};
  }

  size_t gather_batch_size(std::span<const int64_t> numbers) const {
    constexpr int64_t kRowBytes = sizeof(int64_t) + sizeof(float);
    int64_t bytes = 0;
    for (size_t i = 0; i < numbers.size(); ++i) {
      bytes += query_bytes() + kept_[static_cast<size_t>(batch_.filter_of(numbers[i]))] * kRowBytes;
      if (i > 0 && bytes > target_) return i;
    }
    return numbers.size();
  }

  Status gather(std::span<const int64_t> numbers) {
    NF_TRY(call_.poll());
    work_.rows.clear();
    work_.offsets.assign(1, 0);
    int32_t last = -1;
    for (const int64_t number : numbers) {
      const int32_t filter = batch_.filter_of(number);
      const size_t end = work_.rows.size();
      if (filter != last) {
        filter_at(filter).append_rows(index_.live(), &work_.rows);
      } else {
        const auto again = static_cast<size_t>(kept_[static_cast<size_t>(filter)]);
        work_.rows.resize(end + again);
        std::copy_n(work_.rows.begin() + static_cast<ptrdiff_t>(end - again), again,
                    work_.rows.begin() + static_cast<ptrdiff_t>(end));
      }
      work_.offsets.push_back(static_cast<int64_t>(work_.rows.size()));
      last = filter;
    }
    work_.ranks.resize(work_.rows.size());
    const std::span<const int64_t> places = index_.places(work_.rows, &work_.places);
    prepare_queries(index_.metric(), batch_.queries, batch_.squared, numbers, &work_.queries);
    if (!work_.rows.empty()) {
      ScorePlan plan;
      plan.queries = work_.queries.data();
      plan.query_stride = padded_dim(index_.dim());
      plan.batch = static_cast<int64_t>(numbers.size());
      plan.offsets = work_.offsets.data();
      plan.rows = places.data();
      plan.ranks = work_.ranks.data();
      NF_TRY(index_.store().score(plan, call_));
    }
    for (size_t i = 0; i < numbers.size(); ++i) select(numbers[i], work_.offsets[i], work_.offsets[i + 1]);
    return {};
  }

  void select(int64_t number, int64_t begin, int64_t end) {
    work_.candidates.clear();
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      work_.candidates.push_back({work_.rows[i], work_.ranks[i], 0});
    const int64_t found = std::min<int64_t>(k_, end - begin);
    std::partial_sort(work_.candidates.begin(), work_.candidates.begin() + found, work_.candidates.end(),
                      better);
    std::fill_n(std::copy_n(work_.candidates.begin(), found, hits_of(number)), k_ - found, Hit{});
    found_.rescored[number] = 0;
    if (batch_.cap != 0) found_.certified[number] = 1;  // every row that the filter keeps is looked at
  }

  Hit* hits_of(int64_t query) const { return found_.hits + query * k_; }

  const Call& call_;
  Context& context_;
  Workspace& work_;
  const int64_t target_;  // bytes of workspace that a batch aims at
  Index& index_;
  const QueryBatch& batch_;
  const int32_t k_;
  const Found found_;
  std::vector<int64_t> kept_;  // live rows per filter in use
};

}  // namespace

Status find_hits(const Call& call, Context& context, Index& index, const QueryBatch& batch, int32_t k,
                 const Found& found) {
  return Finder(call, context, index, batch, k, found).run();
}

void prepare_queries(int32_t metric, const MatrixView& queries, const double* squared,
                     std::span<const int64_t> numbers, std::vector<float>* to) {
  const auto stride = static_cast<size_t>(padded_dim(queries.cols));
  to->assign(numbers.size() * stride, 0.0f);
  for (size_t i = 0; i < numbers.size(); ++i)
    prepare_query(metric, queries.row(numbers[i]), queries.cols, squared[numbers[i]],
                  to->data() + i * stride);
}

}  // namespace nearfield
