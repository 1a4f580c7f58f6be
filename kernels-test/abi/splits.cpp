// SPDX-License-Identifier: Apache-2.0
// However the host splits a request (batches within a workspace, gathered or scanned filters, blocks of a
// stateless knn), the answer has the same bits: those of the one ranking of all rows, cut by filter and k.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include "requests.hpp"

namespace nearfield_test {
namespace {

constexpr int64_t kRows = 5000, kQueries = 24;
constexpr int32_t kFew = 7;

struct Answer {
  int32_t k = 0;
  std::vector<int64_t> rows;
  std::vector<float> distances;
  std::vector<int32_t> count;
  explicit Answer(int32_t of_k)
      : k(of_k),
        rows(static_cast<size_t>(kQueries * of_k)),
        distances(rows.size()),
        count(static_cast<size_t>(kQueries)) {}

  nf_result view() {
    nf_result result = sized<nf_result>();
    result.k = k;
    result.row_stride = k;
    result.rows = rows.data();
    result.distances = distances.data();
    result.count = count.data();
    return result;
  }
  bool operator==(const Answer& other) const {
    return rows == other.rows && count == other.count &&
           std::memcmp(distances.data(), other.distances.data(), distances.size() * sizeof(float)) == 0;
  }
};

// Filters of every size and form; each also as the rows it keeps.
struct Filters {
  std::vector<std::vector<uint32_t>> bits;
  std::vector<std::vector<int64_t>> rows;
  std::vector<nf_filter> filters;
  std::vector<const nf_filter*> pointers;
  std::vector<std::vector<bool>> keeps;

