// SPDX-License-Identifier: Apache-2.0
#include "nearest.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

namespace nearfield::cpu {

namespace {
constexpr float kNone = std::numeric_limits<float>::infinity();
// From half a tile on one worker is as fast by codes as several are by floats. Fewer rows are as soon
// compared as their codes.
constexpr int64_t kLeastQueries = KeptCodes::kTileQueries / 2, kLeastRows = 128;
// Packed codes that stay in a cache which the workers share.
constexpr int64_t kMostPacked = int64_t{16} << 20;
// When most queries of a tile keep too many rows of a group, as many groups go without codes
// (coded_scan.cpp).
constexpr int32_t kUncodedGroups = 15;
// Products between polls, as in scan.cpp.
constexpr int64_t kPollProducts = int64_t{1} << 20;

int64_t packed_bytes_of_group(const SharedState& state, const CodedBasis& basis) {
  return packed_dims(state.codes->packed_dims, basis.shape().coded_dim()) * kGroupRows;
}
}  // namespace

// What one worker knows of the tile it is at.
class NearestTile {
 public:
  explicit NearestTile(NearestSearch& search)
      : search_(search),
        state_(search.state_),
        plan_(search.plan_),
        metric_(search.store_.options().metric),
        chunks_(search.store_.chunks()),
        work_(*search.state_.codes) {}

  Status run(int64_t first) {
    first_ = first;
    queries_ = std::min(KeptCodes::kTileQueries, plan_.batch - first);
    const int64_t widest = state_.codes->panel_queries;
    panels_ = {queries_, (queries_ + widest - 1) / widest};
    rescored_.assign(static_cast<size_t>(queries_), 0);
    if (search_.by_codes()) NF_TRY(code());
    begin();
    for (const NearestSearch::Group& group : search_.groups_) {
      if (state_.pool->stopping()) return {};
      // What has no limit meets one group as it is.
      const bool limited = plan_.limits != nullptr || &group != search_.groups_.data();
      const bool coded = search_.by_codes() && limited && uncoded_groups_ == 0;
      uncoded_groups_ = std::max(0, uncoded_groups_ - 1);
      NF_TRY(coded ? product(group) : compare_all(group));
    }
    for (int64_t i = 0; i < queries_; ++i) {
      const Hit& best = best_[static_cast<size_t>(i)];
      plan_.hits[first_ + i] = best.row == kUnmet ? Hit{} : best;
      if (plan_.rescored != nullptr) plan_.rescored[first_ + i] = rescored_[static_cast<size_t>(i)];
    }
    return {};
  }

 private:
  // Behind every row: a hit at the limit itself is better.
  static constexpr int64_t kUnmet = std::numeric_limits<int64_t>::max();

  const float* query(int64_t i) const { return plan_.queries + (first_ + i) * plan_.query_stride; }

  Status poll(int64_t products) {
    unpolled_ += products;
    if (unpolled_ < kPollProducts) return {};
    unpolled_ = 0;
    return search_.call_.poll();
  }

  Status code() {
    coded_ = search_.kept_ != nullptr ? &search_.kept_->tile(plan_.kept_first + first_) : &own_;
    if (search_.kept_ != nullptr && coded_->is_of(search_.basis_, queries_)) return {};
    coded_->reset(metric_, search_.basis_, queries_);
    const int64_t floats = chunks_ * kChunkFloats;
    for (int64_t i = 0; i < queries_; i += kRotatedAtOnce) {
      const auto count = static_cast<int32_t>(std::min<int64_t>(kRotatedAtOnce, queries_ - i));
      coded_->code(i, count, query(i), plan_.query_stride, 1, *state_.codes);
      NF_TRY(poll(count * floats * (search_.basis_->shape().rotation != nullptr ? floats : 1)));
    }
    coded_->copy_into_panels(panels_, state_.codes->packed_dims);
    if (search_.kept_ != nullptr) coded_->keep_panels_alone();
    return {};
  }

  void begin() {
    const auto size = static_cast<size_t>(queries_);
    best_.resize(size);
    for (int64_t i = 0; i < queries_; ++i)
      best_[static_cast<size_t>(i)] = {kUnmet, plan_.limits != nullptr ? plan_.limits[first_ + i] : kNone, 0};
    if (!search_.by_codes()) return;
    tests_.resize(size);
    product_tests_.resize(size);
    const CodeBound& bound = search_.basis_->bound();
    for (int64_t i = 0; i < queries_; ++i) {
      const auto at = static_cast<size_t>(i);
      const CodedQuery& query = coded_->query(i);
      tests_[at] = bound.test(query, query.direct ? kNone : best_[at].rank);
      product_tests_[at] = coded_->product_test(i, tests_[at]);
    }
  }

