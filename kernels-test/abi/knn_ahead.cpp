// SPDX-License-Identifier: Apache-2.0
// Stateless knn looks ahead in its dataset, on a thread of its own: the row it names is the first one all the
// same, and once a call has returned, however it ended, the caller may unmap what it gave.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "harness.hpp"

namespace nearfield_test {
namespace {

constexpr int32_t kDim = 8, kK = 3;
constexpr int64_t kRows = 9000, kQueries = 4;
// A quarter of it is a block: 2,048 rows.
constexpr uint64_t kMemory = 256 << 10;
constexpr int64_t kBlockRows = 2048;

// Rows in pages of their own: a touch after they are gone ends the process.
class Mapped {
 public:
  Mapped(const float* rows, int64_t count) : bytes_(static_cast<size_t>(count * kDim) * sizeof(float)) {
    pages_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages_ != MAP_FAILED) std::memcpy(pages_, rows, bytes_);
  }
  ~Mapped() {
    if (pages_ != MAP_FAILED) munmap(pages_, bytes_);
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  nf_matrix matrix() const {
    nf_matrix made = sized<nf_matrix>();
    made.dtype = NF_F32;
    made.data = pages_;
    made.rows = static_cast<int64_t>(bytes_ / (kDim * sizeof(float)));
    made.cols = kDim;
    made.row_stride = kDim * sizeof(float);
    return made;
  }

 private:
  size_t bytes_;
  void* pages_;
};

class Ahead {
 public:
  explicit Ahead(const Bench& bench)
      : bench_(bench),
        rows_(random_rows(bench.seed, kRows, kDim)),
        queries_(random_rows(bench.seed + 1, kQueries, kDim)) {
    nf_context_desc small = sized<nf_context_desc>();
    small.memory_limit = kMemory;
    context_ = bench.context(small);
  }

  void run() {
    {
      const ContextHandle plain = bench_.context();
      Caller caller;
      bench_.ok(at_once(plain.get(), &caller), "knn in one block", caller);
    }
    whole_ = found_;
    same_in(0, 0, "knn in blocks");
    same_in(3000, 0, "knn in pieces that are unmapped");
    same_in(3000, 1, "knn in pieces that are unmapped between short steps");
    for (const int64_t bad : {int64_t{5}, kBlockRows + 5, kRows - 1}) {
      bad_row(bad, bad);
      bad_row(bad, kRows - 1);
      bad_row(bad, std::min(bad + kBlockRows, kRows - 1));
    }
    late();
    same_in(0, 0, "knn after others failed");
  }

 private:
  nf_status step(nf_context* context, const nf_matrix& at_hand, int64_t of_rows, nf_step* step,
                 Caller* caller) {
    const nf_matrix queries = matrix_of(queries_, kDim);
    nf_result result = sized<nf_result>();
    result.k = result.row_stride = kK;
    result.rows = found_.data();
    result.distances = distances_.data();
    nf_knn request = sized<nf_knn>();
    request.metric = NF_COSINE;  // whose norms are kept beside the rows
    request.queries = &queries;
    request.dataset = &at_hand;
    request.dataset_rows = of_rows;
    request.result = &result;
    return bench_.api->knn(context, &request, step, &caller->call);
  }

  nf_status at_once(nf_context* context, Caller* caller) {
    std::fill(found_.begin(), found_.end(), -7);
    const Mapped mapped(rows_.data(), kRows);
    return step(context, mapped.matrix(), 0, nullptr, caller);
  }

  // In pieces of so many rows, each mapped for one step alone; 0: at once.
  nf_status in_pieces(int64_t piece, int64_t budget_ns, Caller* caller) {
    if (piece == 0) return at_once(context_.get(), caller);
    std::fill(found_.begin(), found_.end(), -7);
    nf_step at = sized<nf_step>();
    at.budget_ns = budget_ns;
    nf_status status = NF_OK;
    while (status == NF_OK && at.done == 0) {
      const Mapped mapped(rows_.data() + at.position * kDim, std::min(piece, kRows - at.position));
      status = step(context_.get(), mapped.matrix(), kRows, &at, caller);
    }
    return status;
  }

  void same_in(int64_t piece, int64_t budget_ns, const char* what) {
    Caller caller;
    bench_.ok(in_pieces(piece, budget_ns, &caller), what, caller);
    bench_.report->check(found_ == whole_, what, "has other answers");
  }

  // Of two that may not be, the first is named.
  void bad_row(int64_t first, int64_t second) {
    const std::vector<float> good = rows_;
    rows_[static_cast<size_t>(first * kDim + 2)] = std::numeric_limits<float>::quiet_NaN();
    rows_[static_cast<size_t>(second * kDim + 1)] = std::numeric_limits<float>::infinity();
    const std::string named = "dataset row " + std::to_string(first) + ", ";
    const bool is_in_block = first / kBlockRows != 0;
    for (const int64_t piece : {int64_t{0}, int64_t{3000}}) {
      for (const int64_t budget_ns : {0, 1}) {
        Caller caller;
        const nf_status status = in_pieces(piece, budget_ns, &caller);
        bench_.report->check(status == NF_INVALID_ARGUMENT &&
                                 std::strstr(caller.error.message, named.c_str()) != nullptr &&
                                 std::count(found_.begin(), found_.end(), -7) == kQueries * kK,
                             (is_in_block ? "a bad row of a later block, " : "a bad row, ") + named,
                             std::string(status_name(status)) + " " + caller.error.message);
      }
    }
    rows_ = good;
  }

  // Ends early, at one point of the work after the other, with the thread under way.
  void late() {
    int ended = 0;
    for (int64_t timeout_ns = 20'000; timeout_ns < 20'000'000; timeout_ns += timeout_ns / 8) {
      Caller caller;
      caller.call.timeout_ns = timeout_ns;
      const nf_status status = at_once(context_.get(), &caller);
      ended += status == NF_DEADLINE_EXCEEDED ? 1 : 0;
      bench_.report->check(status == NF_OK || status == NF_DEADLINE_EXCEEDED, "knn that is late",
                           std::string(status_name(status)) + " " + caller.error.message);
    }
    bench_.report->check(ended > 0, "knn of 20 us", "is never late");
  }

  const Bench& bench_;
  ContextHandle context_{nullptr, ContextDeleter{nullptr}};
  std::vector<float> rows_, queries_;
  std::vector<int64_t> found_ = std::vector<int64_t>(static_cast<size_t>(kQueries * kK));
  std::vector<float> distances_ = std::vector<float>(static_cast<size_t>(kQueries * kK));
  std::vector<int64_t> whole_;
};

}  // namespace

void test_knn_ahead(const Bench& bench) { Ahead(bench).run(); }

}  // namespace nearfield_test
