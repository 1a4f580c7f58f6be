// SPDX-License-Identifier: Apache-2.0
// The kernels of int8 codes, compiled once per instruction set and chosen at run time beside the f32 path
// (kernels.hpp). Integer dots are exact; all paths leave out the same rows up to roundings that the bound
// covers, and answers are the same bits.
#pragma once

#include <cstdint>
#include <span>

#include "coded_query.hpp"
#include "tile32.hpp"

namespace nearfield::cpu {

// Where the codes of one group lie (code_layout.hpp): level l is at codes + l * level_stride, its tails at
// tails + (l - 1) * tail_stride.
struct CodedGroup {
  uint8_t* codes = nullptr;
  int64_t level_stride = 0;
  uint8_t* tails = nullptr;
  int64_t tail_stride = 0;
  uint16_t* sides = nullptr;
};

// What the kernels know of a basis and of the layout.
struct CodeShape {
  int64_t chunks = 0;  // of the rows: padded_dim / 4
  int64_t dim = 0;
  int64_t levels = 0;
  int64_t level_dims = 0;
  float norm_unit = 0, error_unit = 0;
  bool scaled = false;              // rows are multiplied by their side value first (cosine)
  bool has_beta = false;            // Poincare
  const float* mean = nullptr;      // padded_dim floats, NULL: zero
  const float* rotation = nullptr;  // dim x dim, NULL: identity
  const float* panels =
      nullptr;  // the rotation for the matrix product: [panel][dimension mod 4][chunk][its axes]
  // Or that of its factors: `reduce` as above, `expand` [panel][factor][its axes].
  int64_t factors = 0;
  const float* reduce = nullptr;
  const float* expand = nullptr;
  float rounding = 0;      // of the rotation, as a share of |y|
  bool keeps_all = false;  // the rotation is so far from orthogonal that nothing can be said of lengths

