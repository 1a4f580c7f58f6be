/* SPDX-License-Identifier: Apache-2.0
 *
 * nearfield.h - the one C ABI that every backend (cpu, cuda, metal, wgpu) exports.
 *
 * A backend is a shared library exporting ONE symbol, nf_get_api(). Rules for the whole header:
 *  - fixed-width types only; no enum type, bool, long, size_t, bit-field or union: generated bindings
 *    are then the same on every platform. Structs have no hidden padding (-Wpadded -Werror).
 *  - a struct starts with struct_size, set by whoever allocates it. New fields go at the end; a shorter
 *    struct means "older caller, use the default"; 0 is the default of every appended field. A longer
 *    one, or flag bits, that this library does not know: NF_UNIMPLEMENTED unless all of it is 0. Shorter than
 *    the struct's first release, or over 4,096 bytes: NF_INVALID_ARGUMENT.
 *    Structs refer to each other by pointer, so that each can grow; a request is always a struct.
 *  - functions return an nf_status. On failure outputs and the index are untouched and call->error is filled.
 *  - host pointers are borrowed for the call only. A handle is freed by its *_destroy; NULL is fine.
 *  - any thread may call anything; calls on one nf_context run one at a time, in order, and a time-out
 *    counts the wait. A context outlives its indexes: destroying it first leaves them answering
 *    NF_FAILED_PRECONDITION (their memory is freed with each, the device with the last), as they answer
 *    NF_DEVICE_LOST after a loss. Destroying a handle in use is undefined.
 *  - the same query over the same rows gives the same bits, whatever the batch, threads, filter or slabs.
 *  - row numbers are int64, 0..rows-1 in insertion order; distances: smaller is better. */
#ifndef NEARFIELD_H_
#define NEARFIELD_H_
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define NF_ABI_MAJOR 1 /* changes when old callers break; the loader refuses another major     */
#define NF_ABI_MINOR 0 /* changes when a field or function is appended; see docs/abi-changes.md */

typedef int32_t nf_status; /* numbers of absl::StatusCode, as PJRT and IREE use */
enum { NF_OK = 0, NF_CANCELLED = 1, NF_INVALID_ARGUMENT = 3, NF_DEADLINE_EXCEEDED = 4,
       NF_RESOURCE_EXHAUSTED = 8, NF_FAILED_PRECONDITION = 9, NF_UNIMPLEMENTED = 12,
       NF_INTERNAL = 13, NF_UNAVAILABLE = 14, NF_DEVICE_LOST = 15 };
enum { NF_F32 = 1, NF_F16 = 2, NF_BF16 = 3, NF_I8 = 4 };                              /* element type */
enum { NF_L2SQ = 1, NF_COSINE = 2, NF_DOT = 3, NF_POINCARE = 4, NF_MANHATTAN = 5 };   /* metric       */
enum { NF_FLAT = 1, NF_IVF = 2 };                                                     /* index kind   */
enum { NF_ALL = 0, NF_BITSET = 1, NF_ROWS = 2 };                                      /* filter kind  */
enum { NF_EXACT = 1, NF_WITHIN = 2 };                                                 /* search flags */
enum { NF_DROP_F32 = 1 };                                                             /* index flags: codes alone; nf_capability asks with store_dtype I8 */
enum { NF_HIDDEN = 1 };                                                               /* add flags    */
enum { NF_CALIBRATION = 46 };                                                         /* numbers of nf_lists.calibration */
enum { NF_OP_KNN = 1, NF_OP_KMEANS = 2, NF_OP_ASSIGN = 3, NF_OP_QUANTIZE = 4, NF_OP_INDEX = 5 };

typedef struct nf_context nf_context; /* a device, a queue and a workspace       */
typedef struct nf_index nf_index;     /* rows on one device, flat or in IVF lists */

typedef struct nf_error { /* caller-owned; 512 bytes */
  uint32_t struct_size; nf_status status;
  int64_t native_code;   /* CUresult, NSError code, WGPU type; 0 when none */
  char message[496];     /* UTF-8, NUL-terminated: "add: row 3, dimension 17 is NaN" */
} nf_error;