  explicit Filters(uint64_t seed) {
    std::mt19937_64 random(seed);
    for (const int64_t one_in :
         {int64_t{1}, int64_t{2}, int64_t{20}, int64_t{40}, int64_t{1000}, kRows * 10}) {
      std::vector<bool> kept(static_cast<size_t>(kRows));
      std::vector<uint32_t> words(static_cast<size_t>((kRows + 31) / 32));
      std::vector<int64_t> list;
      for (int64_t row = 0; row < kRows; ++row) {
        if (random() % static_cast<uint64_t>(one_in) != 0) continue;
        kept[static_cast<size_t>(row)] = true;
        words[static_cast<size_t>(row / 32)] |= uint32_t{1} << (row % 32);
        list.push_back(row);
      }
      keeps.push_back(kept);
      bits.push_back(words);
      rows.push_back(list);
      keeps.push_back(kept);
      bits.emplace_back();
      rows.emplace_back(list);
      // The same bits, cut after 1,600 rows: those past the end may not be returned.
      std::fill(kept.begin() + 1600, kept.end(), false);
      keeps.push_back(kept);
      bits.emplace_back(words.begin(), words.begin() + 50);
      rows.emplace_back();
    }
    for (size_t i = 0; i < keeps.size(); ++i) {
      nf_filter filter = sized<nf_filter>();
      filter.kind = i % 3 == 1 ? NF_ROWS : NF_BITSET;
      filter.bits = bits[i].data();
      filter.rows = rows[i].data();
      filter.count = static_cast<int64_t>(i % 3 == 1 ? rows[i].size() : bits[i].size());
      filters.push_back(filter);
    }
    nf_filter all = sized<nf_filter>();
    all.kind = NF_ALL;
    filters.push_back(all);
    keeps.emplace_back(static_cast<size_t>(kRows), true);
    for (const nf_filter& filter : filters) pointers.push_back(&filter);
  }
};

// The first k of a whole ranking that the filter of each query keeps.
Answer cut(const Answer& whole, const Filters& filters, const std::vector<int32_t>& filter_of_query,
           int32_t k) {
  Answer answer(k);
  for (int64_t query = 0; query < kQueries; ++query) {
    const int32_t filter = filter_of_query[static_cast<size_t>(query)];
    int32_t found = 0;
    for (int32_t i = 0; i < whole.count[static_cast<size_t>(query)] && found < k; ++i) {
      const auto from = static_cast<size_t>(query * whole.k + i);
      if (filter >= 0 && !filters.keeps[static_cast<size_t>(filter)][static_cast<size_t>(whole.rows[from])])
        continue;
      answer.rows[static_cast<size_t>(query * k + found)] = whole.rows[from];
      answer.distances[static_cast<size_t>(query * k + found)] = whole.distances[from];
      ++found;
    }
    answer.count[static_cast<size_t>(query)] = found;
    for (; found < k; ++found) {
      answer.rows[static_cast<size_t>(query * k + found)] = -1;
      answer.distances[static_cast<size_t>(query * k + found)] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  return answer;
}

class Splits {
 public:
  Splits(const Bench& bench, int32_t metric)
      : bench_(bench),
        metric_(metric),
        data_(random_rows(bench.seed, kRows, kDim)),
        queries_(random_rows(bench.seed + 1, kQueries, kDim)),
        filters_(bench.seed + 2) {
    for (int64_t row = 0; row < kRows; row += 11) dead_.push_back(row);
    for (int64_t i = 0; i < kRows; i += 3)  // equal rows, so that ties are cut as well
      std::copy_n(data_.begin(), kDim, data_.begin() + i * kDim);
    std::mt19937_64 random(bench.seed + 3);
    for (int64_t query = 0; query < kQueries; ++query)
      filter_of_query_.push_back(static_cast<int32_t>(random() % (filters_.filters.size() + 1)) - 1);
  }

  void run() {
    const ContextHandle plain = bench_.context();
    const IndexHandle index = filled(plain.get());
    Answer whole(static_cast<int32_t>(kRows));
    search(index.get(), nullptr, &whole, "the whole ranking");
    Answer filtered(kFew);
    search(index.get(), filter_of_query_.data(), &filtered, "a filter per query");
    check(filtered == cut(whole, filters_, filter_of_query_, kFew), "a filter per query");

    // The smallest workspace that the backend serves: 1 KiB holds seven of the queries and one mask.
    nf_context_desc tiny = sized<nf_context_desc>();
    ContextHandle narrow{nullptr, ContextDeleter{bench_.api}};
    IndexHandle again{nullptr, IndexDeleter{bench_.api}};
    Answer same(kFew);
    nf_status status = NF_RESOURCE_EXHAUSTED;
    Caller caller;
    for (tiny.workspace_limit = 1024; status == NF_RESOURCE_EXHAUSTED && tiny.workspace_limit <= 64 << 20;
         tiny.workspace_limit *= 8) {
      again.reset();
      nf_context* made = nullptr;
      status = bench_.api->context_create(&tiny, &made, &caller.call);
      narrow.reset(made);
      if (status != NF_OK) continue;
      again = filled(narrow.get());
      status = try_search(again.get(), filter_of_query_.data(), &same, &caller);
    }
    bench_.ok(status, "a tiny workspace", caller);
    check(same == filtered, "a tiny workspace");

    score(index.get(), whole, "score");
    score(again.get(), whole, "score in a tiny workspace");
    within(index.get(), whole);
    blocks(plain.get(), "knn");
    nf_context_desc small = sized<nf_context_desc>();
    small.memory_limit = 256 << 10;  // a quarter of it a block: 2,048 rows of 5 dimensions
    const ContextHandle cramped = bench_.context(small);
    blocks(cramped.get(), "knn in blocks");
  }

 private:
  void check(bool holds, const std::string& what) {
    bench_.report->check(holds, "same bits, metric " + std::to_string(metric_) + ": " + what);
  }

  IndexHandle filled(nf_context* context) {
    IndexHandle index = bench_.index(context, metric_, kDim);
    bench_.add(index.get(), data_, kDim);
    bench_.set_live(index.get(), dead_, false);
    return index;
  }

  void search(nf_index* index, const int32_t* filter_of_query, Answer* answer, const char* what) {
    Caller caller;
    bench_.ok(try_search(index, filter_of_query, answer, &caller), what, caller);
  }

  nf_status try_search(nf_index* index, const int32_t* filter_of_query, Answer* answer, Caller* caller) {
    const nf_matrix queries = matrix_of(queries_, kDim);
    nf_result result = answer->view();
    nf_search request = sized<nf_search>();
    request.queries = &queries;
    request.result = &result;
    if (filter_of_query != nullptr) {
      request.filters = filters_.pointers.data();
      request.filter_count = static_cast<int32_t>(filters_.pointers.size());
      request.filter_of_query = filter_of_query;
    }
    return bench_.api->index_search(index, &request, &caller->call);
  }

  // Distances of a ranking's rows, scored in reverse order.
  void score(nf_index* index, const Answer& whole, const char* what) {
    Caller caller;
    const nf_matrix queries = matrix_of(queries_, kDim);
    std::vector<int64_t> offsets{0}, rows;
    std::vector<float> expected;
    for (int64_t query = 0; query < kQueries; ++query) {
      for (int32_t i = std::min(200, whole.count[static_cast<size_t>(query)]); i-- > 0;) {
        rows.push_back(whole.rows[static_cast<size_t>(query * whole.k + i)]);
        expected.push_back(whole.distances[static_cast<size_t>(query * whole.k + i)]);
      }
      offsets.push_back(static_cast<int64_t>(rows.size()));
    }
    std::vector<float> distances(rows.size());
    nf_score request = sized<nf_score>();
    request.queries = &queries;
    request.offsets = offsets.data();
    request.rows = rows.data();
    request.distances = distances.data();
    bench_.ok(bench_.api->index_score(index, &request, &caller.call), what, caller);
    check(distances == expected, what);
  }

  // NF_WITHIN cuts the ranking where a distance passes the limit.
  void within(nf_index* index, const Answer& whole) {
    Caller caller;
    const nf_matrix queries = matrix_of(queries_, kDim);
    Answer answer(100);
    nf_result result = answer.view();
    nf_search request = sized<nf_search>();
    request.queries = &queries;
    request.result = &result;
    request.flags = NF_WITHIN;
    request.max_distance = whole.distances[30];  // of query 0: inclusive there, anything elsewhere
    bench_.ok(bench_.api->index_search(index, &request, &caller.call), "max_distance", caller);
    bool good = answer.count[0] > 30;
    for (int64_t query = 0; query < kQueries; ++query) {
      const auto count = answer.count[static_cast<size_t>(query)];
      for (int32_t i = 0; i < 100; ++i) {
        const float full = whole.distances[static_cast<size_t>(query * whole.k + i)];
        const int64_t row = answer.rows[static_cast<size_t>(query * 100 + i)];
        good = good && (i < count) == (full <= request.max_distance) &&
               row == (i < count ? whole.rows[static_cast<size_t>(query * whole.k + i)] : -1);
      }
    }
    check(good, "max_distance");
  }

  // Stateless knn under each filter, against an index of all rows, none dead.
  void blocks(nf_context* context, const char* what) {
    const ContextHandle plain = bench_.context();
    const IndexHandle index = bench_.index(plain.get(), metric_, kDim);
    bench_.add(index.get(), data_, kDim);
    Answer whole(static_cast<int32_t>(kRows));
    search(index.get(), nullptr, &whole, what);
    const nf_matrix queries = matrix_of(queries_, kDim), dataset = matrix_of(data_, kDim);
    for (int32_t filter = -1; filter < static_cast<int32_t>(filters_.filters.size()); ++filter) {
      Caller caller;
      Answer answer(kFew);
      nf_result result = answer.view();
      nf_knn request = sized<nf_knn>();
      request.metric = metric_;
      request.queries = &queries;
      request.dataset = &dataset;
      request.filter = filter < 0 ? nullptr : filters_.pointers[static_cast<size_t>(filter)];
      request.result = &result;
      bench_.ok(bench_.api->knn(context, &request, nullptr, &caller.call), what, caller);
      const std::vector<int32_t> same_filter(static_cast<size_t>(kQueries), filter);
      check(answer == cut(whole, filters_, same_filter, kFew),
            std::string(what) + ", filter " + std::to_string(filter));
    }
  }

  const Bench& bench_;
  int32_t metric_;
  std::vector<float> data_, queries_;
  Filters filters_;
  std::vector<int64_t> dead_;
  std::vector<int32_t> filter_of_query_;
};

// What a block is searched for begins where the blocks before it ended: else each would rescore some k ln(n /
// k) rows anew. Only the CPU uses it so far.
void test_later_blocks_rescore_less(const Bench& bench) {
  if (std::strcmp(bench.api->backend, "cpu") != 0) return;
  constexpr int64_t dim = 64, rows = 20'000, asked = 16;
  const std::vector<float> data = random_rows(bench.seed, rows, dim),
                           vectors = random_rows(bench.seed + 1, asked, dim);
  const auto rescored_with = [&](uint64_t memory_limit) {
    nf_context_desc desc = sized<nf_context_desc>();
    desc.threads = 1;
    desc.memory_limit = memory_limit;
    const ContextHandle context = bench.context(desc);
    std::vector<int64_t> found(asked * 10);
    std::vector<float> distances(found.size());
    std::vector<int32_t> rescored(asked);
    nf_result result = sized<nf_result>();
    result.k = result.row_stride = 10;
    result.rows = found.data();
    result.distances = distances.data();
    result.rescored = rescored.data();
    const nf_matrix queries = matrix_of(vectors, dim), dataset = matrix_of(data, dim);
    nf_knn request = sized<nf_knn>();
    request.metric = NF_L2SQ;
    request.queries = &queries;
    request.dataset = &dataset;
    request.result = &result;
    Caller caller;
    bench.ok(bench.api->knn(context.get(), &request, nullptr, &caller.call), "knn", caller);
    return std::accumulate(rescored.begin(), rescored.end(), int64_t{0});
  };
  // The second in ten blocks.
  const int64_t whole = rescored_with(0), blocks = rescored_with(2 << 20);
  bench.report->check(whole > 0 && blocks < 2 * whole, "rows that knn in blocks rescores, and knn at once",
                      std::to_string(blocks) + " and " + std::to_string(whole));
}

}  // namespace

void test_splits(const Bench& bench) {
  test_later_blocks_rescore_less(bench);
  for (int32_t metric = NF_L2SQ; metric <= NF_MANHATTAN; ++metric) Splits(bench, metric).run();
}

}  // namespace nearfield_test
