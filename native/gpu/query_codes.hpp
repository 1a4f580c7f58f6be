// SPDX-License-Identifier: Apache-2.0
// The queries of a pass over codes: coded once in each basis that slabs are coded in, and their tests.
#pragma once

#include <vector>

#include "code_layout.hpp"
#include "coded_query.hpp"
#include "scan.hpp"

namespace nearfield::gpu {

// Queries of one pass: kernels code no more than 16 at a time well, and a pass reads the codes once per block
// of kLevelsQueries.
inline constexpr int64_t kPassQueries = 16;
// Tiles of a part are this many loop iterations beside its chunks and levels.
inline constexpr uint32_t kLevelsLoops = 16;

class QueryCodes {
 public:
  // Of the bases of the slabs, at most two.
  explicit QueryCodes(const Scan& scan);

  // Bytes of kCoded for so many queries.
  uint64_t bytes(int64_t count) const;
  // Codes the queries [first, first + count) of the plan.
  void code(int64_t first, int64_t count, bool is_capped);
  // Rows beyond it go from now on.
  void set_cutoff(int64_t query, float cutoff);
  void send() const;  // to kCoded
  // Dispatches `levels`: candidates go to kParts, counts to kCounts, whose words are 2 * count + 1.
  Status dispatch(const Scan::Range& range, uint32_t query_block, uint32_t capacity);
  // The same of items of kItems, of so many groups.
  Status dispatch_items(size_t slab, uint32_t begin, uint32_t count, int64_t groups, uint32_t capacity);

  // Of the row of a candidate of a capped search: five words.
  float lower_bound(int64_t query, const uint32_t* candidate) const;
  // Whether a row of this bound, or of a larger one, has a rank above `limit`, whatever its basis.
  bool excludes(int64_t query, float bound, float limit) const;

  int64_t most_levels() const;
  // Bytes that the dispatches so far would have read without leaving rows early.
  uint64_t whole() const { return whole_; }
  // Bytes that they read, by the levels that they saw.
  uint64_t read(uint32_t levels_seen) const;

 private:
  struct Set {
    BasisPtr basis;
    CodeLayout layout;
    CodeBound bound;
    std::vector<CodedQuery> queries;
    std::vector<CodeTest> tests;
    int64_t words() const {  // of a query
      return static_cast<int64_t>(sizeof(CodeQuery) / 4) + 2 * layout.coded_dim() / 4 + layout.levels() + 1;
    }
  };
  void put(const CodeTest& test, CodeQuery* out) const;
  LevelsParams params(size_t slab, uint32_t capacity) const;
  // `reads`: groups, once for each block of queries.
  Status dispatch(size_t slab, uint32_t query_block, const LevelsParams& p, uint64_t reads);
  uint32_t begin_of(size_t set) const;  // words

  const Scan& scan_;
  std::vector<Set> sets_;
  std::vector<size_t> set_of_slab_;
  int64_t count_ = 0;
  bool is_capped_ = false;
  std::vector<uint32_t> words_;
  uint64_t whole_ = 0, sides_ = 0, level_bytes_ = 0;
};

}  // namespace nearfield::gpu
