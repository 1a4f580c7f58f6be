// SPDX-License-Identifier: Apache-2.0
// Products of the rows themselves and of queries as TF32.
#include "product_form.hpp"
#include "tf32_bounds.hpp"

namespace nearfield::gpu {
namespace {

// On a hundred dimensions a twentieth more rows are kept than are within the limit.
constexpr int64_t kTf32KeptTimes = 2;
// Of the time of multiply-adds in f32. Not measured.
constexpr double kTf32Units = 1.0 / 4;

class Tf32Form final : public ProductForm {
 public:
  using ProductForm::ProductForm;

  int64_t kept_times() const override { return kTf32KeptTimes; }
  double row_units() const override { return kTf32Units; }
  Scan::Reads reads() const override { return Scan::Reads::kRows; }
  int64_t group_bytes(size_t) const override { return static_cast<int64_t>(scan_.row_bytes()) * kGroupRows; }
  void add_sizes(int64_t groups, WorkSizes* sizes) const override {
    scan_.store().add_query_rounding_sizes(groups, sizes);
  }
  Status prepare(size_t slab) override;
  CodedProductParams params(size_t slab) const override;
  Status dispatch(size_t slab, const CodedProductParams& p) const override;

 private:
  void forget() override { is_prepared_ = false; }

  bool is_prepared_ = false;
};

Status Tf32Form::prepare(size_t) {
  if (is_prepared_) return {};
  NF_TRY(context().queue().submit(0, "search"));
  NF_TRY(scan_.store().round_queries(groups_, shape_.by_warpgroups, "search"));
  const Tf32Bounds bounds(scan_.metric(), scan_.dim());
  send_terms([&](double, const float*) {
    ProductQuery terms{};
    terms.addend = bounds.pair_addend();
    return terms;
  });
  is_prepared_ = true;
  return {};
}

CodedProductParams Tf32Form::params(size_t) const {
  CodedProductParams p{};
  p.levels = 1;
  p.level_chunks = scan_.chunks();
  set_pair_terms(Tf32Bounds(scan_.metric(), scan_.dim()).pair_terms(), &p);
  return p;
}

Status Tf32Form::dispatch(size_t slab, const CodedProductParams& p) const {
  const SlabBuffers& buffers = scan_.slabs()[slab];
  return context().dispatch(shape_.by_warpgroups ? kMatrixTf32Wgmma : kMatrixTf32,
                            {scan_.metric(), shape_.query_tile, 1}, p, context().grid(p.workgroups),
                            {&buffers.vectors, scan_.has_side() ? &buffers.side : &context().work(kUnused),
                             &buffers.live, &scan_.masks(), &context().work(kCoded), &buffers.residuals,
                             &context().work(kQueryResiduals), &context().work(kBounds),
                             &context().work(kLimits), &context().work(kCounts), &context().work(kParts)});
}

}  // namespace

CodedProductShape tf32_shape(const Scan& scan) {
  const SearchPlan& plan = scan.plan();
  const Context& context = scan.context();
  const Path path = context.path();
  if (!scan.has_residuals() || scan.rows() == 0 || plan.k > context.limits().most_list_k) return {};
  const bool is_served = path != Path::kDirect && path != Path::kMatrix && path != Path::kCodes &&
                         plan.batch >= kLeastTf32Batch &&
                         (path != Path::kAutomatic || scan.rows() >= kLeastSampleTimes * kLeastSampleRows);
  if (path != Path::kTf32 && path != Path::kTf32Mma && !is_served) return {};
  const CodedProductShape shape = context.queue().tf32_shape(plan.k, path == Path::kTf32Mma);
  Tf32Form form(scan, shape);
  return shape.query_tile != 0 && product_fits(&form) ? shape : CodedProductShape{};
}

Status tf32_search(Scan* scan, const CodedProductShape& shape, Hit* hits, int32_t* rescored) {
  const auto make = [&](const Scan& some) { return std::make_unique<Tf32Form>(some, shape); };
  // Far from the origin, rows are as far from what the unit sees of them as from each other: products in f32
  // tell more.
  const auto in_f32 = [](Scan* some, Hit* hits, int32_t* rescored) -> Status {
    const SearchPlan& plan = some->plan();
    const MatrixShape shape =
        some->context().queue().matrix_shape(some->metric(), some->dim(), plan.batch, plan.k);
    if (shape.query_tile != 0 && matrix_fits(*some, shape)) return matrix_search(some, shape, hits, rescored);
    return rows_search(some, hits);
  };
  ScanCount scanned;
  return product_search(scan, make, in_f32, hits, rescored, &scanned);
}

}  // namespace nearfield::gpu