typedef struct nf_call {        /* how one call may end early; read between dispatches */
  uint32_t struct_size, flags;
  int64_t timeout_ns;           /* 0: none. Past it: NF_DEADLINE_EXCEEDED */
  const uint32_t *cancel;       /* NULL, or a word any thread may set non-zero: NF_CANCELLED */
  int64_t *progress;            /* NULL, or 3 words written relaxed: phase (1 check, 2 copy, 3 compact, 4 train, 5 maintain), rows done, rows in all */
  nf_error *error;              /* NULL, or where to describe a failure */
} nf_call;

typedef struct nf_device_info {
  uint32_t struct_size, flags;
  char name[128], driver[128];  /* "NVIDIA H200", "CUDA 13.0 / 580.159" */
  uint64_t memory_bytes, free_bytes, max_binding_bytes;
  int64_t dispatch_target_ns;
  int32_t simd_width, compute_units;
  int32_t unified_memory, software; /* software=1: a GPU API running on the CPU (lavapipe, WARP) */
  int32_t emulated, reserved;       /* emulated=1: kernels run on the host SIMT emulator (tests)  */
} nf_device_info;

typedef struct nf_context_desc { /* 0 everywhere: sensible */
  uint32_t struct_size, flags;
  int32_t device, threads;          /* threads: CPU backend and host work; 0: what this process may use */
  uint64_t memory_limit, workspace_limit, slab_bytes, max_binding_bytes; /* small values serve the tests */
  const char *force_path;           /* NULL, or a path by name ("avx2", "emu128"); an unknown one: the names there are */
} nf_context_desc;

typedef struct nf_capability {      /* ask, do not probe by failing */
  uint32_t struct_size; int32_t op, index_kind, metric;
  int32_t input_dtype, store_dtype, scan_dtype, reserved;
} nf_capability;

/* Long work in slices: the same request and step again until done, with any other calls between. A step takes at least one
 * piece of the work, then looks at the clock. One that fails leaves the step as it was and ends the work. */
typedef struct nf_step {            /* all 0 before the first step */
  uint32_t struct_size; int32_t done; /* out: 1 when finished; only then does the result take effect */
  int64_t budget_ns;                /* 0: finish in this call */
  int64_t position;                 /* in and out: rows passed so far */
  void *work;                       /* in and out, knn and k-means: what the context keeps between steps, NULL at both ends; never to be
                                       followed. A step that fails frees it, unless its nf_call or nf_step cannot be read: to give up, call
                                       once more with the cancel word raised. At the latest the context frees it when it is destroyed. One
                                       that the context does not know is refused */
} nf_step;

typedef struct nf_matrix { /* host rows; row i starts at data + i * row_stride (bytes) */
  uint32_t struct_size; int32_t dtype;
  void *data; int64_t rows, cols, row_stride;
} nf_matrix;

typedef struct nf_filter { /* NF_BITSET: bit (i & 31) of word i / 32 set = row i may be returned; rows past its end may not */
  uint32_t struct_size; int32_t kind;
  const uint32_t *bits; const int64_t *rows; /* NF_ROWS: ascending, unique */
  int64_t count;                             /* words, or rows */
} nf_filter;

/* Per query k entries, best first, equal ones by lower row; missing (k above the rows found): row -1, distance
 * NaN. Elements between k and row_stride are never touched. The order is that of the distance before its last
 * rounding: Poincare ranks by |q-v|^2 / (1-|v|^2), so two distances may print equal and still be in order. */
typedef struct nf_result {
  uint32_t struct_size; int32_t k;
  int64_t *rows; float *distances; int64_t row_stride; /* in elements, >= k */
  int32_t *count;                                      /* per query, may be NULL: results found, <= k */
  uint8_t *certified;                                  /* per query, may be NULL: 1 = bit-identical to the f32 scan of the same lists */
  int32_t *rescored;                                   /* per query, may be NULL: rows rescored in f32 */
  int32_t *lists_scanned;                              /* per query, may be NULL: IVF */
  float *recall_estimate;                              /* per query, may be NULL: the share of the true k best that this answer holds, by an
                                                          estimate (IVF; docs/numerics.md); 1 where all rows were looked at */
} nf_result;

