// SPDX-License-Identifier: Apache-2.0
// Parameter structs and shared elements of the GPU kernels, read by the host (C++), by CUDA and by the Metal
// Shading Language; the WGSL kernels repeat them, the same fields in the same order. Fixed-width fields of
// four bytes only; sizes are multiples of 16.
#ifndef NEARFIELD_KERNEL_PARAMS_H
#define NEARFIELD_KERNEL_PARAMS_H

#ifndef __METAL_VERSION__
#include <stdint.h>
#endif

namespace nearfield {

// flat, histogram, collect: a walk over the groups [group_begin, group_end) of one slab; of flat with
// has_items (one query a block) the work of the items that follow item_begin, one a workgroup.
struct ScanParams {
  uint32_t chunks;       // of 4 dimensions
  uint32_t first_row;    // of the slab, in the store
  uint32_t group_begin;  // this dispatch's groups of the slab
  uint32_t group_end;
  uint32_t groups_per_part;  // a multiple of the scan's tile
  uint32_t query_blocks;     // ceil(batch / query block)
  uint32_t batch;            // queries of this chunk
  uint32_t k;                // entries of a list; collect: room of a query's output
  uint32_t workgroups;       // parts * query_blocks
  uint32_t grid_x;           // workgroups along x
  uint32_t part_base;        // first list this dispatch writes
  uint32_t part_stride;      // lists per query
  uint32_t has_masks;
  uint32_t digit_stage;  // radix selection: 0 = digits of the key, 1 = digits of the row
  uint32_t digit_shift;
  float zero;            // 0.0, unknown to the compiler
  uint32_t part_groups;  // flat: of a part's groups, the first ones that are scanned: fewer for a sample
  uint32_t has_items;
  uint32_t item_begin;
  uint32_t reserved;
};

// Groups of a slab that one query meets. `part`: of flat, which of the query's lists it makes; without groups
// an empty one.
struct WorkItem {
  uint32_t group_begin;
  uint32_t group_end;
  uint32_t query;
  uint32_t part;
};

struct MergeParams {
  uint32_t batch;
  uint32_t k;
  uint32_t lists;  // per query, of part_stride
  uint32_t part_stride;
  uint32_t first;  // 1: there is no best so far
  uint32_t grid_x;
  uint32_t reserved0;
  uint32_t reserved1;
};

struct ScoreParams {
  uint32_t chunks;
  uint32_t pair_begin;
  uint32_t pair_end;
  uint32_t workgroups;
  uint32_t grid_x;
  uint32_t reserved0;
  uint32_t reserved1;
  float zero;
};

struct MoveParams {
  uint32_t chunks;
  uint32_t count;      // rows to move
  uint32_t from_tile;  // 1: the source is tile32, 0: plain rows
  uint32_t to_tile;
  uint32_t has_side;
  uint32_t move_begin;  // first entry of `moves`
  uint32_t grid_x;
  uint32_t reserved;
};

// matrix: products of a window of rows with all queries of the chunk, keeping rows that the certificate
// cannot rule out. rescore: canonical ranks of what was kept, merged with the best so far.
struct MatrixParams {
  uint32_t chunks;
  uint32_t first_row;    // of the slab, in the store
  uint32_t group_begin;  // the window: groups [group_begin, group_end) of the slab
  uint32_t group_end;
  uint32_t batch;
  uint32_t query_tiles;  // matrix: ceil(batch / query tile)
  uint32_t k;            // rescore
  uint32_t capacity;     // candidates that a query has room for
  uint32_t workgroups;   // matrix: row tiles * query_tiles; rescore: batch
  uint32_t grid_x;
  uint32_t has_masks;
  uint32_t first;      // rescore: 1: there is no best so far
  uint32_t slab_rows;  // rescore: candidates beyond these rows from first_row on are another slab's
  uint32_t goes_on;    // rescore: 1: the candidates are still needed
  float scale;         // matrix: of the limit, see Bound
  float zero;
};

// rotate, code: the int8 codes of whole groups of one slab (code_layout.hpp), those that `groups` lists.
struct CodingParams {
  uint32_t chunks;      // of 4 dimensions of a row
  uint32_t list_begin;  // entries [list_begin, list_end) of `groups`
  uint32_t list_end;
  uint32_t groups;  // of the slab: what planes are apart
  uint32_t levels;
  uint32_t level_chunks;  // level_dims / 4
  uint32_t has_mean;
  uint32_t is_rotated;  // code: 1: y from `rotated`, 0: y = x
  uint32_t axis_begin;  // rotate: axes [axis_begin, axis_end), those that `basis` holds; multiples of 8
  uint32_t axis_end;    // rounded up to 8, with zeros for axes that there are not
  uint32_t workgroups;
  uint32_t grid_x;
  float norm_scale;   // norms are floor(|c| * norm_scale)
  float error_scale;  // errors are floor(|y/s - c| * error_scale + |x|/s * x_scale + error_room)
  float x_scale;
  float error_room;
  float longest;  // rows with s * (|c| + length_room) above it are always kept
  float length_room;
  float tail_scale;     // tails are ceil(|c from the level on| * tail_scale / norm)
  float zero;           // 0.0, unknown to the compiler
  uint32_t codes_stay;  // code: 1: only the errors of the codes that are there are computed
  uint32_t reserved0;
  uint32_t reserved1;
  uint32_t reserved2;
};

// decode: rows of one slab from their codes, to rows [to_begin, ...) of tile32.
struct DecodingParams {
  uint32_t chunks;  // of 4 dimensions of a row
  uint32_t
      row_begin;  // rows [row_begin, row_end) of the slab; with has_list entries of `rows`, which name them
  uint32_t row_end;
  uint32_t has_list;
  uint32_t to_begin;
  uint32_t groups;  // of the slab: what planes are apart
  uint32_t levels;
  uint32_t level_chunks;  // level_dims / 4
  uint32_t has_mean;
  uint32_t is_rotated;
  uint32_t axis_begin;  // axes [axis_begin, axis_end), those that `basis` holds; multiples of 8. The sum goes
                        // on from
  uint32_t axis_end;    // what is at the destination unless axis_begin is 0
  uint32_t is_last;     // 1: the mean is added
  uint32_t has_side;
  uint32_t grid_x;
  uint32_t reserved;
};

// transfer: codes and side values of rows from one slab to the groups of another that `targets` lists.
struct TransferParams {
  uint32_t list_begin;  // entries [list_begin, list_end) of `targets`
  uint32_t list_end;
  uint32_t from_groups;  // of the slabs: what planes are apart
  uint32_t to_groups;
  uint32_t levels;
  uint32_t level_chunks;
  uint32_t planes;  // of side values among the codes
  uint32_t has_side;
  uint32_t grid_x;
  uint32_t reserved0;
  uint32_t reserved1;
  uint32_t reserved2;
};

// levels: a walk over the groups [group_begin, group_end) of the codes of one slab, or items as flat has
// them.
struct LevelsParams {
  uint32_t first_row;  // of the slab, in the store
  uint32_t group_begin;
  uint32_t group_end;
  uint32_t groups_per_part;
  uint32_t groups;  // of the slab: what planes are apart
  uint32_t levels;
  uint32_t level_chunks;
  uint32_t query_begin;   // words: where the queries of the slab's basis begin in `queries`
  uint32_t query_words;   // of one query
  uint32_t query_blocks;  // ceil(batch / query block)
  uint32_t batch;
  uint32_t capacity;    // candidates that a query has room for
  uint32_t workgroups;  // parts * query_blocks
  uint32_t grid_x;
  uint32_t has_masks;
  uint32_t is_capped;  // 1: base and gain are the query's, and candidates come with their values
  float norm_unit;     // code_layout.hpp
  float tail_unit;     // 1 / 254 of norm_unit, rounded up
  float error_unit;
  float beta_unit;
  uint32_t has_items;
  uint32_t item_begin;
  uint32_t reserved0;
  uint32_t reserved1;
};

// Per query and basis of `levels`, the test that rows are kept by (coded_query.hpp: CodeTest). In the buffer
// it is followed by the codes of both terms, `levels * level_chunks` words each of four int8, the first
// dimension lowest, and by the tails |y^_q from level l on| in f32, l = 0 .. levels.
//
// Unless is_capped, base and gain follow from the rank r of limits[query], every operation in f32, a square
// root with an error of at most 2^-19 of it; NEARFIELD_EMPTY keeps all:
//   L2, cosine  base = sqrt(r slope + addend) + offset, gain = 0
//   Poincare    gain = sqrt(r slope + addend), base = offset
//   dot         t = r + offset, base = (t + |t| 2^-21) + addend, gain = 0
struct CodeQuery {
  float scale_a, scale_b;  // of the two terms
  float shrink, query, widen;
  float per_error, per_norm;
  float base, gain;
  uint32_t keeps_all;  // is_capped: base is infinite
  float slope, addend, offset;
  uint32_t reserved0, reserved1, reserved2;
};

// coded_product: pairs of a row and a query of int8 codes, a tile of rows by a tile of queries, both coded
// alike (code_layout.hpp) in the same basis, the queries by kRotate and kCode as rows of L2; of dot without
// the mean.
//
// Of a pair: A the dot of the codes, s, v, e the row's scale, norm (v^, rounded down) and error, sq, vq, eq
// the query's, z = sq (s A). Its canonical rank is between two bounds, every operation in f32, fused or not:
//   L2, cosine, Poincare
//     near = shrink (v^2 + vq^2) - 2 z, far = grow ((v + norm_unit s)^2 + (vq + norm_unit sq)^2) - 2 z
//     d = sqrt(near) (1 - 2^-18) - e - eq - fixed, D = sqrt(far) (1 + 2^-18) + e + eq; roots of 0 if negative
//     lower: d^2 lower (Poincare: / beta^2) - tiny (not Poincare), at least 0, 0 where d is negative
//     upper: D^2 upper (Poincare: / (beta - 2 beta_unit)^2, infinite where that is not positive) + tiny
//   dot, with the query's terms
//     E = (stretch + slack) norm e + (eq + slack norm) norm_up v + addend + (|z| + |offset|) 2^-21
//     lower: -z - offset - E, upper: -z - offset + E
// A row (or query) that is always kept: lower the least rank, upper infinite.
//
// A row whose lower bound is beyond the rank r of limits[query] goes; the test may be rearranged so that
// little is left for a pair: with b = sqrt(r slope + addend) + eq + fixed (Poincare: b = eq + fixed and
// g = sqrt(r slope + addend)) and w = 1 + 2^-18 a row stays where
//     2 z + (w e^2 - shrink v^2) + (w b^2 - shrink vq^2) + 2 w b e + w g^2 beta^2 + 2 w g beta (b + e) >= 0
// of dot where z + (stretch + slack) norm e + (eq + slack norm) norm_up v + t + |t| 2^-21 + addend >= 0,
// t = r + offset.
struct CodedProductParams {
  uint32_t first_row;    // of the slab, in the store
  uint32_t group_begin;  // tiles of rows begin here and every `apart` groups, `tiles` of them
  uint32_t group_end;
  uint32_t apart;
  uint32_t tiles;
  uint32_t tiles_per_workgroup;
  uint32_t groups;        // of the slab: what planes are apart
  uint32_t query_groups;  // of the queries' codes
  uint32_t levels;
  uint32_t level_chunks;
  uint32_t batch;
  uint32_t query_tiles;  // ceil(batch / query tile)
  uint32_t workgroups;
  uint32_t grid_x;
  uint32_t has_masks;
  uint32_t capacity;     // candidates that a query has room for
  uint32_t is_sample;    // 1: the least upper bounds are written in place of candidates
  uint32_t part_base;    // of a sample: the first of this dispatch's parts
  uint32_t part_stride;  // parts of a query
  float norm_unit;       // code_layout.hpp
  float error_unit;
  float beta_unit;
  float shrink, grow;  // coded_query.hpp: PairTerms
  float slope, addend, fixed, lower, upper, tiny, stretch, slack, norm_up;
  uint32_t reserved0, reserved1, reserved2;
};

// matrix_tf32: the same of rows and queries as TF32. levels is 1, level_chunks the chunks of a row, norm_unit
// 0. A is what the unit makes of the product of v~ and q~, s is 1 (cosine: 1/|v|), sq 1, v and vq the norms
// and e and eq the errors of Tf32Values; gpu/tf32_bounds.hpp has the terms.

// Per row or query of matrix_tf32; v~ is what the unit takes of it.
struct Tf32Values {
  float norm;   // |s v~|
  float error;  // |s (v - v~)|, not less
};

// residual: Tf32Values of all 32 rows of each group of a list. s is 1, of rows with has_side their side
// value.
//   row    v~ has the low 13 bits of each element 0, as the unit ignores them
//   query  v~ is rounded to the nearest TF32, ties away from zero, and written. NEARFIELD_QUERY_TILES: in
//          tile32. NEARFIELD_QUERY_FRAGMENTS: [group][chunk][2][2][8][4], for each half of a group's queries,
//          each half of a chunk and g < 8 the two elements there of the queries g and g + 8, in the order g,
//          g + 8, g, g + 8
//   norm   the root of the sum of (s v~)^2, in any order, fused or not
//   error  |s (v - v~)| error_scale + norm norm_scale + error_room
struct ResidualParams {
  uint32_t chunks;  // of 4 dimensions
  uint32_t list_count;
  uint32_t has_side;
  uint32_t is_query;  // 0 or how they are written
  uint32_t workgroups;
  uint32_t grid_x;
  float error_scale, norm_scale, error_room;
  uint32_t reserved0, reserved1, reserved2;
};

// Per query of coded_product and matrix_tf32; of dot, else 0.
struct ProductQuery {
  float norm;    // |q|, not less
  float offset;  // q . mean
  float addend;
  float reserved;
};

// prune: limits from upper bounds, and candidates that are beyond them.
struct PruneParams {
  uint32_t batch;
  uint32_t k;
  uint32_t capacity;
  uint32_t workgroups;  // batch
  uint32_t grid_x;
  uint32_t parts;  // of a sample: upper bounds of a query, in place of candidates; 0: candidates
  uint32_t reserved0;
  uint32_t reserved1;
};

// Per query of the radix selection.
struct Digits {
  uint32_t key;  // histogram: digits fixed so far; collect: the bound, inclusive
  uint32_t row;
  uint32_t key_mask;  // histogram: which bits of key and row are fixed
  uint32_t row_mask;
};

// Elements of buffers of two words.
struct Entry {
  uint32_t key;  // order-preserving integer of a rank
  uint32_t row;  // in the store
};
struct Move {
  uint32_t from;
  uint32_t to;
};
struct Pair {
  uint32_t query;
  uint32_t row;  // of the slab
};

// Per query of `matrix`, by gpu/bounds.hpp. With p the product of query and row, summed in any order, and r
// the rank in limits[query], a row stays a candidate when
//   L2, dot: slope * side - p <= cut      cosine: -(side * p) <= cut
//   c = fma(r, scale, base), cut = c + |c| 2^-22, infinite while limits[query] is NEARFIELD_EMPTY.
struct Bound {
  float base;
  float slope;
};

}  // namespace nearfield

// "No entry": larger than the key of every finite rank and of +infinity (0xff800000).
#define NEARFIELD_EMPTY 0xffffffffu
// A mark of `rescore` in the sum of a query's rescored rows: some candidates found no room.
#define NEARFIELD_CUT_SHORT 0x80000000u
// ResidualParams::is_query: for matrix_tf32, or for matrix_tf32_wgmma.
#define NEARFIELD_QUERY_FRAGMENTS 1
#define NEARFIELD_QUERY_TILES 2
// Words of a candidate of `levels` with is_capped: row, then as f32 the left side of its test at the last
// level, the row's norm v^, its error e (NEARFIELD_EMPTY for a row that is always kept) and beta (else 0).
#define NEARFIELD_VALUE_WORDS 5u
// Words of an entry of `targets`: a group, then of each of its 32 rows the row that it comes from, or
// NEARFIELD_EMPTY.
#define NEARFIELD_TARGET_WORDS 33u
// Digits of 11 bits: three per word, 8 KiB of counters in workgroup memory.
#define NEARFIELD_BINS 2048u

#endif  // NEARFIELD_KERNEL_PARAMS_H
