// SPDX-License-Identifier: Apache-2.0
// Rows and queries as the search by certified products (product_search.cpp) multiplies them.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "coded_query.hpp"
#include "scan.hpp"

namespace nearfield::gpu {

class ProductForm {
 public:
  ProductForm(const Scan& scan, const CodedProductShape& shape) : scan_(scan), shape_(shape) {}
  virtual ~ProductForm() = default;
  ProductForm(const ProductForm&) = delete;
  ProductForm& operator=(const ProductForm&) = delete;

  const Scan& scan() const { return scan_; }
  const CodedProductShape& shape() const { return shape_; }

  // The bounds keep about so many rows for each that is within the limit.
  virtual int64_t kept_times() const = 0;
  // What a row takes of the time of one whose elements are multiplied in f32.
  virtual double row_units() const = 0;
  virtual Scan::Reads reads() const = 0;
  virtual int64_t group_bytes(size_t slab) const = 0;  // that a tile of queries reads
  // Whether the bounds hold for every slab.
  virtual bool is_served() const { return true; }
  // Adds what the form takes of so many groups of queries.
  virtual void add_sizes(int64_t groups, WorkSizes* sizes) const = 0;

  // From here on the queries [first, first + count) of the plan, which lie in kTileQueries.
  void take(int64_t first, int64_t count, int64_t groups) {
    first_ = first, count_ = count, groups_ = groups;
    forget();
  }
  // Prepares them for the rows of a slab unless they are, what is gathered submitted first.
  virtual Status prepare(size_t slab) = 0;
  // The fields of the slab's rows, of the queries and of the bounds; the slab is the one prepared for.
  virtual CodedProductParams params(size_t slab) const = 0;
  virtual Status dispatch(size_t slab, const CodedProductParams& p) const = 0;

 protected:
  Context& context() const { return scan_.context(); }
  virtual void forget() = 0;  // what was prepared

  // Terms of the queries of dot, by a function of the norm and of the query, and zeros of the others, to
  // kBounds.
  void send_terms(const std::function<ProductQuery(double norm, const float* query)>& of_dot) const;

  const Scan& scan_;
  const CodedProductShape shape_;
  int64_t first_ = 0, count_ = 0, groups_ = 0;
};

inline void set_pair_terms(const CodeBound::PairTerms& terms, CodedProductParams* p) {
  p->shrink = terms.shrink;
  p->grow = terms.grow;
  p->slope = terms.slope;
  p->addend = terms.addend;
  p->fixed = terms.fixed;
  p->lower = terms.lower;
  p->upper = terms.upper;
  p->tiny = terms.tiny;
  p->stretch = terms.stretch;
  p->slack = terms.slack;
  p->norm_up = terms.norm_up;
}

// For each scan of a plan, of which some are of a few of its queries.
using MakeForm = std::function<std::unique_ptr<ProductForm>(const Scan&)>;

// Rows from which on the sample is at most a quarter of them.
inline constexpr int64_t kLeastSampleRows = 16 << 10;
inline constexpr int64_t kLeastSampleTimes = 4;

// Whether the path wants products of stores of any size.
bool forces_products(Path path);
// Whether the workspace has room for one query.
bool product_fits(ProductForm* form);
// `last`: of queries whose candidates found no room twice.
Status product_search(Scan* scan, const MakeForm& make,
                      const std::function<Status(Scan*, Hit*, int32_t*)>& last, Hit* hits, int32_t* rescored,
                      ScanCount* scanned);

}  // namespace nearfield::gpu