typedef struct nf_search {
  uint32_t struct_size, flags;  /* NF_EXACT: scan every list, in f32 */
  const nf_matrix *queries;     /* F32 */
  const nf_filter *const *filters; /* NULL: every live row */
  const int32_t *filter_of_query; /* NULL: filters[0] for all; else per query, -1: none */
  const int32_t *probes_of_query; /* IVF; NULL: `probes` for all. A flat index is exact: it checks the ranges of
                                     probes, target_recall and max_oversample and has no further use for them */
  int32_t filter_count, probes; /* probes 0: from target_recall, or the index's default */
  float target_recall;          /* IVF; at most 1: each query looks into lists until the estimate says that on average this share of the true k
                                   best is found. With probes unused. 0: unset; with neither, and no default of the index, 0.95 */
  float max_distance;           /* with NF_WITHIN in flags: nothing farther is returned; not NaN */
  float max_oversample;         /* low-precision scans; 0: no cap, every answer is exact. Else at least 1: only the ceil(max_oversample x k)
                                   rows of least lower bound are rescored, and certified may be 0. NF_EXACT: as if 0 */
  float reserved;
  nf_result *result;
} nf_search;                    /* a smaller k is a prefix of a larger one: callers may merge searches */

typedef struct nf_score {       /* exact distances of chosen rows: reranking */
  uint32_t struct_size, flags;
  const nf_matrix *queries;
  const int64_t *offsets, *rows; /* query i scores rows[offsets[i] .. offsets[i+1]-1]; a dead or unknown row: NaN */
  float *distances;             /* parallel to rows: entries from offsets[0] on are written */
  float *errors;                /* NULL, or parallel to distances: |v - decoded v| of each row (cosine: of the normalised one), rounded up; 0 where
                                   rows are kept in f32, NaN where the distance is */
} nf_score;

/* Exact search over host matrices, without an index: the toolkit's brute force. In steps, every step has the whole request; the
 * pointers may differ, the numbers may not, and the vectors and filters they lead to must not. The result is written by the last. */
typedef struct nf_knn {
  uint32_t struct_size; int32_t metric;
  const nf_matrix *queries, *dataset; /* every row of both is checked; Poincare: norms up to 1 - 1e-5 */
  const nf_filter *filter; nf_result *result; /* filter NULL: every row; it counts the rows of the whole dataset */
  int64_t dataset_rows;         /* 0: `dataset` holds all rows. Else how many there are, and `dataset` holds those from step->position on,
                                   at least one while there are more: a step takes some of them, or none, and the work is done with the last */
} nf_knn;

/* Seeding on a random sample, then Lloyd; same seed and device: same bits out. L2, cosine and dot, whose centroids have length 1. Every
 * row is checked, and in steps comes whole with each. No cluster of the sample is empty: rows in fewer places are refused. */
typedef struct nf_kmeans {
  uint32_t struct_size; int32_t metric;
  const nf_matrix *data; const float *weights; /* weights NULL: all 1; else finite, at least 0. A row of weight 0 has a label and no other part */
  int32_t clusters, iterations, init, balanced; /* clusters up to 65,536; iterations 0: 10; init 0: k-means|| ; 1: `centroids` holds a warm
                                     start; balanced 1: goes on until no cluster of the sample weighs more than twice the mean, if it can; dot: weight x length */
  int64_t sample; uint64_t seed; /* sample: rows for seeding and Lloyd, at least `clusters`; 0: min(rows, 256 x clusters) */
  float *centroids;             /* out: clusters x cols; in: a warm start */
  int32_t *labels;              /* out, may be NULL: nearest centroid per row, as nf_assign has it */
  double *inertia;              /* out, may be NULL: of all rows, sum of weight x distance to the nearest centroid */
} nf_kmeans;

typedef struct nf_assign {      /* nearest centroids per row: the bits of nf_knn with `data` for queries and `centroids` for the dataset */
  uint32_t struct_size; int32_t metric; /* all five */
  const nf_matrix *data, *centroids; nf_result *nearest;
} nf_assign;

/* I8, per row, every step one f32 rounding: scale = max(max|x| / 127, 2^-100), reciprocal = 1 / scale, both divided on the host,
 * codes = clamp(round_half_even(x * reciprocal), -127, 127): the same bytes everywhere, since a GPU's division may err. x is decoded as code * scale. */
