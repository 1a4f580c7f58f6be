// SPDX-License-Identifier: Apache-2.0
// An nf_index and nf_knn with C++ arguments.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#if !defined(__SANITIZE_ADDRESS__) && defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__  // clang's spelling until 21
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(from, bytes) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(from, bytes) static_cast<void>(0)
#endif

#include "backend.hpp"
#include "data.hpp"
#include "results.hpp"

namespace nearfield::test {

// An array between sentinels that look like more of it: who reads one element too far takes it for real, and
// ASan, where it runs, says so.
template <typename T>
class Guarded {
 public:
  Guarded(const std::vector<T>& values, T before, T after) : all_(values.size() + 2 * kGuard, before) {
    std::copy(values.begin(), values.end(), all_.begin() + kGuard);
    std::fill(all_.end() - kGuard, all_.end(), after);
    ASAN_POISON_MEMORY_REGION(all_.data(), kGuard * sizeof(T));
    ASAN_POISON_MEMORY_REGION(all_.data() + all_.size() - kGuard, kGuard * sizeof(T));
  }
  Guarded(Guarded&&) = default;
  ~Guarded() { ASAN_UNPOISON_MEMORY_REGION(all_.data(), all_.size() * sizeof(T)); }
  const T* data() const { return all_.data() + kGuard; }

 private:
  static constexpr ptrdiff_t kGuard = 8;  // elements: ASan poisons 8 bytes at a time
  std::vector<T> all_;
};

// Filters of one search, kept alive with the arrays they point to. Behind a bitset more rows are kept, behind
// a list the row after its last is named.
class Filters {
 public:
  int32_t add_bits(const std::vector<uint32_t>& words);  // each answers its number
  int32_t add_rows(const std::vector<int64_t>& rows);
  // One entry per query, -1: none. Without it, filter 0 holds for all.
  void per_query(std::vector<int32_t> filter_of_query) { of_query_ = std::move(filter_of_query); }
  void attach(nf_search* to) const;
  const nf_filter* first() const { return &filters_.front(); }

 private:
  std::vector<Guarded<uint32_t>> bits_;
  std::vector<Guarded<int64_t>> rows_;
  std::vector<nf_filter> filters_;
  mutable std::vector<const nf_filter*> pointers_;
  std::vector<int32_t> of_query_;
};

// The words of a bitset over the rows for which `keep` holds.
template <typename Keep>
std::vector<uint32_t> bitset(int64_t rows, const Keep& keep) {
  std::vector<uint32_t> words(static_cast<size_t>((rows + 31) / 32));
  for (int64_t row = 0; row < rows; ++row)
    if (keep(row)) words[static_cast<size_t>(row / 32)] |= 1u << (row % 32);
  return words;
}

// Every `step`-th row from `first` on.
inline std::vector<int64_t> every(int64_t rows, int64_t step, int64_t first) {
  std::vector<int64_t> list;
  for (int64_t row = first; row < rows; row += step) list.push_back(row);
  return list;
}

struct SearchOptions {
  const Filters* filters = nullptr;
  bool has_limit = false;
  float limit = 0;  // max_distance
  uint32_t flags = 0;
  float max_oversample = 0;
  int32_t probes = 0;
  float target_recall = 0;
};

// The numbers that a compaction has given out so far, and where it stands.
struct NewRows {
  std::vector<int64_t> of;  // by old number
  bool done = false;
};

class Index {
 public:
  Index(Backend& backend, nf_context* context, int32_t metric, int32_t dim, uint64_t memory_limit = 0,
        int32_t scan_dtype = NF_F32, uint32_t flags = 0, int32_t kind = NF_FLAT);
  ~Index();
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  // Each answers the status; those without `Answer` throw unless it is NF_OK.
  Answer try_add(const nf_matrix& rows, int64_t* first, uint32_t flags = 0);
  int64_t add(const nf_matrix& rows, uint32_t flags = 0);
  Answer try_search(const nf_matrix& queries, Results* to, const SearchOptions& options = {},
                    nf_call* call = nullptr);
  // Also checks the form of the results.
  void search(const nf_matrix& queries, Results* to, const SearchOptions& options = {});
  std::vector<float> score(const nf_matrix& queries, const std::vector<int64_t>& offsets,
                           const std::vector<int64_t>& rows, std::vector<float>* errors = nullptr);
  Answer try_replace(std::span<const int64_t> rows, const nf_matrix& data);
  void replace(std::span<const int64_t> rows, const nf_matrix& data);
  Answer try_set_live(const int64_t* rows, int64_t first, int64_t count, bool live);
  void set_live(std::span<const int64_t> rows, bool live);
  void set_live_range(int64_t first, int64_t count, bool live);
  Vectors read(std::span<const int64_t> rows);
  // One step over at most `window` rows. Also checks that it wrote no other numbers than it should.
  Answer try_compact(int64_t budget_ns, int64_t window, NewRows* to);
  // To the end, in one call.
  std::vector<int64_t> compact();
  // One step of a training on the index's own rows.
  Answer try_train(int64_t budget_ns, uint64_t seed, nf_step* step);
  // To the end, in steps.
  void train(uint64_t seed);
  // On other rows, in one call.
  void train_on(const nf_matrix& data, uint64_t seed);
  // One step of a maintenance.
  Answer try_maintain(int64_t budget_ns, nf_step* step, nf_maintain* to, const uint32_t* cancel = nullptr);
  // To the end, in steps.
  nf_maintain maintain();
  // Centroids and the list of each row.
  struct Lists {
    Vectors centroids;
    std::vector<int32_t> of_row;
  };
  Lists read_lists();
  Answer try_write_lists(const nf_matrix& centroids, const std::vector<int32_t>& of_row);
  nf_index_info info();
  nf_index* handle() { return index_; }
  const nf_api& api() const { return api_; }

 private:
  const nf_api& api_;
  int32_t dim_;
  bool alone_;  // NF_DROP_F32
  nf_index* index_ = nullptr;
};

// Stateless search; also checks the form of the results.
void knn(Backend& backend, nf_context* context, int32_t metric, const nf_matrix& queries,
         const nf_matrix& dataset, Results* to, const nf_filter* filter = nullptr);
// The same in steps with `piece` rows at hand each (0: all of them every time); answers how many.
int64_t knn_in_steps(Backend& backend, nf_context* context, int32_t metric, const nf_matrix& queries,
                     const nf_matrix& dataset, int64_t piece, int64_t budget_ns, Results* to,
                     const nf_filter* filter = nullptr);

}  // namespace nearfield::test
