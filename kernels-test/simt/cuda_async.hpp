// SPDX-License-Identifier: Apache-2.0
// What a block of compute capability 9.0 has under way: phases of mbarriers, bulk tensor copies, products of
// warpgroups. Behind native/cuda/kernels/bulk.cuh and wgmma.cuh; PTX ISA is what it follows. All of it
// happens as late as it may: a copy arrives when nobody can go on without it, a product is made at the wait.
// Until then the target is NaN, and for checked kernels nobody has written it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "simt.hpp"

namespace nearfield::simt {

// What cuTensorMapEncodeTiled is told, as the emulator keeps it in the 128 bytes of a map.
struct TensorMap {
  uint64_t mark;  // kTensorMapMark
  char* address;
  uint64_t sizes[3];    // elements
  uint64_t strides[2];  // bytes, of the second and the third dimension
  uint32_t box[3];      // elements
  uint32_t element_bytes;
};
inline constexpr uint64_t kTensorMapMark = 0x70616d5f65726e66;
static_assert(sizeof(TensorMap) <= 128);

// Empty, or why a map of three dimensions, neither interleaved nor swizzled, cannot be made so.
std::string problem_of(const TensorMap& map);

// ---- mbarriers ----

void mbarrier_init(uint64_t* barrier, uint32_t arrivals, Site where, bool checked = kChecked);
// With a number of bytes that are to arrive in this phase, too.
void mbarrier_arrive(uint64_t* barrier, uint32_t bytes, Site where, bool checked = kChecked);
// Until the phase of this parity has ended.
void mbarrier_wait(uint64_t* barrier, uint32_t parity, Site where, bool checked = kChecked);

// cp.async.bulk.tensor.3d: a box to shared memory, whose bytes `barrier` counts. Zeros outside of the tensor.
void bulk_tensor_copy(void* to, const void* map, const int32_t (&first)[3], uint64_t* barrier, Site where,
                      bool checked = kChecked);

// ---- Products of warpgroups ----

inline constexpr unsigned kWarpgroup = 128, kWgmmaRows = 64, kWgmmaColumns = 256;
inline constexpr unsigned kWgmmaSums = kWgmmaRows * kWgmmaColumns / kWarpgroup;  // of a thread

uint32_t shared_address(const void* p, Site where);
void wgmma_fence(Site where);
// wgmma.mma_async.m64n256k8, tf32 and f32: d += a b, or d = a b.
void wgmma_tf32(float* d, uint64_t a, uint64_t b, bool adds, Site where, bool checked = kChecked);
void wgmma_commit(Site where);
void wgmma_wait(unsigned groups_left, Site where);
// The thread uses these registers now.
void wgmma_registers(const float* d, Site where);

// Of a thread.
struct Products {
  struct Product {
    float* d;
    uint64_t a, b;
    bool adds;
    const void* place;
  };
  struct Sums {  // that are poisoned in the registers
    float* d;
    float values[kWgmmaSums];
    size_t pending;
  };
  std::vector<Product> list;
  std::vector<size_t> groups;  // ends in `list`
  std::vector<Sums> sums;
  bool fenced = false;
};

// Of a block.
class Async {
 public:
  void begin_block(unsigned threads);
  // Why the block may not end yet, or nothing.
  std::string unfinished() const;

  bool has_ended(const void* barrier, unsigned parity) const;
  bool land(uint64_t pick);  // one of the copies, if there is any

 private:
  friend void mbarrier_init(uint64_t*, uint32_t, Site, bool);
  friend void mbarrier_arrive(uint64_t*, uint32_t, Site, bool);
  friend void mbarrier_wait(uint64_t*, uint32_t, Site, bool);
  friend void bulk_tensor_copy(void*, const void*, const int32_t (&)[3], uint64_t*, Site, bool);
  friend void wgmma_tf32(float*, uint64_t, uint64_t, bool, Site, bool);

  struct Phase {
    uint32_t arrivals, pending;
    int64_t bytes;  // that are yet to come
    unsigned parity;
    void try_end();
  };
  struct Copy {
    char* to;
    TensorMap map;
    int32_t first[3];
    const void* barrier;
  };
  struct Operands {
    uint64_t a, b;
    bool adds;
    bool operator==(const Operands&) const = default;
  };
  Phase& phase_of(const uint64_t* barrier, Site where);

  std::map<const void*, Phase> phases_;
  std::vector<Copy> copies_;
  std::vector<std::vector<Operands>> issued_;  // of each warpgroup
  std::vector<size_t> issued_by_warp_;
};

}  // namespace nearfield::simt