typedef struct nf_quantize {
  uint32_t struct_size, flags;
  const nf_matrix *from; nf_matrix *codes; /* dtype of codes: I8 or BF16 */
  float *scales, *errors;                  /* one a row; scales NULL for BF16. errors may be NULL: |x - decoded|, rounded up */
} nf_quantize;

typedef struct nf_index_desc {
  uint32_t struct_size; int32_t kind, metric, dim;
  int32_t store_dtype;          /* F32; BF16 and F16 keep rows in 16 bits: exact over the stored values */
  int32_t scan_dtype;           /* F32; BF16 or I8 add a low-precision copy for the scan; NF_DROP_F32 keeps only that: a row is then what its
                                   codes decode to (read, distances), certified is 0, NF_EXACT and a training after the first add are refused,
                                   and so are, but under cosine, rows longer than 2^50: one of 2^48 at most decodes to one that is taken again */
  int32_t lists, probes;        /* IVF; lists 0: chosen from the rows; flat: both 0 */
  uint32_t flags, reserved;
  int64_t capacity;             /* rows expected; a hint */
  uint64_t memory_limit;        /* bytes on the device; 0: what the device allows */
  double poincare_max_norm;     /* longest row or query; 0: 1 - 1e-5; at most 1 - 1e-7 */
} nf_index_desc;

typedef struct nf_train {
  uint32_t struct_size, flags;
  const nf_matrix *data;        /* NULL: a random sample of the index's own live rows */
  int32_t lists, iterations; int64_t sample; uint64_t seed; /* 0: the index's, 10, 256 x lists, 0. Flat: lists and iterations 0, sample 0:
                                                               32 rows a dimension, at least 4,096, at most 128 MiB. Of `data` the
                                                               rows of the sample are looked at, the same at every step */
} nf_train;

typedef struct nf_add {
  uint32_t struct_size, flags;  /* NF_HIDDEN: the rows are dead from the start, so that no search finds them before set_live */
  const nf_matrix *rows;
} nf_add;

typedef struct nf_live {
  uint32_t struct_size; int32_t live; /* 0 or 1 */
  const int64_t *rows;          /* in any order, also twice; NULL: the rows first .. first + count - 1, 32 at a time */
  int64_t first, count;         /* first is 0 where rows are named */
} nf_live;

typedef struct nf_compact {
  uint32_t struct_size, flags;
  int64_t *new_row, new_row_count; /* out: new_row[i] = -1 or the new number of row first_row + i, for the rows that this step has passed, those
                                      below step->position; new_row_count: the most it may pass, at least 1 while the index has rows */
  int64_t first_row;            /* out: step->position before this step, or 0 when the compaction began anew: earlier numbers are void then */
} nf_compact;

typedef struct nf_lists {       /* for snapshots */
  uint32_t struct_size, flags;
  nf_matrix *centroids;         /* lists x dim, F32 */
  int32_t *list_of_row; int64_t row_count; /* as new_row_count */
  float *calibration; int64_t calibration_count; /* of recall targets, NF_CALIBRATION numbers or more; read_lists: may be NULL; write_lists:
                                                    NULL, and it is measured anew */
} nf_lists;

typedef struct nf_maintain {    /* all out, written by the last step, 0 before */
  uint32_t struct_size, flags;
  int64_t split, merged;        /* lists: those that were split into several, and those whose rows went to others */
  int64_t moved;                /* rows that went to another list than theirs, dead ones among them */
} nf_maintain;

typedef struct nf_index_info {
  uint32_t struct_size; int32_t trained;
  int64_t rows, live_rows, capacity;
  uint64_t device_bytes, workspace_bytes;
  int64_t smallest_list, largest_list; /* IVF */
  /* scan_dtype I8; 0 elsewhere */
  uint64_t code_bytes;          /* of the codes, in device_bytes */
  uint64_t scanned_bytes, whole_bytes; /* of all searches: bytes of codes read, and those there were */
  int64_t searched, certified;  /* answers of searches, and those of them that are certified */
  int32_t rotated, level_dims;  /* of the basis: 1 when it has a rotation; dimensions of a level */
  double loosening;             /* the share of |y|^2 beyond the first quarter of the coordinates, of rows added since the training, over that of
                                   its sample. From about 2 on a new training pays; 0: not trained, or nothing added since */
  int32_t lists, reserved;      /* IVF: how many there are; 0: not trained */
  double drift;                 /* IVF: how much farther from their centroids the rows are on average than those that the lists were trained on
                                   (|v-c|^2), by samples: 0.1 is a tenth. From about 0.1 on a new training pays; 0: no farther, or not trained */
} nf_index_info;

