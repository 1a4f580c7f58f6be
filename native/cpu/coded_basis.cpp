// SPDX-License-Identifier: Apache-2.0
#include "coded_basis.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels.hpp"

namespace nearfield::cpu {

namespace {
// A matrix of `rows` rows of `columns` as [panel][place][its rows], column column_at(place) at each of
// `places`.
template <typename ColumnAt>
void to_panels(const float* matrix, int64_t rows, int64_t columns, int32_t panel_rows, int64_t places,
               const ColumnAt& column_at, AlignedFloats* out) {
  const Panels panels{rows, (rows + panel_rows - 1) / panel_rows};
  out->fit(rows * places);
  float* to = out->get();
  for (int64_t panel = 0; panel < panels.count; ++panel)
    for (int64_t place = 0; place < places; ++place)
      for (int64_t row = panels.first_query(panel); row < panels.first_query(panel + 1); ++row) {
        const int64_t column = column_at(place);
        *to++ = column < columns ? matrix[row * columns + column] : 0.0f;
      }
}
}  // namespace

CodedBasis::CodedBasis(int32_t metric, BasisPtr basis, int32_t panel_axes)
    : metric_(metric), basis_(std::move(basis)), bound_(metric, *basis_) {
  const Basis& b = *basis_;
  const CodeLayout of_group = layout(1);
  shape_.chunks = padded_dim(b.dim) / kChunkFloats;
  shape_.dim = b.dim;
  shape_.levels = of_group.levels();
  shape_.level_dims = b.level_dims;
  shape_.norm_unit = norm_unit(of_group.coded_dim());
  shape_.error_unit = error_unit(of_group.coded_dim());
  shape_.scaled = metric == NF_COSINE;
  shape_.has_beta = metric == NF_POINCARE;
  if (!b.mean.empty()) {
    mean_.fit(padded_dim(b.dim));
    std::fill_n(mean_.get(), padded_dim(b.dim), 0.0f);
    std::copy(b.mean.begin(), b.mean.end(), mean_.get());
    shape_.mean = mean_.get();
  }
  // |y| as computed is at least (sqrt(1 - d) - rounding) |x|: how much of |y| the rounding of the rotation
  // may be.
  const double rounding = std::max(b.rounding(), b.factors.rounding);
  const double least = std::sqrt(std::max(0.0, 1 - b.departure)) - rounding;
  shape_.keeps_all = least < 0.25;
  if (!shape_.keeps_all) shape_.rounding = static_cast<float>(rounding / least * 1.001);
  if (!b.is_rotated()) return;
  shape_.rotation = b.rotation.data();
  // Dimensions lie as product-inl.hpp packs them; the factors' axes one after the other.
  const auto packed = [&](int64_t i) { return i % shape_.chunks * kChunkFloats + i / shape_.chunks; };
  const int64_t padded = shape_.chunks * kChunkFloats;
  if (b.factors.count == 0) {
    to_panels(b.rotation.data(), b.dim, b.dim, panel_axes, padded, packed, &panels_);
    shape_.panels = panels_.get();
    return;
  }
  shape_.factors = b.factors.count;
  to_panels(b.factors.reduce.data(), shape_.factors, b.dim, panel_axes, padded, packed, &panels_);
  to_panels(
      b.factors.expand.data(), b.dim, shape_.factors, panel_axes, shape_.factors, [](int64_t i) { return i; },
      &expand_);
  shape_.reduce = panels_.get();
  shape_.expand = expand_.get();
}

namespace {
// Of a plane. Slabs of a power of two would put the planes of a group into the same few sets of L1 and L2 (a
// level is 1 MiB behind the one before in a full slab of 128 dimensions), where 16 of them drive each other
// out: one group more moves each by a level's bytes. In large slabs it is by more than the groups that a list
// is prefetched ahead, so that those of all levels stay in an L2 of 8 ways.
int64_t plane_groups(int64_t rows) {
  const int64_t groups = groups_of(rows);
  return groups >= 2048 ? groups + 37 : groups >= 64 ? groups + 1 : groups;
}
}  // namespace

uint64_t SlabCodes::bytes(int64_t rows, int32_t metric, int32_t dim) {
  const CodeLayout layout{metric, dim, default_level_dims(dim), plane_groups(rows)};
  return static_cast<uint64_t>(round_up(layout.bytes(), 64));
}

bool SlabCodes::allocate(int64_t rows, CodedBasisPtr in) {
  layout = in->layout(plane_groups(rows));
  basis = std::move(in);
  pages = Pages(static_cast<size_t>(round_up(layout.bytes(), 64)));
  return pages.data() != nullptr;
}

void SlabCodes::copy_row(int64_t row, const SlabCodes& from, int64_t from_row) const {
  const CodedGroup to_group = group(row / kGroupRows), of = from.group(from_row / kGroupRows);
  const int64_t to = row % kGroupRows, at = from_row % kGroupRows;
  const int64_t levels = layout.levels();
  for (int64_t level = 0; level < levels; ++level)
    for (int64_t chunk = 0; chunk < layout.level_bytes(); chunk += kChunkStride)
      std::memcpy(to_group.codes + level * to_group.level_stride + chunk + to * 4,
                  of.codes + level * of.level_stride + chunk + at * 4, 4);
  for (int64_t level = 0; level + 1 < levels; ++level)
    to_group.tails[level * to_group.tail_stride + to] = of.tails[level * of.tail_stride + at];
  for (int64_t plane = 0; plane < layout.side_planes(); ++plane)
    to_group.sides[plane * kGroupRows + to] = of.sides[plane * kGroupRows + at];
}

}  // namespace nearfield::cpu