  int64_t coded_dim() const { return levels * level_dims; }
};

// Vectors, of which the mean is taken off, in the axes of a rotation.
inline constexpr int32_t kRotatedAtOnce = 4;
struct RotateTile {
  const CodeShape* shape = nullptr;
  int32_t count = 0;  // at least 1
  const float* vectors[kRotatedAtOnce] = {};
  float* to[kRotatedAtOnce] = {};  // coordinates are `stride` floats apart
  int64_t stride = 1;
};

// Codes the rows [first, first + count) of a group.
struct EncodeTile {
  const CodeShape* shape = nullptr;
  const float* rows = nullptr;  // the group's first float, tile32
  const float* side = nullptr;  // 32 values
  int32_t first = 0, count = 0;
  float* work = nullptr;  // encode_floats(), 64-byte aligned
  CodedGroup to;
  // The codes of `to` stay: only what they leave of the rows is computed, and put into its sides.
  bool codes_stay = false;
};
inline int64_t encode_floats(const CodeShape& shape) {
  // The packed group, y, and the codes of a group of which only some rows are written.
  return (shape.chunks * kChunkFloats + 2 * shape.coded_dim() + 64) * kGroupRows;
}

// Rows of a group from their codes.
inline constexpr int32_t kDecodedAtOnce = 4;
struct DecodeTile {
  const CodeShape* shape = nullptr;
  CodedGroup from;
  int32_t count = 0;
  uint8_t rows[kGroupRows] = {};  // in the group
  float* to[kGroupRows] = {};     // per row its first chunk; the others follow every kChunkStride floats
  float* work = nullptr;          // kDecodedAtOnce * coded_dim() floats
};

// One query of two terms over a run of groups that lie side by side, level by level.
inline constexpr int64_t kRunGroups = 16;
struct LevelTile {
  const CodeShape* shape = nullptr;
  CodedGroup first;  // the run's first group
  int64_t groups = 0;
  const uint32_t* wanted = nullptr;  // per group: the rows that may be returned
  const int8_t* a = nullptr;         // coded_dim codes each
  const int8_t* b = nullptr;
  const int32_t* bias = nullptr;  // per level: 128 times the sums of a, then of b, over the levels up to it
  const float* tails = nullptr;   // per level, those that follow it: CodedQuery::tails + 1
  float scale_a = 0, scale_b = 0;
  bool dot = false;
  CodeTest test;
  uint32_t* kept = nullptr;  // out, per group
  float* values = nullptr;   // NULL, or out: per group 32 left sides at the last level, where `kept` has bits
  int64_t levels_read = 0;   // out
  int64_t expected = 4;      // in and out: levels that a group takes, a moving mean in quarters
};

// One query of one term against a row, rearranged from CodeTest so that little is left to do for each pair:
// with A the integer dot and the vectors of the row A s, e, and r = shrink v^^2 - widen e^2 (dot: v^), a row
// is kept when
//   scale A s + per_error e + per_row r + fixed + (Poincare) beta_squared beta^2 + per_beta beta +
//   per_beta_error beta e >= 0.
struct ProductTest {
  float scale, per_error, per_row, fixed, beta_squared, per_beta, per_beta_error;
};

// One query of one term on its way through groups.
struct RunQuery {
  const int8_t* codes = nullptr;  // coded_dim
  const int32_t* bias = nullptr;  // per level two: 128 times the sum of the codes up to it, and one unused
  const float* tails = nullptr;   // per level, those that follow it: CodedQuery::tails + 1
  ProductTest test = {};
  int32_t first_bias = 0;  // those of the levels that are read together
  float first_tail = 0;
};

// Queries of one term over a run of groups that lie side by side: the first levels of all queries by a
// product, and each that may want rows of a group then goes on alone, tested again whenever the levels that
// it has seen have doubled.
inline constexpr int32_t kMostRunQueries = 12;
struct RunTile {
  const CodeShape* shape = nullptr;
  CodedGroup first;  // the run's first group
  int64_t groups = 0;
  // To be prefetched meanwhile, with so many levels: those of the first `readable` groups that are not near,
  // then the first of `next`.
  int64_t readable = 0, ahead_levels = 0;
  CodedGroup next;
  int64_t next_groups = 0, next_levels = 0;
  int32_t count = 0;              // queries, at most CodeKernels::panel_queries
  int64_t levels = 1;             // of the product
  const int8_t* panel = nullptr;  // [chunk of the first levels][query][4]
  const RunQuery* queries = nullptr;
  const uint32_t* wanted = nullptr;  // [group][query]: the rows that may be returned
  bool dot = false;
  float shrink = 0, widen = 0;  // as in CodedProductTile
  uint32_t* kept = nullptr;     // out, [group][query]
  int32_t* dots = nullptr;      // out, [group][query][32]: the whole products, where rows are kept
  // Added to: pairs of query and group, those that went on, and the levels that these read.
  int64_t visits = 0, longer = 0, levels_read = 0;
};

// Dimensions of a row or query that lie side by side in a product's operands: 4, 8 or, for a matrix unit, as
// many as its tiles are wide. In tiles rows lie as with 4 and queries one after another, with zeros up to a
// whole tile.
inline constexpr int64_t kTileDims = 64;
inline constexpr int64_t kTileQueries = 16;
// Of a row or query.
constexpr int64_t packed_dims(int64_t side_by_side, int64_t coded_dim) {
  return round_up(coded_dim, side_by_side);
}
// Bytes from one query to the next. In tiles an odd number of cache lines: 16 queries of 4,096 bytes would
// share one set of an L1 cache.
constexpr int64_t query_stride(int64_t side_by_side, int64_t coded_dim) {
  const int64_t bytes = packed_dims(side_by_side, coded_dim);
  return side_by_side == kTileDims ? bytes | kTileDims : bytes;
}
// Of all queries: a tile that begins with the last one is read to its end.
constexpr int64_t packed_bytes(int64_t side_by_side, int64_t coded_dim, int64_t queries) {
  const int64_t spare = side_by_side == kTileDims ? kTileQueries - 1 : 0;
  return (queries + spare) * query_stride(side_by_side, coded_dim);
}

// One group, packed level after level, against queries of one term in panels.
struct CodedProductTile {
  const CodeShape* shape = nullptr;
  // [step][32][CodeKernels::packed_dims], all levels; in tiles [chunk][32][4].
  const uint8_t* codes = nullptr;
  const uint16_t* sides = nullptr;
  // [panel][step][its queries][packed_dims]; in tiles [query][query_stride()], and others' queries or zeros
  // up to a multiple of kTileQueries.
  const int8_t* panels = nullptr;
  const int32_t* bias = nullptr;  // per query: 128 times the sum of its codes
  int32_t panel_count = 0;
  int32_t panel_queries = 0;  // of each panel; the first `wider_panels` have one more
  int32_t wider_panels = 0;
  const ProductTest* tests = nullptr;  // per query
  bool dot = false;
  float shrink = 0, widen = 0;  // of every query, except dot
  const char* ahead = nullptr;  // memory to prefetch meanwhile
  const char* ahead_end = nullptr;
  uint32_t* kept = nullptr;  // out, per query
};

struct CodeKernels {
  const char* name;     // "avx512vnni"; that of a test's stand-in ends with "-sim"
  const char* path;     // the f32 path (Kernels::name) whose CPUs may have it
  bool (*supported)();  // by the CPU this runs on
  int32_t panel_axes;   // the widest panel of a rotation
  int32_t panel_queries;
  bool product_pays;    // it is faster than the product of floats
  int32_t packed_dims;  // 4, 8 or kTileDims: of product()'s operands
  void (*rotate)(const RotateTile&);
  void (*encode)(const EncodeTile&);
  void (*decode)(const DecodeTile&);
  void (*levels)(LevelTile&);
  void (*product)(const CodedProductTile&);
  void (*runs)(RunTile&);
  // NULL, or around the products of a piece of work, on the thread that does it.
  void (*begin)();
  void (*end)();
};

// A piece of work with products.
class ProductWork {
 public:
  explicit ProductWork(const CodeKernels& kernels) : kernels_(kernels) {
    if (kernels_.begin != nullptr) kernels_.begin();
  }
  ~ProductWork() {
    if (kernels_.end != nullptr) kernels_.end();
  }
  ProductWork(const ProductWork&) = delete;
  ProductWork& operator=(const ProductWork&) = delete;

 private:
  const CodeKernels& kernels_;
};

// Compiled in, best first; for every f32 path there is at least one that every CPU of that path supports.
std::span<const CodeKernels* const> compiled_code_kernels();

}  // namespace nearfield::cpu
