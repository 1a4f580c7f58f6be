// SPDX-License-Identifier: Apache-2.0
// What is wrong with vectors, and with all that looks for them.
#include <cstring>

#include "table.hpp"

namespace nearfield_test {

void vectors(Table& t, Entry entry, const std::string& name, nf_matrix Requests::Storage::*matrix,
             const std::string& noun) {
  const auto m = [matrix](Requests& r) -> nf_matrix& { return r.at.*matrix; };
  // The fuzz test may have led the matrix astray before: then nothing is put.
  const auto put = [matrix](Requests& r, int64_t row, int64_t dimension, float value) {
    const nf_matrix& to = r.at.*matrix;
    if (to.data == nullptr || to.row_stride < 0 || to.row_stride > 100) return;
    std::memcpy(static_cast<unsigned char*>(to.data) + row * to.row_stride +
                    dimension * static_cast<int64_t>(sizeof(float)),
                &value, sizeof(value));
  };
  t.bad(entry, name + "->dtype=0", "dtype=0", [m](Requests& r) { m(r).dtype = 0; });
  t.bad(entry, name + "->dtype=-1", "dtype=-1", [m](Requests& r) { m(r).dtype = -1; });
  t.unimplemented(entry, name + " of F16", "dtype=2", [m](Requests& r) { m(r).dtype = NF_F16; });
  t.unimplemented(entry, name + " of BF16", "dtype=3", [m](Requests& r) { m(r).dtype = NF_BF16; });
  t.unimplemented(entry, name + " of I8", "dtype=4", [m](Requests& r) { m(r).dtype = NF_I8; });
  t.unimplemented(entry, name + " of a later type", "dtype=99", [m](Requests& r) { m(r).dtype = 99; });
  t.bad(entry, name + " with -1 rows", "rows=-1", [m](Requests& r) { m(r).rows = -1; });
  t.bad(entry, name + " with 2^63-1 rows", "rows=9223372036854775807",
        [m](Requests& r) { m(r).rows = kHuge; });
  // The dataset of a knn is what its queries are measured by.
  const bool dataset = matrix == &Requests::Storage::dataset;
  t.bad(entry, name + " with a column less", dataset ? "cols=5" : "cols=4",
        [m](Requests& r) { m(r).cols = kDim - 1; });
  t.bad(entry, name + " with a column more", dataset ? "cols=5" : "cols=6", [m](Requests& r) {
    m(r).cols = kDim + 1;
    m(r).row_stride = (kDim + 1) * static_cast<int64_t>(sizeof(float));
  });
  t.bad(entry, name + " with 0 columns", "cols=0", [m](Requests& r) { m(r).cols = 0; });
  t.bad(entry, name + " with -5 columns", "cols=-5", [m](Requests& r) { m(r).cols = -kDim; });
  t.bad(entry, name + " with 2^63-1 columns", "cols=9223372036854775807",
        [m](Requests& r) { m(r).cols = kHuge; });
  t.bad(entry, name + " with overlapping rows", "row_stride=16", [m](Requests& r) { m(r).row_stride = 16; });
  t.bad(entry, name + " with a stride of 0", "row_stride=0", [m](Requests& r) { m(r).row_stride = 0; });
  t.bad(entry, name + " with a negative stride", "row_stride=-20",
        [m](Requests& r) { m(r).row_stride = -20; });
  t.bad(entry, name + " with a stride of 22 bytes", "row_stride=22",
        [m](Requests& r) { m(r).row_stride = 22; });
  t.bad(entry, name + " beyond the address space", "address",
        [m](Requests& r) { m(r).row_stride = kHuge - 3; });
  t.bad(entry, name + "->data NULL", "NULL", [m](Requests& r) { m(r).data = nullptr; });
  t.bad(entry, name + "->data misaligned", "misaligned", [m](Requests& r) {
    // NULL, in the fuzz test, stays NULL: an address beside it is no memory that a later line could write to.
    if (m(r).data != nullptr) m(r).data = misaligned(static_cast<float*>(m(r).data));
  });
  if (noun.empty()) return;
  t.bad(entry, "NaN", noun + " 1, dimension 4 is NaN", [put](Requests& r) { put(r, 1, 4, kNaN); });
  t.bad(entry, "infinity", noun + " 0, dimension 0 is infinity",
        [put](Requests& r) { put(r, 0, 0, kInfinity); });
  t.bad(entry, "-infinity", noun + " 1, dimension 2 is -infinity",
        [put](Requests& r) { put(r, 1, 2, -kInfinity); });
  t.bad(entry, "a norm of 1e19", noun + " 1 has norm 9.9999", [put](Requests& r) { put(r, 1, 0, 1e19f); });
  t.bad(entry, "the largest float", "norm", [put](Requests& r) {
    for (int64_t i = 0; i < kDim; ++i) put(r, 1, i, std::numeric_limits<float>::max());
  });
}

namespace {

void results(Table& t, Entry entry) {
  const auto bad = [&](const std::string& name, const std::string& words, const Change& change) {
    t.bad(entry, "result: " + name, words, change);
  };
  bad("k 0", "k=0", [](Requests& r) { r.at.result.k = 0; });
  bad("k -1", "k=-1", [](Requests& r) { r.at.result.k = -1; });
  bad("row_stride below k", "row_stride=3", [](Requests& r) { r.at.result.row_stride = 3; });
  bad("row_stride -6", "row_stride=-6", [](Requests& r) { r.at.result.row_stride = -6; });
  bad("k 2^31-1", "k=2147483647", [](Requests& r) { r.at.result.k = INT32_MAX; });
  bad("row_stride 2^63-1", "address", [](Requests& r) { r.at.result.row_stride = kHuge; });
  bad("row_stride 2^60", "address", [](Requests& r) { r.at.result.row_stride = int64_t{1} << 60; });
  bad("rows NULL", "rows is NULL", [](Requests& r) { r.at.result.rows = nullptr; });
  bad("distances NULL", "distances is NULL", [](Requests& r) { r.at.result.distances = nullptr; });
  bad("rows misaligned", "misaligned", [](Requests& r) { r.at.result.rows = misaligned(r.at.result.rows); });
  bad("distances misaligned", "misaligned",
      [](Requests& r) { r.at.result.distances = misaligned(r.at.result.distances); });
  bad("count misaligned", "misaligned",
      [](Requests& r) { r.at.result.count = misaligned(r.at.result.count); });
  bad("rescored misaligned", "misaligned",
      [](Requests& r) { r.at.result.rescored = misaligned(r.at.result.rescored); });
  bad("lists_scanned misaligned", "misaligned",
      [](Requests& r) { r.at.result.lists_scanned = misaligned(r.at.result.lists_scanned); });
  t.fine(entry, "only rows and distances", [](Requests& r) {
    r.at.result.count = r.at.result.rescored = r.at.result.lists_scanned = nullptr;
    r.at.result.certified = nullptr;
  });
  t.fine(entry, "no queries", [](Requests& r) {
    r.at.queries.rows = 0;
    r.at.queries.data = nullptr;
    r.at.result.rows = nullptr;
    r.at.result.distances = nullptr;
  });
}

void filters(Table& t) {
  const Entry entry = Entry::kSearch;
  t.bad(entry, "filter kind -1", "kind=-1", [](Requests& r) { r.at.listed.kind = -1; });
  t.unimplemented(entry, "a later filter kind", "kind=3", [](Requests& r) { r.at.listed.kind = 3; });
  t.bad(entry, "filter rows not ascending", "ascend", [](Requests& r) { r.at.filter_rows[0] = 20; });
  t.bad(entry, "filter row twice", "ascend", [](Requests& r) { r.at.filter_rows[1] = 38; });
  t.bad(entry, "filter row 40 of 40", "rows[2]=40", [](Requests& r) { r.at.filter_rows[2] = kIndexRows; });
  t.bad(entry, "filter row -1", "rows[0]=-1", [](Requests& r) { r.at.filter_rows[0] = -1; });
  t.bad(entry, "filter rows NULL", "NULL", [](Requests& r) { r.at.listed.rows = nullptr; });
  t.bad(entry, "filter rows misaligned", "misaligned",
        [](Requests& r) { r.at.listed.rows = misaligned(r.at.listed.rows); });
  t.bad(entry, "filter bits NULL", "NULL", [](Requests& r) { r.at.bitset.bits = nullptr; });
  t.bad(entry, "filter bits misaligned", "misaligned",
        [](Requests& r) { r.at.bitset.bits = misaligned(r.at.bitset.bits); });
  t.bad(entry, "bitset of -1 words", "count=-1", [](Requests& r) { r.at.bitset.count = -1; });
  t.bad(entry, "bitset of 2^63-1 words", "count=9223372036854775807",
        [](Requests& r) { r.at.bitset.count = kHuge; });
  t.fine(entry, "bitset of 0 words", [](Requests& r) {
    r.at.bitset.count = 0;
    r.at.bitset.bits = nullptr;
  });
  t.bad(entry, "filters NULL, count 2", "filters is NULL", [](Requests& r) { r.search->filters = nullptr; });
  t.bad(entry, "filters misaligned", "misaligned",
        [](Requests& r) { r.search->filters = misaligned(r.search->filters); });
  t.bad(entry, "filter_count -1", "filter_count=-1", [](Requests& r) { r.search->filter_count = -1; });
  t.bad(entry, "filter_of_query 2 of 2", "filter_of_query[1]=2",
        [](Requests& r) { r.at.filter_of_query[1] = 2; });
  t.bad(entry, "filter_of_query -2", "filter_of_query[0]=-2",
        [](Requests& r) { r.at.filter_of_query[0] = -2; });
  t.bad(entry, "filter_of_query misaligned", "misaligned",
        [](Requests& r) { r.search->filter_of_query = misaligned(r.search->filter_of_query); });
  t.fine(entry, "filter_of_query -1", [](Requests& r) { r.at.filter_of_query[0] = -1; });
}

}  // namespace

void searches(Table& t) {
  const Entry search = Entry::kSearch;
  vectors(t, search, "queries", &Requests::Storage::queries, "query");
  results(t, search);
  filters(t);
  t.unimplemented(search, "unknown flags", "flags=0x6", [](Requests& r) { r.search->flags = 6; });
  t.unimplemented(search, "reserved", "reserved=1", [](Requests& r) { r.search->reserved = 1; });
  t.fine(search, "NF_EXACT", [](Requests& r) { r.search->flags = NF_EXACT; });
  t.bad(search, "max_distance NaN", "max_distance", [](Requests& r) {
    r.search->flags = NF_WITHIN;
    r.search->max_distance = kNaN;
  });
  t.fine(search, "max_distance infinity", [](Requests& r) {
    r.search->flags = NF_WITHIN;
    r.search->max_distance = kInfinity;
  });
  t.bad(search, "probes -1", "probes=-1", [](Requests& r) { r.search->probes = -1; });
  t.bad(search, "target_recall 1.5", "target_recall=1.5",
        [](Requests& r) { r.search->target_recall = 1.5f; });
  t.bad(search, "target_recall NaN", "target_recall", [](Requests& r) { r.search->target_recall = kNaN; });
  for (const float most : {-1.0f, -kInfinity, 0.5f, 0.999f, kNaN, kInfinity})
    t.bad(search, "max_oversample " + std::to_string(most),
          "max_oversample=", [most](Requests& r) { r.search->max_oversample = most; });
  for (const float most : {1.0f, 1.25f, 3e38f})
    t.fine(search, "max_oversample " + std::to_string(most),
           [most](Requests& r) { r.search->max_oversample = most; });
  t.fine(search, "settings of IVF", [](Requests& r) {
    r.search->probes = 8;
    r.search->target_recall = 0.9f;
    r.search->max_oversample = 4;
  });

  const Entry score = Entry::kScore;
  vectors(t, score, "queries", &Requests::Storage::queries, "query");
  t.bad(score, "offsets NULL", "offsets is NULL", [](Requests& r) { r.score->offsets = nullptr; });
  t.bad(score, "offsets misaligned", "misaligned",
        [](Requests& r) { r.score->offsets = misaligned(r.score->offsets); });
  t.bad(score, "offsets from -1", "offsets[0]=-1", [](Requests& r) { r.at.offsets[0] = -1; });
  t.bad(score, "offsets descend", "offsets[1]=7 follows", [](Requests& r) {
    r.at.offsets[0] = 8;
    r.at.offsets[1] = 7;
  });
  t.bad(score, "offsets to 2^63-1", "offsets[2]=9223372036854775807",
        [](Requests& r) { r.at.offsets[2] = kHuge; });
  t.bad(score, "rows NULL", "rows is NULL", [](Requests& r) { r.score->rows = nullptr; });
  t.bad(score, "distances NULL", "distances is NULL", [](Requests& r) { r.score->distances = nullptr; });
  t.bad(score, "distances misaligned", "misaligned",
        [](Requests& r) { r.score->distances = misaligned(r.score->distances); });
  t.bad(score, "errors misaligned", "misaligned",
        [](Requests& r) { r.score->errors = misaligned(r.score->errors); });
  t.fine(score, "errors NULL", [](Requests& r) { r.score->errors = nullptr; });
  t.unimplemented(score, "flags", "flags=0x1", [](Requests& r) { r.score->flags = 1; });
  t.fine(score, "no rows", [](Requests& r) {
    std::memset(r.at.offsets, 0, sizeof(r.at.offsets));
    r.score->rows = nullptr;
    r.score->distances = r.score->errors = nullptr;
  });

  const Entry knn = Entry::kKnn;
  t.fine(knn, "as it should be", [](Requests&) {});
  t.bad(knn, "context NULL", "NULL", [](Requests& r) { r.context = nullptr; });
  t.bad(knn, "metric 0", "metric=0", [](Requests& r) { r.knn->metric = 0; });
  t.unimplemented(knn, "a later metric", "metric=9", [](Requests& r) { r.knn->metric = 9; });
  vectors(t, knn, "queries", &Requests::Storage::queries, "query");
  vectors(t, knn, "dataset", &Requests::Storage::dataset, "dataset row");
  results(t, knn);
  t.fine(knn, "no dataset", [](Requests& r) {
    r.at.dataset.rows = 0;
    r.at.dataset.data = nullptr;
  });
  t.bad(knn, "filter row beyond the dataset", "rows[2]=70", [](Requests& r) {
    r.knn->filter = &r.at.listed;
    r.at.filter_rows[2] = Requests::kDataset;
  });
  t.fine(knn, "without steps", [](Requests& r) { r.knn_step = nullptr; });
  t.bad(knn, "budget -1", "budget_ns=-1", [](Requests& r) { r.knn_step->budget_ns = -1; });
  t.bad(knn, "position 1", "position=1", [](Requests& r) { r.knn_step->position = 1; });
  t.bad(knn, "position -1", "position=-1", [](Requests& r) { r.knn_step->position = -1; });
  t.bad(knn, "work of its own making", "no work", [](Requests& r) { r.knn_step->work = &r; });
  t.bad(knn, "dataset_rows -1", "dataset_rows=-1", [](Requests& r) { r.knn->dataset_rows = -1; });
  t.bad(knn, "dataset_rows 2^63-1", "dataset_rows=9223372036854775807",
        [](Requests& r) { r.knn->dataset_rows = kHuge; });
  t.bad(knn, "more rows than dataset_rows", "may hold 1 to 69",
        [](Requests& r) { r.knn->dataset_rows = Requests::kDataset - 1; });
  t.bad(knn, "a piece without rows", "may hold 1 to 70", [](Requests& r) {
    r.knn->dataset_rows = Requests::kDataset;
    r.at.dataset.rows = 0;
  });
  t.bad(knn, "a piece without steps", "without steps", [](Requests& r) {
    r.knn_step = nullptr;
    r.knn->dataset_rows = Requests::kDataset + 1;
  });
  t.fine(knn, "all rows as a piece", [](Requests& r) { r.knn->dataset_rows = Requests::kDataset; });
  t.fine(knn, "a first step", [](Requests& r) { r.knn_step->budget_ns = 1; });

  const Entry assign = Entry::kAssign;
  t.fine(assign, "as it should be", [](Requests&) {});
  t.bad(assign, "context NULL", "NULL", [](Requests& r) { r.context = nullptr; });
  t.bad(assign, "metric 0", "metric=0", [](Requests& r) { r.assign->metric = 0; });
  t.unimplemented(assign, "a later metric", "metric=9", [](Requests& r) { r.assign->metric = 9; });
  vectors(t, assign, "data", &Requests::Storage::queries, "data row");
  vectors(t, assign, "centroids", &Requests::Storage::dataset, "centroid");
  results(t, assign);
  t.fine(assign, "no centroids", [](Requests& r) {
    r.at.dataset.rows = 0;
    r.at.dataset.data = nullptr;
  });
}

}  // namespace nearfield_test
