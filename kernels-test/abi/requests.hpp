// SPDX-License-Identifier: Apache-2.0
// One valid request for every entry of the ABI, in one block of plain memory: a test changes a thing, calls,
// and compares the whole block with what it was.
#pragma once

#include <string>
#include <vector>

#include "harness.hpp"

namespace nearfield_test {

enum class Entry {
  kDeviceCount,
  kDeviceInfo,
  kContextCreate,
  kEstimate,
  kCreate,
  kInfo,
  kAdd,
  kReplace,
  kRead,
  kSetLive,
  kCompact,
  kSearch,
  kScore,
  kKnn,
  kKmeans,
  kAssign,
  kLast = kAssign
};
// The word that begins an entry's messages.
const char* operation(Entry entry);

inline constexpr int32_t kDim = 5;
inline constexpr int64_t kIndexRows = 40;
inline constexpr int64_t kDeadRows[] = {1, 7, 39};

// Valid until fill() is called again; not to be moved, for it points into itself.
struct Requests {
  static constexpr int64_t kStride = kDim + 1;  // floats: one of padding a row
  static constexpr int64_t kQueries = 2;
  static constexpr int32_t kK = 4;
  static constexpr int64_t kResultStride = kK + 2;
  static constexpr int64_t kDataset = 70;
  static constexpr int32_t kClusters = 4;

  // handles; NULL only where a test wants it
  nf_context* context;
  nf_index* index;
  nf_call* call;

  // by entry
  int32_t* count;
  int32_t device;
  nf_device_info* device_info;
  nf_context_desc* context_desc;
  nf_context** context_out;
  nf_index_desc* desc;
  uint64_t *peak_bytes, *bytes;
  nf_index** index_out;
  nf_index_info* info;
  nf_add* add;
  nf_matrix *rows, *out;
  int64_t* first_row;
  const int64_t* numbers;
  nf_live* live;
  nf_compact* compact;
  nf_step* step;
  nf_search* search;
  nf_score* score;
  nf_knn* knn;
  nf_step* knn_step;
  nf_kmeans* kmeans;
  nf_step* kmeans_step;
  nf_assign* assign;

  // what they point to
  struct Storage {
    nf_call call;
    int32_t count;
    nf_device_info device_info;
    nf_context_desc context_desc;
    nf_context* context_out;
    nf_index_desc desc;
    uint64_t peak_bytes, bytes;
    nf_index* index_out;
    nf_index_info info;
    nf_matrix rows, out, queries, dataset;
    nf_add add;
    int64_t first_row;
    int64_t numbers[3];
    nf_live live;
    nf_compact compact;
    nf_step step, knn_step, kmeans_step;
    nf_search search;
    nf_score score;
    nf_knn knn;
    nf_kmeans kmeans;
    nf_assign assign;
    nf_result result;
    nf_filter bitset, listed;
    const nf_filter* filters[2];
    uint32_t bits[2];
    int64_t filter_rows[3];
    int32_t filter_of_query[kQueries];
    uint32_t cancel;
    int64_t progress[3];
    float rows_data[3 * kStride], out_data[3 * kStride + 8], query_data[kQueries * kStride];
    float dataset_data[kDataset * kDim];
    float weights[kDataset], centroids[kClusters * kDim + 8];
    int32_t labels[kDataset + 8];
    double inertia;
    int64_t new_row[kIndexRows + 8];
    int64_t offsets[kQueries + 1], score_rows[5];
    float score_distances[5 + 8], score_errors[5 + 8];
    int64_t result_rows[kQueries * kResultStride + 8];
    float result_distances[kQueries * kResultStride + 8];
    int32_t result_count[kQueries + 2], result_rescored[kQueries + 2], result_lists[kQueries + 2];
    uint8_t result_certified[kQueries + 6];
    alignas(8) unsigned char arena[12288];  // for copies of structs with other sizes
  } at;

  nf_error* error;  // outside of this block, for it is written

  // A valid request for every entry; outputs hold a pattern.
  void fill(nf_context* with_context, nf_index* with_index, nf_error* with_error);
  nf_status run(const nf_api* api, Entry entry);
  // Handles that a successful call has made.
  void destroy_made(const nf_api* api);
};

// An index of kIndexRows rows, kDeadRows dead, and what it answers: to see whether a call has changed it.
class Witness {
 public:
  Witness(const Bench& bench, nf_context* context, int32_t metric);
  nf_index* index() const { return index_.get(); }
  bool unchanged() const { return state() == first_; }

 private:
  std::vector<unsigned char> state() const;

  const Bench& bench_;
  IndexHandle index_;
  std::vector<float> queries_;
  std::vector<unsigned char> first_;
};

}  // namespace nearfield_test