/* One typedef per function: jextract keeps parameter names of typedefs, not of inline pointers. */
typedef nf_status nf_device_count_fn(int32_t *count, nf_call *call); /* 0 devices is NF_OK, and call->error then says why; its status: driver missing NF_UNAVAILABLE, too old NF_FAILED_PRECONDITION, works and finds none NF_OK */
typedef nf_status nf_device_info_fn(int32_t device, nf_device_info *info, nf_call *call);
typedef nf_status nf_context_create_fn(const nf_context_desc *desc, nf_context **out, nf_call *call);
typedef void nf_context_destroy_fn(nf_context *context);
typedef int32_t nf_supports_fn(nf_context *context, const nf_capability *what); /* 1 or 0 */
typedef nf_status nf_knn_fn(nf_context *context, const nf_knn *knn, nf_step *step, nf_call *call); /* step NULL: finish in this call. A thread that reads ahead has ended when it returns: between steps rows may be unmapped */
typedef nf_status nf_kmeans_fn(nf_context *context, const nf_kmeans *kmeans, nf_step *step, nf_call *call); /* likewise */
typedef nf_status nf_assign_fn(nf_context *context, const nf_assign *request, nf_call *call);
typedef nf_status nf_quantize_fn(nf_context *context, const nf_quantize *request, nf_call *call);
/* Bytes on the device for desc->capacity rows, before anything is allocated: while building, and at rest.
 * A compaction holds a second copy of the live rows until its last step, which is not in it, and a training or a maintenance of lists one of all rows. */
typedef nf_status nf_index_estimate_fn(nf_context *context, const nf_index_desc *desc, uint64_t *peak_bytes, uint64_t *bytes, nf_call *call);
typedef nf_status nf_index_create_fn(nf_context *context, const nf_index_desc *desc, nf_index **out, nf_call *call);
typedef void nf_index_destroy_fn(nf_index *index);
typedef nf_status nf_index_info_fn(nf_index *index, nf_index_info *info, nf_call *call);
/* IVF: clusters a random sample of `data`, or of the index's own rows when NULL, and (re)builds the lists beside the index as it is; answers
 * are those before until the last step. Rows added, replaced or removed between steps are kept. With scan_dtype I8 the basis is fitted first.
 * Flat with scan_dtype I8: fits the basis of the codes to the sample (mean, principal axes) and codes all rows anew, slab by slab. Answers are the
 * same before, between and after; scans read less. One that fails or is not finished leaves rows coded as they are. One caller at a
 * time trains an index. step->position counts rows coded anew; it is 0 while the sample is read and fitted, by a thread of the index's
 * own, for which a step with a budget waits at most a millisecond. A step->position that is not where the last step ended, or another
 * request, begins anew. A training and a compaction may go on at the same time; when the basis changes, the compaction begins anew. */
typedef nf_status nf_index_train_fn(nf_index *index, const nf_train *request, nf_step *step, nf_call *call);
typedef nf_status nf_index_add_fn(nf_index *index, const nf_add *add, int64_t *first_row, nf_call *call); /* all or nothing */
/* replace, read and set_live take row numbers of live and dead rows alike; a replaced row stays live or dead. Those of replace are unique. All or nothing. */
typedef nf_status nf_index_replace_fn(nf_index *index, const int64_t *rows, const nf_matrix *data, nf_call *call);
typedef nf_status nf_index_read_fn(nf_index *index, const int64_t *rows, nf_matrix *out, nf_call *call);
typedef nf_status nf_index_set_live_fn(nf_index *index, const nf_live *request, nf_call *call);
/* Drops dead rows, keeps order. Works in shadow slabs and swaps on the last step, the one that reaches the last row; until then the
 * index has its old numbers, and it is unchanged on failure. A step takes no longer and writes no more than the rows it passes;
 * the last also frees the old slabs.
 * Adds, replacements and removals between steps are kept; a row that dies after it was passed, or while a compaction that began
 * with none dead is under way, stays, dead, until the next. Hidden rows are dropped as other dead ones. One caller at a time
 * compacts an index. A failed step, the revival of a dropped row, or a step->position that is not where the last step ended may
 * make the compaction begin anew. One that is never finished holds its memory until the index is destroyed. */
