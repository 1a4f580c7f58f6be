// SPDX-License-Identifier: Apache-2.0
// A basis as the kernels of this backend want it, and the codes of one slab.
#pragma once

#include <cstdint>
#include <memory>

#include "aligned_floats.hpp"
#include "code_kernels.hpp"
#include "code_layout.hpp"
#include "pages.hpp"
#include "slabs.hpp"

namespace nearfield::cpu {

class CodedBasis {
 public:
  // `panel_axes`: CodeKernels::panel_axes.
  CodedBasis(int32_t metric, BasisPtr basis, int32_t panel_axes);

  const BasisPtr& basis() const { return basis_; }
  const CodeShape& shape() const { return shape_; }
  const CodeBound& bound() const { return bound_; }
  CodeLayout layout(int64_t groups) const { return {metric_, basis_->dim, basis_->level_dims, groups}; }

 private:
  int32_t metric_;
  BasisPtr basis_;
  CodeBound bound_;
  AlignedFloats mean_, panels_, expand_;
  CodeShape shape_;
};
using CodedBasisPtr = std::shared_ptr<const CodedBasis>;

struct SlabCodes {
  Pages pages;
  CodeLayout layout;
  CodedBasisPtr basis;

  // Of an index before it is trained; a basis with other levels takes no more.
  static uint64_t bytes(int64_t rows, int32_t metric, int32_t dim);
  // False when the system has no memory left.
  bool allocate(int64_t rows, CodedBasisPtr in);
  explicit operator bool() const { return pages.data() != nullptr; }

  CodedGroup group(int64_t group) const {
    auto* const start = static_cast<uint8_t*>(pages.data());
    return {start + layout.codes(0, group), layout.groups * layout.level_bytes(),
            start + layout.tails(1, group), layout.groups * kGroupRows,
            reinterpret_cast<uint16_t*>(start + layout.sides(group))};
  }
  // Copies a row's codes from another slab of the same basis.
  void copy_row(int64_t row, const SlabCodes& from, int64_t from_row) const;
};

}  // namespace nearfield::cpu