  void take(int64_t i, const Hit& hit) {
    const auto at = static_cast<size_t>(i);
    if (!better(hit, best_[at])) return;
    const bool nearer = hit.rank < best_[at].rank;
    best_[at] = hit;
    if (!nearer || !search_.by_codes()) return;
    const CodedQuery& query = coded_->query(i);
    if (query.direct) return;
    search_.basis_->bound().set_limit(query, hit.rank, &tests_[at]);
    product_tests_[at] = coded_->product_test(i, tests_[at]);
  }

  Status product(const NearestSearch::Group& group) {
    const int64_t step = std::max<int64_t>(1, kQueriesPerCall / panels_.widest());
    int64_t hopeless = 0;
    for (int64_t panel = 0; panel < panels_.count; panel += step) {
      const int64_t end = std::min(panel + step, panels_.count);
      const int64_t first = panels_.first_query(panel), last = panels_.first_query(end);
      uint32_t kept[kQueriesPerCall];
      CodedProductTile tile;
      tile.shape = &search_.basis_->shape();
      tile.codes = group.codes;
      tile.sides = group.sides;
      tile.panels = coded_->panel(first);
      tile.bias = coded_->product_bias(first);
      tile.panel_count = static_cast<int32_t>(end - panel);
      tile.panel_queries = static_cast<int32_t>(panels_.narrow());
      tile.wider_panels = static_cast<int32_t>(std::clamp<int64_t>(panels_.wider() - panel, 0, end - panel));
      tile.tests = product_tests_.data() + first;
      tile.dot = metric_ == NF_DOT;
      tile.shrink = coded_->product_shrink();
      tile.widen = CodedQueries::kProductWiden;
      tile.kept = kept;
      state_.codes->product(tile);
      int32_t again[kQueriesPerCall], count = 0;
      for (int64_t i = first; i < last; ++i) {
        const uint32_t rows = kept[i - first] & group.live;
        if (rows == 0) continue;
        rescored_[static_cast<size_t>(i)] += std::popcount(rows);
        if (std::popcount(rows) > kScatteredRescore)
          again[count++] = static_cast<int32_t>(i);
        else
          keep(group, i, rows);
      }
      if (count != 0) compare(group, again, count);
      hopeless += count;
      NF_TRY(poll((last - first) * chunks_ * kChunkFloats * kGroupRows / 2));
    }
    if (pair_count_ != 0) compare_pairs();
    if (2 * hopeless > queries_) uncoded_groups_ = kUncodedGroups;
    return {};
  }

  // Rows of a group, few, to be ranked one by one.
  void keep(const NearestSearch::Group& group, int64_t i, uint32_t rows) {
    for (; rows != 0; rows &= rows - 1) {
      if (pair_count_ == kPairs) compare_pairs();
      const int row = std::countr_zero(rows);
      const int64_t at = pair_count_++;
      pair_queries_[at] = query(i);
      pair_rows_[at] = group.rows + row * kChunkFloats;
      pair_sides_[at] = group.side[row];
      pair_query_[at] = i;
      pair_row_[at] = group.first_row + row;
    }
  }

  void compare_pairs() {
    float ranks[kPairs];
    state_.kernels->pairs[metric_ - 1]({pair_queries_, pair_rows_, pair_sides_, pair_count_, chunks_, ranks});
    for (int64_t i = 0; i < pair_count_; ++i) take(pair_query_[i], {pair_row_[i], ranks[i], 0});
    pair_count_ = 0;
  }

  Status compare_all(const NearestSearch::Group& group) {
    for (int64_t from = 0; from < queries_; from += kQueriesPerCall) {
      int32_t numbers[kQueriesPerCall];
      const auto count = static_cast<int32_t>(std::min<int64_t>(kQueriesPerCall, queries_ - from));
      for (int32_t i = 0; i < count; ++i) numbers[i] = static_cast<int32_t>(from) + i;
      compare(group, numbers, count);
      NF_TRY(poll(count * chunks_ * kChunkFloats * kGroupRows));
    }
    return {};
  }

  void compare(const NearestSearch::Group& group, const int32_t* numbers, int32_t count) {
    const float* vectors[kQueriesPerCall];
    float limits[kQueriesPerCall], ranks[kQueriesPerCall * kGroupRows];
    uint32_t kept[kQueriesPerCall];
    for (int32_t i = 0; i < count; ++i) {
      vectors[i] = query(numbers[i]);
      limits[i] = best_[static_cast<size_t>(numbers[i])].rank;
    }
    DirectTile tile{group.rows, group.side, chunks_, vectors, count, limits};
    tile.ranks = ranks;
    tile.kept = kept;
    state_.kernels->direct[metric_ - 1](tile);
    for (int32_t i = 0; i < count; ++i) {
      Hit best{kUnmet, kNone, 0};
      for (uint32_t rows = kept[i] & group.live; rows != 0; rows &= rows - 1) {
        const int row = std::countr_zero(rows);
        const Hit hit{group.first_row + row, ranks[i * kGroupRows + row], 0};
        if (better(hit, best)) best = hit;
      }
      if (best.row != kUnmet) take(numbers[i], best);
    }
  }

