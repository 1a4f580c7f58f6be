// SPDX-License-Identifier: Apache-2.0
#include "index.hpp"

#include "check.hpp"

namespace nearfield::test {
namespace {

template <typename Struct>
Struct sized() {
  Struct s{};
  s.struct_size = sizeof(s);
  return s;
}

constexpr float kUnwritten = -123456.75f;

}  // namespace

int32_t Filters::add_bits(const std::vector<uint32_t>& words) {
  auto filter = sized<nf_filter>();
  filter.kind = NF_BITSET;
  filter.bits = bits_.emplace_back(words, ~0u, ~0u).data();
  filter.count = static_cast<int64_t>(words.size());
  filters_.push_back(filter);
  return static_cast<int32_t>(filters_.size()) - 1;
}

int32_t Filters::add_rows(const std::vector<int64_t>& rows) {
  auto filter = sized<nf_filter>();
  filter.kind = NF_ROWS;
  filter.rows = rows_.emplace_back(rows, 0, rows.empty() ? 0 : rows.back() + 1).data();
  filter.count = static_cast<int64_t>(rows.size());
  filters_.push_back(filter);
  return static_cast<int32_t>(filters_.size()) - 1;
}

void Filters::attach(nf_search* to) const {
  pointers_.clear();
  for (const nf_filter& filter : filters_) pointers_.push_back(&filter);
  to->filters = pointers_.data();
  to->filter_count = static_cast<int32_t>(pointers_.size());
  to->filter_of_query = of_query_.empty() ? nullptr : of_query_.data();
}

Index::Index(Backend& backend, nf_context* context, int32_t metric, int32_t dim, uint64_t memory_limit,
             int32_t scan_dtype, uint32_t flags, int32_t kind)
    : api_(backend.api()), dim_(dim), alone_((flags & NF_DROP_F32) != 0) {
  auto desc = sized<nf_index_desc>();
  desc.kind = kind;
  desc.metric = metric;
  desc.dim = dim;
  desc.store_dtype = NF_F32;
  desc.scan_dtype = scan_dtype;
  desc.flags = flags;
  desc.memory_limit = memory_limit;
  CallBlock call;
  ok(call.answer(api_.index_create(context, &desc, &index_, call.abi())), "index_create");
}

Index::~Index() { api_.index_destroy(index_); }

Answer Index::try_add(const nf_matrix& rows, int64_t* first, uint32_t flags) {
  auto request = sized<nf_add>();
  request.flags = flags;
  request.rows = &rows;
  CallBlock call;
  return call.answer(api_.index_add(index_, &request, first, call.abi()));
}

int64_t Index::add(const nf_matrix& rows, uint32_t flags) {
  const int64_t before = info().rows;
  int64_t first = -1;
  ok(try_add(rows, &first, flags), "index_add");
  check(first == before, "index_add: first_row=%lld, the index held %lld rows", static_cast<long long>(first),
        static_cast<long long>(before));
  return first;
}

Answer Index::try_search(const nf_matrix& queries, Results* to, const SearchOptions& options, nf_call* call) {
  auto search = sized<nf_search>();
  search.flags = options.flags | (options.has_limit ? NF_WITHIN : 0);
  search.queries = &queries;
  if (options.filters != nullptr) options.filters->attach(&search);
  search.max_distance = options.limit;
  search.max_oversample = options.max_oversample;
  search.probes = options.probes;
  search.target_recall = options.target_recall;
  search.result = to->abi();
  CallBlock block;
  if (call != nullptr) {
    block.fields().timeout_ns = call->timeout_ns;
    block.fields().cancel = call->cancel;
    block.fields().progress = call->progress;
  }
  return block.answer(api_.index_search(index_, &search, block.abi()));
}

void Index::search(const nf_matrix& queries, Results* to, const SearchOptions& options) {
  ok(try_search(queries, to, options), "index_search");
  to->check_form(options.max_oversample != 0 || alone_);
}

std::vector<float> Index::score(const nf_matrix& queries, const std::vector<int64_t>& offsets,
                                const std::vector<int64_t>& rows, std::vector<float>* errors) {
  constexpr size_t kGuard = 8;
  if (errors != nullptr) errors->assign(rows.size(), kUnwritten);
  std::vector<float> distances(rows.size() + 2 * kGuard, kUnwritten);
  auto score = sized<nf_score>();
  score.queries = &queries;
  score.offsets = offsets.data();
  score.rows = rows.data();
  score.distances = distances.data() + kGuard;
  score.errors = errors == nullptr ? nullptr : errors->data();
  CallBlock call;
  ok(call.answer(api_.index_score(index_, &score, call.abi())), "index_score");
  for (size_t i = 0; i < kGuard; ++i) {
    check(distances[i] == kUnwritten && distances[distances.size() - 1 - i] == kUnwritten,
          "index_score wrote outside its distances");
  }
  return {distances.begin() + kGuard, distances.end() - kGuard};
}

Answer Index::try_replace(std::span<const int64_t> rows, const nf_matrix& data) {
  CallBlock call;
  return call.answer(api_.index_replace(index_, rows.data(), &data, call.abi()));
}

void Index::replace(std::span<const int64_t> rows, const nf_matrix& data) {
  ok(try_replace(rows, data), "index_replace");
}

Answer Index::try_set_live(const int64_t* rows, int64_t first, int64_t count, bool live) {
  auto request = sized<nf_live>();
  request.live = live ? 1 : 0;
  request.rows = rows;
  request.first = first;
  request.count = count;
  CallBlock call;
  return call.answer(api_.index_set_live(index_, &request, call.abi()));
}

void Index::set_live(std::span<const int64_t> rows, bool live) {
  if (!rows.empty())
    ok(try_set_live(rows.data(), 0, static_cast<int64_t>(rows.size()), live), "index_set_live");
}

void Index::set_live_range(int64_t first, int64_t count, bool live) {
  ok(try_set_live(nullptr, first, count, live), "index_set_live of a range");
}

Vectors Index::read(std::span<const int64_t> rows) {
  Vectors out(static_cast<int64_t>(rows.size()), dim_, true);
  nf_matrix matrix = out.matrix();
  CallBlock call;
  ok(call.answer(api_.index_read(index_, rows.data(), &matrix, call.abi())), "index_read");
  return out;
}

Answer Index::try_compact(int64_t budget_ns, int64_t window, NewRows* to) {
  constexpr int64_t kUntouched = -7, kGuard = 40;
  std::vector<int64_t> new_row(static_cast<size_t>(window + kGuard), kUntouched);
  const auto before = static_cast<int64_t>(to->of.size());
  auto request = sized<nf_compact>();
  request.new_row = new_row.data();
  request.new_row_count = window;
  request.first_row = kUntouched;
  auto step = sized<nf_step>();
  step.budget_ns = budget_ns;
  step.position = before;
  step.done = static_cast<int32_t>(kUntouched);
  CallBlock call;
  const Answer answer = call.answer(api_.index_compact(index_, &request, &step, call.abi()));
  const bool good = answer.code == NF_OK;
  const int64_t passed = good ? step.position - request.first_row : 0;
  check(good ? step.done == 0 || step.done == 1
             : request.first_row == kUntouched && step.done == kUntouched && step.position == before,
        "index_compact: first_row=%lld, position=%lld, done=%d", static_cast<long long>(request.first_row),
        static_cast<long long>(step.position), step.done);
  check(passed >= 0 && passed <= window, "index_compact passed %lld rows, the window has %lld",
        static_cast<long long>(passed), static_cast<long long>(window));
  for (int64_t i = 0; i < window + kGuard; ++i)
    check((new_row[static_cast<size_t>(i)] == kUntouched) == (i >= passed),
          "index_compact passed %lld rows of a window of %lld: entry %lld is %lld",
          static_cast<long long>(passed), static_cast<long long>(window), static_cast<long long>(i),
          static_cast<long long>(new_row[static_cast<size_t>(i)]));
  if (!good) return answer;
  check(request.first_row == 0 || request.first_row == before,
        "index_compact: first_row=%lld, numbers were given out to row %lld",
        static_cast<long long>(request.first_row), static_cast<long long>(before));
  to->of.resize(static_cast<size_t>(request.first_row));
  to->of.insert(to->of.end(), new_row.begin(), new_row.begin() + passed);
  to->done = step.done != 0;
  return answer;
}

std::vector<int64_t> Index::compact() {
  NewRows all;
  ok(try_compact(0, info().rows, &all), "index_compact");
  check(all.done, "index_compact without a budget is not done");
  return all.of;
}

Answer Index::try_train(int64_t budget_ns, uint64_t seed, nf_step* step) {
  auto request = sized<nf_train>();
  request.seed = seed;
  step->struct_size = sizeof(*step);
  step->budget_ns = budget_ns;
  CallBlock call;
  return call.answer(api_.index_train(index_, &request, step, call.abi()));
}

void Index::train(uint64_t seed) {
  nf_step step{};
  for (int64_t steps = 0; step.done == 0; ++steps) {
    check(steps < 1'000'000, "index_train is not done after %lld steps", static_cast<long long>(steps));
    ok(try_train(1'000'000, seed, &step), "index_train");
  }
}

void Index::train_on(const nf_matrix& data, uint64_t seed) {
  auto request = sized<nf_train>();
  request.data = &data;
  request.seed = seed;
  auto step = sized<nf_step>();
  CallBlock call;
  ok(call.answer(api_.index_train(index_, &request, &step, call.abi())), "index_train");
  check(step.done == 1, "index_train without a budget is not done");
}

Answer Index::try_maintain(int64_t budget_ns, nf_step* step, nf_maintain* to, const uint32_t* cancel) {
  *to = sized<nf_maintain>();
  step->struct_size = sizeof(*step);
  step->budget_ns = budget_ns;
  CallBlock call;
  call.fields().cancel = cancel;
  return call.answer(api_.index_maintain(index_, to, step, call.abi()));
}

nf_maintain Index::maintain() {
  nf_step step{};
  nf_maintain done{};
  for (int64_t steps = 0; step.done == 0; ++steps) {
    check(steps < 1'000'000, "index_maintain is not done after %lld steps", static_cast<long long>(steps));
    ok(try_maintain(1'000'000, &step, &done), "index_maintain");
  }
  check(step.position == info().rows, "index_maintain is done at %lld of %lld rows",
        static_cast<long long>(step.position), static_cast<long long>(info().rows));
  return done;
}

Index::Lists Index::read_lists() {
  const nf_index_info now = info();
  Lists lists{Vectors(now.lists, dim_, true), std::vector<int32_t>(static_cast<size_t>(now.rows), -1)};
  nf_matrix centroids = lists.centroids.matrix();
  auto request = sized<nf_lists>();
  request.centroids = &centroids;
  request.list_of_row = lists.of_row.data();
  request.row_count = now.rows;
  CallBlock call;
  ok(call.answer(api_.index_read_lists(index_, &request, call.abi())), "index_read_lists");
  return lists;
}

Answer Index::try_write_lists(const nf_matrix& centroids, const std::vector<int32_t>& of_row) {
  nf_matrix given = centroids;
  std::vector<int32_t> lists = of_row;
  auto request = sized<nf_lists>();
  request.centroids = &given;
  request.list_of_row = lists.data();
  request.row_count = static_cast<int64_t>(lists.size());
  CallBlock call;
  return call.answer(api_.index_write_lists(index_, &request, call.abi()));
}

nf_index_info Index::info() {
  auto info = sized<nf_index_info>();
  CallBlock call;
  ok(call.answer(api_.index_info(index_, &info, call.abi())), "index_info");
  return info;
}

void knn(Backend& backend, nf_context* context, int32_t metric, const nf_matrix& queries,
         const nf_matrix& dataset, Results* to, const nf_filter* filter) {
  auto request = sized<nf_knn>();
  request.metric = metric;
  request.queries = &queries;
  request.dataset = &dataset;
  request.filter = filter;
  request.result = to->abi();
  CallBlock call;
  ok(call.answer(backend.api().knn(context, &request, nullptr, call.abi())), "knn");
  to->check_form();
}

int64_t knn_in_steps(Backend& backend, nf_context* context, int32_t metric, const nf_matrix& queries,
                     const nf_matrix& dataset, int64_t piece, int64_t budget_ns, Results* to,
                     const nf_filter* filter) {
  auto step = sized<nf_step>();
  step.budget_ns = budget_ns;
  for (int64_t steps = 1;; ++steps) {
    check(steps < 1'000'000, "knn is not done after %lld steps", static_cast<long long>(steps));
    // Each step has structs of its own, as a caller may have.
    nf_matrix at_hand = dataset;
    if (piece != 0) {
      at_hand.data = static_cast<char*>(dataset.data) + step.position * dataset.row_stride;
      at_hand.rows = std::min(piece, dataset.rows - step.position);
    }
    auto request = sized<nf_knn>();
    request.metric = metric;
    request.queries = &queries;
    request.dataset = &at_hand;
    request.filter = filter;
    request.result = to->abi();
    request.dataset_rows = piece == 0 ? 0 : dataset.rows;
    const int64_t before = step.position;
    CallBlock call;
    ok(call.answer(backend.api().knn(context, &request, &step, call.abi())), "a step of knn");
    check(step.position >= before && step.position <= before + at_hand.rows,
          "a step of knn goes from row %lld to row %lld, %lld were at hand", static_cast<long long>(before),
          static_cast<long long>(step.position), static_cast<long long>(at_hand.rows));
    check((step.done == 1) == (step.work == nullptr), "a step of knn: done=%d, work=%p", step.done,
          step.work);
    if (step.done != 0) {
      check(step.position == dataset.rows, "knn is done with %lld rows of %lld",
            static_cast<long long>(step.position), static_cast<long long>(dataset.rows));
      to->check_form();
      return steps;
    }
    to->check_untouched();
  }
}

}  // namespace nearfield::test