typedef nf_status nf_index_compact_fn(nf_index *index, nf_compact *request, nf_step *step, nf_call *call);
typedef nf_status nf_index_search_fn(nf_index *index, const nf_search *search, nf_call *call);
typedef nf_status nf_index_score_fn(nf_index *index, const nf_score *score, nf_call *call);
typedef nf_status nf_index_read_lists_fn(nf_index *index, nf_lists *lists, nf_call *call);
typedef nf_status nf_index_write_lists_fn(nf_index *index, const nf_lists *lists, nf_call *call);
/* IVF: splits the lists that hold more than four times the mean of live rows, and 64, into parts of about the mean, and lets those below an
 * eighth of it go, whose rows go to the nearest of the others. Rows of other lists go where a new centroid is nearer than their own.
 * Row numbers stay. Lists are built beside the index, as by a training: answers are those before until the last step; rows added,
 * replaced or removed between steps are kept; one that fails leaves the index as it was, and gives its memory back. Where there is nothing to do,
 * and in an index that is not trained, nothing is copied; but where an eighth of the rows was written since, the recall that targets go by is
 * measured anew. New lists may draw rows from others and grow too large in their turn: maintain until split and merged are 0, which they come
 * to be. Rows that all but coincide are not split. A training, a compaction or write_lists that ends meanwhile ends it, as does a step->position that is not where the last step
 * ended: it begins anew. When it ends, a compaction begins anew. One caller at a time maintains an index. Flat: NF_FAILED_PRECONDITION. */
typedef nf_status nf_index_maintain_fn(nf_index *index, nf_maintain *request, nf_step *step, nf_call *call);

typedef struct nf_api { /* no entry is ever NULL below struct_size; an unfit one returns NF_UNIMPLEMENTED */
  uint32_t struct_size, abi_major, abi_minor, reserved;
  const char *backend, *build; /* "cuda"; "0.1.0 sm_75 sm_80, gcc 12.2.0": version, code paths, compiler */
  nf_device_count_fn *device_count;
  nf_device_info_fn *device_info;
  nf_context_create_fn *context_create;
  nf_context_destroy_fn *context_destroy;
  nf_supports_fn *supports;
  nf_knn_fn *knn;
  nf_kmeans_fn *kmeans;
  nf_assign_fn *assign;
  nf_quantize_fn *quantize;
  nf_index_estimate_fn *index_estimate;
  nf_index_create_fn *index_create;
  nf_index_destroy_fn *index_destroy;
  nf_index_info_fn *index_info;
  nf_index_train_fn *index_train;
  nf_index_add_fn *index_add;
  nf_index_replace_fn *index_replace;
  nf_index_read_fn *index_read;
  nf_index_set_live_fn *index_set_live;
  nf_index_compact_fn *index_compact;
  nf_index_search_fn *index_search;
  nf_index_score_fn *index_score;
  nf_index_read_lists_fn *index_read_lists;
  nf_index_write_lists_fn *index_write_lists;
  nf_index_maintain_fn *index_maintain; /* append below; never reorder, never remove */
} nf_api;

#if defined(_WIN32)
#define NF_EXPORT __declspec(dllexport)
#else
#define NF_EXPORT __attribute__((visibility("default")))
#endif
/* The only exported symbol. NULL when this library cannot speak that major version. Touches no device;
 * returns the same pointer every time, valid until the library is unloaded. */
NF_EXPORT const nf_api *nf_get_api(uint32_t abi_major);

#ifdef __cplusplus
}
#endif
#endif /* NEARFIELD_H_ */