  NearestSearch& search_;
  SharedState& state_;
  const SearchPlan& plan_;
  const int32_t metric_;
  const int64_t chunks_;
  const ProductWork work_;
  int64_t first_ = 0, queries_ = 0, unpolled_ = 0;
  Panels panels_;
  CodedQueries own_;
  CodedQueries* coded_ = nullptr;
  std::vector<Hit> best_;  // whose rank is the limit
  std::vector<CodeTest> tests_;
  std::vector<ProductTest> product_tests_;
  std::vector<int32_t> rescored_;
  static constexpr int64_t kPairs = 64;
  const float *pair_queries_[kPairs], *pair_rows_[kPairs];
  float pair_sides_[kPairs];
  int64_t pair_query_[kPairs], pair_row_[kPairs];
  int64_t pair_count_ = 0;
  int32_t uncoded_groups_ = 0;  // to come
};

namespace {
// In which all rows are coded; NULL where it is not one, or where codes do not pay.
CodedBasisPtr basis_of(const SharedState& shared, const CpuStore& store) {
  if (!store.options().coded || store.rows() < kLeastRows ||
      !(shared.codes->product_pays || shared.codes_always))
    return nullptr;
  CodedBasisPtr basis = store.slabs().front().codes.basis;
  for (const Slab& slab : store.slabs())
    if (slab.first < store.rows() && slab.codes.basis != basis) return nullptr;
  return groups_of(store.rows()) * packed_bytes_of_group(shared, *basis) <= kMostPacked ? basis : nullptr;
}
}  // namespace

bool NearestSearch::serves(const SharedState& shared, const CpuStore& store, const SearchPlan& plan) {
  return store.has_rows() && plan.k == 1 && plan.cap == 0 && plan.mask_of_query == nullptr &&
         plan.batch >= kLeastQueries && !shared.workspace_limit_given &&
         (store.rows() < kLeastRows || basis_of(shared, store) != nullptr);
}

NearestSearch::NearestSearch(SharedState& shared, const CpuStore& store, const SearchPlan& plan,
                             const Call& call)
    : state_(shared), store_(store), plan_(plan), call_(call), basis_(basis_of(shared, store)) {}

void NearestSearch::pack() {
  const int64_t bytes = by_codes() ? packed_bytes_of_group(state_, *basis_) : 0,
                groups = groups_of(store_.rows());
  packed_.fit(groups * bytes / static_cast<int64_t>(sizeof(float)));
  auto* to = reinterpret_cast<uint8_t*>(packed_.get());
  const int64_t floats = store_.chunks() * kChunkStride;
  for (const Slab& slab : store_.slabs())
    for (int64_t i = 0; i < slab.groups && slab.first + i * kGroupRows < store_.rows(); ++i) {
      if (slab.live[i] == 0) continue;
      if (by_codes()) pack_codes(slab, i, state_.codes->packed_dims, to);
      groups_.push_back({slab.vectors + i * floats, slab.side + i * kGroupRows, slab.first + i * kGroupRows,
                         slab.live[i], to, by_codes() ? slab.codes.group(i).sides : nullptr});
      to += bytes;
    }
}

Status NearestSearch::run() {
  NF_TRY(call_.poll());
  pack();
  // Tiles must be those of before.
  if (by_codes() && plan_.kept != nullptr && plan_.kept_first % KeptCodes::kTileQueries == 0) {
    if (dynamic_cast<KeptCodes*>(plan_.kept->get()) == nullptr) *plan_.kept = std::make_unique<KeptCodes>();
    kept_ = static_cast<KeptCodes*>(plan_.kept->get());
    kept_->fit(plan_.kept_first + plan_.batch);
  }
  const int64_t tiles = (plan_.batch + KeptCodes::kTileQueries - 1) / KeptCodes::kTileQueries;
  NF_TRY(state_.pool->run(state_.pool->threads(), [this, tiles](int32_t) -> Status {
    NearestTile tile(*this);
    for (int64_t i = ticket_.fetch_add(1); i < tiles; i = ticket_.fetch_add(1)) {
      if (state_.pool->stopping()) return {};
      NF_TRY(tile.run(i * KeptCodes::kTileQueries));
    }
    return {};
  }));
  if (!by_codes()) return {};
  const auto bytes = static_cast<uint64_t>(tiles) * groups_.size() *
                     static_cast<uint64_t>(store_.slabs().front().codes.layout.read_bytes(
                         store_.slabs().front().codes.layout.levels()));
  scanned_ = {bytes, bytes};
  return {};
}

}  // namespace nearfield::cpu
