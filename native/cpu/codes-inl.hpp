// SPDX-License-Identifier: Apache-2.0
// What codes.cpp compiles for each unit.
// clang-format off
#include "dots-inl.hpp"  // each needs those before it
#include "levels-inl.hpp"
#include "product_test-inl.hpp"
#include "coded_product-inl.hpp"
#include "run_panels-inl.hpp"
// clang-format on

constexpr CodeKernels make(const char* name, const char* path, bool (*supported)(), bool product_pays) {
  return {name,
          path,
          supported,
          kPanelQueries,
          kUnitQueries,
          product_pays,
          CodedPanels<Unit, false>::kPackedDims,
          &rotate,
          &encode,
          &decode,
          &levels,
          &coded_product,
          &run_panels,
          nullptr,
          nullptr};
}
