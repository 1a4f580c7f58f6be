// SPDX-License-Identifier: Apache-2.0
#include "query_codes.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "coded.hpp"
#include "metric.hpp"

namespace nearfield::gpu {
namespace {

constexpr int32_t kTerms = 2;
// So that CodedQuery::direct is set of none, whatever the basis.
constexpr double kLongestQuery = 0x1p59;

}  // namespace

bool too_long(const Scan& scan, int64_t query) {
  double most_mean = 0;  // |m|^2
  for (const SlabBuffers& slab : scan.slabs())
    if (!slab.basis->mean.empty())
      most_mean = std::max(most_mean, squared_norm(slab.basis->mean.data(), scan.dim()));
  const float* from = scan.plan().queries + query * scan.plan().query_stride;
  return std::sqrt(squared_norm(from, scan.dim())) + std::sqrt(most_mean) > kLongestQuery;
}

void count_too_long(const Scan& scan, int64_t queries, ScanCount* scanned) {
  for (size_t slab = 0; slab < scan.slabs().size(); ++slab) {
    const CodeLayout layout{scan.metric(), scan.dim(), scan.slabs()[slab].basis->level_dims, 1};
    const auto bytes =
        static_cast<uint64_t>(queries * scan.groups_in(slab) * layout.read_bytes(layout.levels()));
    scanned->read += bytes;
    scanned->whole += bytes;
  }
}

QueryCodes::QueryCodes(const Scan& scan) : scan_(scan) {
  for (const SlabBuffers& slab : scan.slabs()) {
    size_t set = 0;
    while (set < sets_.size() && sets_[set].basis != slab.basis) ++set;
    if (set == sets_.size())
      sets_.push_back({slab.basis,
                       {scan.metric(), scan.dim(), slab.basis->level_dims, 1},
                       CodeBound(scan.metric(), *slab.basis, canonical_roundings(scan)),
                       {},
                       {}});
    set_of_slab_.push_back(set);
  }
  for (const Set& set : sets_)
    level_bytes_ = std::max(level_bytes_, static_cast<uint64_t>(set.layout.level_bytes() + kGroupRows));
}

uint64_t QueryCodes::bytes(int64_t count) const {
  int64_t words = 0;
  for (const Set& set : sets_) words += set.words();
  return static_cast<uint64_t>(words * count) * sizeof(uint32_t);
}

int64_t QueryCodes::most_levels() const {
  int64_t most = 1;
  for (const Set& set : sets_) most = std::max(most, set.layout.levels());
  return most;
}

uint32_t QueryCodes::begin_of(size_t set) const {
  int64_t words = 0;
  for (size_t i = 0; i < set; ++i) words += sets_[i].words() * count_;
  return static_cast<uint32_t>(words);
}

void QueryCodes::put(const CodeTest& test, CodeQuery* out) const {
  out->shrink = test.shrink;
  out->query = test.query;
  out->widen = test.widen;
  out->per_error = test.per_error;
  out->per_norm = test.per_norm;
  out->keeps_all = std::isinf(test.base);
  out->base = out->keeps_all != 0 ? 0 : test.base;
  out->gain = test.gain;
}

void QueryCodes::code(int64_t first, int64_t count, bool is_capped) {
  count_ = count;
  is_capped_ = is_capped;
  words_.assign(static_cast<size_t>(bytes(count)) / sizeof(uint32_t), 0);
  std::vector<float> y(static_cast<size_t>(scan_.dim()));
  for (size_t s = 0; s < sets_.size(); ++s) {
    Set& set = sets_[s];
    set.queries.resize(static_cast<size_t>(count));
    set.tests.resize(static_cast<size_t>(count));
    const auto terms = static_cast<size_t>(set.layout.coded_dim() / 4);
    for (int64_t q = 0; q < count; ++q) {
      const float* query = scan_.plan().queries + (first + q) * scan_.plan().query_stride;
      CodedQuery& coded = set.queries[static_cast<size_t>(q)];
      CodeTest& test = set.tests[static_cast<size_t>(q)];
      rotate_query(*set.basis, scan_.metric(), query, y.data());
      code_query(*set.basis, scan_.metric(), query, y.data(), kTerms, &coded);
      test = is_capped ? set.bound.capped_test(coded)
                       : set.bound.test(coded, std::numeric_limits<float>::infinity());
      const CodeBound::LimitTerms limit = set.bound.limit_terms(coded);
      CodeQuery header{};
      header.scale_a = coded.scale[0];
      header.scale_b = coded.scale[1];
      put(test, &header);
      header.slope = limit.slope;
      header.addend = limit.constant;
      header.offset = limit.offset;
      uint32_t* to = words_.data() + begin_of(s) + q * set.words();
      std::memcpy(to, &header, sizeof(header));
      to += sizeof(header) / sizeof(uint32_t);
      for (const std::vector<int8_t>& codes : coded.codes) {
        std::memcpy(to, codes.data(), terms * sizeof(uint32_t));
        to += terms;
      }
      std::memcpy(to, coded.tails.data(), coded.tails.size() * sizeof(float));
    }
  }
}

void QueryCodes::set_cutoff(int64_t query, float cutoff) {
  for (size_t s = 0; s < sets_.size(); ++s) {
    Set& set = sets_[s];
    CodeTest& test = set.tests[static_cast<size_t>(query)];
    set.bound.set_cutoff(set.queries[static_cast<size_t>(query)], cutoff, &test);
    uint32_t* at = words_.data() + begin_of(s) + query * set.words();
    CodeQuery header;
    std::memcpy(&header, at, sizeof(header));
    put(test, &header);
    std::memcpy(at, &header, sizeof(header));
  }
}

void QueryCodes::send() const {
  scan_.context().queue().write(scan_.context().work(kCoded), 0, words_.data(),
                                words_.size() * sizeof(uint32_t));
}

LevelsParams QueryCodes::params(size_t slab, uint32_t capacity) const {
  const size_t set = set_of_slab_[slab];
  const CodeLayout& layout = sets_[set].layout;
  LevelsParams p{};
  p.first_row = scan_.first_row_of(slab);
  p.groups = scan_.slab_groups_of(slab);
  p.levels = static_cast<uint32_t>(layout.levels());
  p.level_chunks = static_cast<uint32_t>(layout.level_dims / kChunkFloats);
  p.query_begin = begin_of(set);
  p.query_words = static_cast<uint32_t>(sets_[set].words());
  p.batch = static_cast<uint32_t>(count_);
  p.capacity = capacity;
  p.has_masks = scan_.has_masks();
  p.is_capped = is_capped_;
  p.norm_unit = nearfield::norm_unit(layout.coded_dim());
  p.tail_unit = std::nextafter(p.norm_unit / static_cast<float>(kTailUnits), 1.0f);
  p.error_unit = nearfield::error_unit(layout.coded_dim());
  p.beta_unit = kBetaUnit;
  return p;
}

Status QueryCodes::dispatch(const Scan::Range& range, uint32_t query_block, uint32_t capacity) {
  LevelsParams p = params(range.slab, capacity);
  p.group_begin = range.group_begin;
  p.group_end = range.group_end;
  p.groups_per_part = range.groups_per_part;
  p.query_blocks = (p.batch + query_block - 1) / query_block;
  p.workgroups = range.parts * p.query_blocks;
  return dispatch(range.slab, query_block, p,
                  uint64_t{p.query_blocks} * (range.group_end - range.group_begin));
}

Status QueryCodes::dispatch_items(size_t slab, uint32_t begin, uint32_t count, int64_t groups,
                                  uint32_t capacity) {
  LevelsParams p = params(slab, capacity);
  p.query_blocks = 1;
  p.workgroups = count;
  p.has_items = 1;
  p.item_begin = begin;
  return dispatch(slab, 1, p, static_cast<uint64_t>(groups));
}

Status QueryCodes::dispatch(size_t slab, uint32_t query_block, const LevelsParams& p, uint64_t reads) {
  Context& context = scan_.context();
  const CodeLayout& layout = sets_[set_of_slab_[slab]].layout;
  const SlabBuffers& buffers = scan_.slabs()[slab];
  whole_ += reads * static_cast<uint64_t>(layout.read_bytes(layout.levels()));
  sides_ += reads * static_cast<uint64_t>(layout.side_bytes());
  const Buffer& items = context.work(p.has_items != 0 ? kItems : kUnused);
  return context.dispatch(kLevels, {scan_.metric(), query_block, 1}, p, context.grid(p.workgroups),
                          {&buffers.codes, &buffers.live, &scan_.masks(), &context.work(kCoded),
                           &context.work(kLimits), &context.work(kCounts), &context.work(kParts), &items});
}

uint64_t QueryCodes::read(uint32_t levels_seen) const {
  return std::min(whole_, sides_ + levels_seen * level_bytes_);
}

float QueryCodes::lower_bound(int64_t query, const uint32_t* candidate) const {
  // A row that is always kept may be as near as can be.
  if (candidate[3] == NEARFIELD_EMPTY) return -std::numeric_limits<float>::infinity();
  const Set& set = sets_[set_of_slab_[scan_.slab_of(candidate[0])]];
  const auto value = [&](int i) { return std::bit_cast<float>(candidate[i]); };
  return set.bound.lower_bound(set.queries[static_cast<size_t>(query)], value(1),
                               {value(2), value(3), value(4)});
}

bool QueryCodes::excludes(int64_t query, float bound, float limit) const {
  return std::all_of(sets_.begin(), sets_.end(), [&](const Set& set) {
    return set.bound.excludes(set.queries[static_cast<size_t>(query)], bound, limit);
  });
}

}  // namespace nearfield::gpu
