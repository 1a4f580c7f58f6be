// SPDX-License-Identifier: Apache-2.0
// Products of warpgroups: operands in shared memory by descriptors, the sums' layout as PTX ISA has it for
// wgmma.mma_async.m64nN. They are made at the wait.
#include <algorithm>
#include <cstring>

#include "cuda_async.hpp"
#include "cuda_matrix.hpp"
#include "engine.hpp"

namespace nearfield::simt {
namespace {

constexpr Lanes kAllLanes = 0xffffffff;  // .sync.aligned
constexpr size_t kPieceBytes = 16;       // a row of a core matrix: four TF32
constexpr unsigned kPieces = kTf32Depth / 4;

void meet(Site where) { exchange(kAllLanes, Slot{}, kOrdersNothing, where); }

// A descriptor without swizzling, of a matrix of so many rows, which run along k: "Matrix Descriptor Format".
struct Operand {
  uint32_t along_k, along_rows;  // bytes
  const char* first;
  const void* place;  // NULL: not checked

  Operand(uint64_t descriptor, unsigned rows, const void* at) : place(at) {
    const auto field = [&](int first) { return static_cast<uint32_t>(descriptor >> first & 0x3fff) << 4; };
    along_k = field(16);
    along_rows = field(32);
    if (descriptor >> 49 != 0) fail("a descriptor with swizzling or a base offset, which is not modelled");
    const size_t bytes =
        (rows / 8 - 1) * size_t{along_rows} + (kPieces - 1) * size_t{along_k} + 8 * kPieceBytes;
    first = engine->shared().at(field(0), bytes);
    if (first == nullptr)
      fail("a descriptor reaches " + std::to_string(bytes) + " bytes from shared address " +
           std::to_string(field(0)) + " on, where no array is");
  }
  // Four elements of a row, from k = 4 * piece on: of core matrices of 8 rows by 16 bytes.
  const char* piece(unsigned row, unsigned number) const {
    return first + row / 8 * size_t{along_rows} + row % 8 * kPieceBytes + number * size_t{along_k};
  }
  void note(unsigned row, unsigned number) const {
    if (place != nullptr) note_access(piece(row, number), kPieceBytes, kRead, place);
  }
  void read(unsigned row, float (&elements)[kTf32Depth]) const {
    for (unsigned number = 0; number < kPieces; ++number) {
      uint32_t words[4];
      std::memcpy(words, piece(row, number), sizeof(words));
      for (unsigned i = 0; i < 4; ++i) elements[number * 4 + i] = tf32_of(words[i]);
    }
  }
};

// Each thread looks at its share of what the warpgroup reads.
void note_operands(const Products::Product& product) {
  const unsigned thread_of_group = thread().index % kWarpgroup;
  const Operand a(product.a, kWgmmaRows, product.place), b(product.b, kWgmmaColumns, product.place);
  a.note(thread_of_group % kWgmmaRows, thread_of_group / kWgmmaRows);
  for (unsigned column = thread_of_group; column < kWgmmaColumns; column += kWarpgroup)
    for (unsigned number = 0; number < kPieces; ++number) b.note(column, number);
}

void multiply(const Products::Product& product, float* sums) {
  const unsigned warp = thread().index % kWarpgroup / 32, lane = thread().lane;
  const Operand a(product.a, kWgmmaRows, product.place), b(product.b, kWgmmaColumns, product.place);
  if (!product.adds) std::fill_n(sums, kWgmmaSums, 0.0f);
  Tf32Corner rows, columns;
  for (unsigned i = 0; i < 2; ++i) a.read(warp * 16 + lane / 4 + i * 8, rows[i]);
  for (unsigned i = 0; i < kWgmmaSums; i += 4) {
    for (unsigned j = 0; j < 2; ++j) b.read(i / 4 * 8 + lane % 4 * 2 + j, columns[j]);
    add_tf32(rows, columns, sums + i);
  }
}

Products::Sums* sums_of(Products& products, const float* d) {
  for (Products::Sums& sums : products.sums)
    if (sums.d == d) return &sums;
  return nullptr;
}

}  // namespace

uint32_t shared_address(const void* p, Site where) {
  const uint32_t address = engine->shared().address(p);
  if (address == ~0u) fail("no shared array is there", where);
  return address;
}

void wgmma_fence(Site where) {
  meet(where);
  engine->self().products.fenced = true;
}

void wgmma_tf32(float* d, uint64_t a, uint64_t b, bool adds, Site where, bool checked) {
  const void* const place = checked ? __builtin_return_address(0) : nullptr;
  const Async::Operands mine{a, b, adds};
  exchange(kAllLanes, mine, where);
  for (unsigned lane = 0; lane < 32; ++lane)
    if (!(exchanged<Async::Operands>(lane) == mine)) fail("lanes with different descriptors", where);
  if (block().size.count() % kWarpgroup != 0)
    fail("a block of " + std::to_string(block().size.count()) + " threads is no number of warpgroups", where);
  Products& products = engine->self().products;
  if (!products.fenced) fail("no wgmma.fence between the last use of registers and a product", where);
  if (thread().lane == 0) {
    Async& async = engine->async();
    std::vector<Async::Operands>& group = async.issued_[thread().warp / 4];
    size_t& mine_so_far = async.issued_by_warp_[thread().warp];
    if (mine_so_far == group.size()) group.push_back(mine);
    if (!(group[mine_so_far++] == mine)) fail("warps of a warpgroup with different descriptors", where);
  }
  products.list.push_back({d, a, b, adds, place});
  note_operands(products.list.back());
  Products::Sums* sums = sums_of(products, d);
  if (sums == nullptr) {
    products.sums.push_back({d, {}, 0});
    sums = &products.sums.back();
    std::copy_n(d, kWgmmaSums, sums->values);
    std::memset(d, 0xff, kWgmmaSums * sizeof(float));
  }
  ++sums->pending;
}

void wgmma_commit(Site where) {
  meet(where);
  Products& products = engine->self().products;
  products.groups.push_back(products.list.size());
}

void wgmma_wait(unsigned groups_left, Site where) {
  meet(where);
  Products& products = engine->self().products;
  products.fenced = false;
  if (products.groups.size() <= groups_left) return;
  const auto groups = static_cast<ptrdiff_t>(products.groups.size() - groups_left);
  const size_t end = products.groups[static_cast<size_t>(groups) - 1];
  for (size_t i = 0; i < end; ++i) {
    const Products::Product& product = products.list[i];
    Products::Sums* const sums = sums_of(products, product.d);
    note_operands(product);
    multiply(product, sums->values);
    if (--sums->pending != 0) continue;
    std::copy_n(sums->values, kWgmmaSums, product.d);
    products.sums.erase(products.sums.begin() + (sums - products.sums.data()));
  }
  products.list.erase(products.list.begin(), products.list.begin() + static_cast<ptrdiff_t>(end));
  products.groups.erase(products.groups.begin(), products.groups.begin() + groups);
  for (size_t& group : products.groups) group -= end;
}

void wgmma_registers(const float* d, Site where) {
  if (sums_of(engine->self().products, d) != nullptr)
    fail("registers of a product that nobody has waited for", where);
}

}  // namespace nearfield::simt
