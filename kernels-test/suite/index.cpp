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

Index::Index(Backend& backend, nf_context* context, int32_t metric, int32_t dim, uint64_t memory_limit)
    : api_(backend.api()), dim_(dim) {
  auto desc = sized<nf_index_desc>();
  desc.kind = NF_FLAT;
  desc.metric = metric;
  desc.dim = dim;
  desc.store_dtype = desc.scan_dtype = NF_F32;
  desc.memory_limit = memory_limit;
  CallBlock call;
  ok(call.answer(api_.index_create(context, &desc, &index_, call.abi())), "index_create");
}

Index::~Index() { api_.index_destroy(index_); }

Answer Index::try_add(const nf_matrix& rows, int64_t* first) {
  CallBlock call;
  return call.answer(api_.index_add(index_, &rows, first, call.abi()));
}

int64_t Index::add(const nf_matrix& rows) {
  const int64_t before = info().rows;
  int64_t first = -1;
  ok(try_add(rows, &first), "index_add");
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
  to->check_form();
}

std::vector<float> Index::score(const nf_matrix& queries, const std::vector<int64_t>& offsets,
                                const std::vector<int64_t>& rows) {
  constexpr size_t kGuard = 8;
  std::vector<float> distances(rows.size() + 2 * kGuard, kUnwritten);
  auto score = sized<nf_score>();
  score.queries = &queries;
  score.offsets = offsets.data();
  score.rows = rows.data();
  score.distances = distances.data() + kGuard;
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

void Index::set_live(std::span<const int64_t> rows, bool live) {
  CallBlock call;
  ok(call.answer(api_.index_set_live(index_, rows.data(), static_cast<int64_t>(rows.size()), live ? 1 : 0,
                                     call.abi())),
     "index_set_live");
}

Vectors Index::read(std::span<const int64_t> rows) {
  Vectors out(static_cast<int64_t>(rows.size()), dim_, true);
  nf_matrix matrix = out.matrix();
  CallBlock call;
  ok(call.answer(api_.index_read(index_, rows.data(), &matrix, call.abi())), "index_read");
  return out;
}

Answer Index::try_compact(int64_t budget_ns, std::vector<int64_t>* new_row, bool* done) {
  auto request = sized<nf_compact>();
  request.new_row = new_row->data();
  request.new_row_count = static_cast<int64_t>(new_row->size());
  auto step = sized<nf_step>();
  step.budget_ns = budget_ns;
  CallBlock call;
  const Answer answer = call.answer(api_.index_compact(index_, &request, &step, call.abi()));
  *done = step.done != 0;
  return answer;
}

std::vector<int64_t> Index::compact() {
  std::vector<int64_t> new_row(static_cast<size_t>(info().rows), -7);
  bool done = false;
  ok(try_compact(0, &new_row, &done), "index_compact");
  check(done, "index_compact without a budget is not done");
  return new_row;
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
  ok(call.answer(backend.api().knn(context, &request, call.abi())), "knn");
  to->check_form();
}

}  // namespace nearfield::test
