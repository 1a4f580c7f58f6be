// SPDX-License-Identifier: Apache-2.0
// Products of int8 codes, of queries that are coded on the device as rows are.
#include <cmath>

#include "coded.hpp"
#include "product_form.hpp"

namespace nearfield::gpu {
namespace {

class CodedForm final : public ProductForm {
 public:
  using ProductForm::ProductForm;

  int64_t kept_times() const override { return kKeptTimes; }
  double row_units() const override { return kCodeUnits; }
  Scan::Reads reads() const override { return Scan::Reads::kCodes; }
  int64_t group_bytes(size_t slab) const override {
    const CodeLayout layout = this->layout(*scan_.slabs()[slab].basis);
    return layout.read_bytes(layout.levels());
  }
  bool is_served() const override;
  void add_sizes(int64_t groups, WorkSizes* sizes) const override {
    scan_.store().add_query_coding_sizes(groups, sizes);
  }
  Status prepare(size_t slab) override;
  CodedProductParams params(size_t slab) const override;
  Status dispatch(size_t slab, const CodedProductParams& p) const override;

 private:
  void forget() override { basis_ = nullptr; }
  CodeLayout layout(const Basis& basis) const { return {scan_.metric(), scan_.dim(), basis.level_dims, 1}; }

  BasisPtr basis_;  // that the queries are coded in
};

bool CodedForm::is_served() const {
  // Beyond it lengths in the basis say too little of lengths (basis.hpp).
  constexpr double kMostDeparture = 0.5;
  for (const SlabBuffers& slab : scan_.slabs())
    if (slab.basis->departure >= kMostDeparture) return false;
  return true;
}

Status CodedForm::prepare(size_t slab) {
  const BasisPtr& basis = scan_.slabs()[slab].basis;
  if (basis_ == basis) return {};
  // What follows writes, and what is gathered wants the codes there are.
  NF_TRY(context().queue().submit(0, "search"));
  NF_TRY(scan_.store().code_queries(basis, groups_, scan_.call()));
  basis_ = basis;
  const CodeBound bound(scan_.metric(), *basis, canonical_roundings(scan_));
  send_terms([&](double norm, const float* query) {
    double offset = 0;
    for (size_t i = 0; i < basis->mean.size(); ++i)
      offset += static_cast<double>(query[i]) * static_cast<double>(basis->mean[i]);
    ProductQuery terms{};
    terms.offset = static_cast<float>(offset);
    terms.addend = bound.pair_addend(norm, offset);
    return terms;
  });
  return {};
}

CodedProductParams CodedForm::params(size_t) const {
  const CodeLayout layout = this->layout(*basis_);
  CodedProductParams p{};
  p.levels = static_cast<uint32_t>(layout.levels());
  p.level_chunks = static_cast<uint32_t>(layout.level_dims / kChunkFloats);
  p.norm_unit = nearfield::norm_unit(layout.coded_dim());
  p.error_unit = nearfield::error_unit(layout.coded_dim());
  p.beta_unit = kBetaUnit;
  set_pair_terms(CodeBound(scan_.metric(), *basis_, canonical_roundings(scan_)).pair_terms(), &p);
  return p;
}

Status CodedForm::dispatch(size_t slab, const CodedProductParams& p) const {
  const SlabBuffers& buffers = scan_.slabs()[slab];
  return context().dispatch(
      kCodedProduct, {scan_.metric(), shape_.query_tile, 1}, p, context().grid(p.workgroups),
      {&buffers.codes, &buffers.live, &scan_.masks(), &context().work(kCoded), &context().work(kBounds),
       &context().work(kLimits), &context().work(kCounts), &context().work(kParts)});
}

}  // namespace

CodedProductShape coded_product_shape(const Scan& scan) {
  const SearchPlan& plan = scan.plan();
  const Context& context = scan.context();
  const Path path = context.path();
  if (!scan.is_coded() || !scan.has_rows() || scan.rows() == 0 || plan.k > context.limits().most_list_k)
    return {};
  const bool always = path == Path::kCodedProduct || (forces_products(path) && plan.batch > kPassQueries);
  const bool pays = plan.batch >= context.limits().least_product_batch &&
                    scan.rows() >= kLeastSampleTimes * kLeastSampleRows;
  if (!always && (!pays || path == Path::kCodes)) return {};
  const CodedProductShape shape =
      context.queue().coded_product_shape(scan.metric(), scan.dim(), plan.batch, plan.k);
  CodedForm form(scan, shape);
  return shape.query_tile != 0 && form.is_served() && product_fits(&form) ? shape : CodedProductShape{};
}

Status coded_product_search(Scan* scan, const CodedProductShape& shape, Hit* hits, int32_t* rescored,
                            ScanCount* scanned) {
  const auto make = [&](const Scan& some) { return std::make_unique<CodedForm>(some, shape); };
  const auto by_rows = [](Scan* rows, Hit* hits, int32_t*) { return rows_search(rows, hits); };
  return product_search(scan, make, by_rows, hits, rescored, scanned);
}

}  // namespace nearfield::gpu
