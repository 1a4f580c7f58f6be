// SPDX-License-Identifier: Apache-2.0
// One workgroup per query: its limit falls to the k-th upper bound of its candidates, or of a sample's parts, and
// candidates whose lower bound is beyond it go. The k-th of n keys by four counts of their bytes.
#include "common.wgsl"

const CUT_SHORT: u32 = 0x80000000u;
const INFINITE_KEY: u32 = 0xff800000u; // no limit is made of it
const BINS: u32 = 256u;
const LANE_BINS: u32 = BINS / WG;

// kernel_params.h: PruneParams.
struct PruneParams {
  batch: u32,
  k: u32,
  capacity: u32,
  workgroups: u32, // batch
  grid_x: u32,
  parts: u32,      // of a sample: upper bounds of a query, in place of candidates; 0: candidates
  reserved0: u32,
  reserved1: u32,
}

@group(0) @binding(0) var<uniform> params: array<PruneParams, 2>; // see common.wgsl
@group(0) @binding(1) var<storage, read_write> counts: array<u32>; // [batch], then [batch] sums
@group(0) @binding(2) var<storage, read_write> candidates: array<u32>; // [3][batch][capacity]; sample: [batch][parts]
@group(0) @binding(3) var<storage, read_write> limits: array<u32>;

var<workgroup> bins: array<atomic<u32>, BINS>;
var<workgroup> lane_sums: array<u32, WG>;
var<workgroup> shared_found: vec2<u32>; // the bin that has the k-th, and how many are below it
var<workgroup> shared_held: u32;
var<workgroup> kept: atomic<u32>;

// Uniform. The k-th smallest of the n keys from `at` on, k from 1 to n.
fn kth_key(at: u32, n: u32, k: u32, lane: u32) -> u32 {
  var prefix = 0u;
  var fixed = 0u; // bits of the prefix
  var rank = k;
  for (var shift = 32u; shift != 0u;) {
    shift -= 8u;
    for (var i = lane; i < BINS; i += WG) {
      atomicStore(&bins[i], 0u);
    }
    workgroupBarrier();
    for (var i = lane; i < n; i += WG) {
      let key = candidates[at + i];
      if ((key & fixed) == prefix) {
        atomicAdd(&bins[(key >> shift) & 255u], 1u);
      }
    }
    workgroupBarrier();
    var sum = 0u;
    for (var i = 0u; i < LANE_BINS; i++) {
      sum += atomicLoad(&bins[lane * LANE_BINS + i]);
    }
    lane_sums[lane] = sum;
    workgroupBarrier();
    var below = 0u;
    for (var i = 0u; i < lane; i++) {
      below += lane_sums[i];
    }
    if (below < rank && rank <= below + sum) {
      var bin = lane * LANE_BINS;
      for (; below + atomicLoad(&bins[bin]) < rank; bin++) {
        below += atomicLoad(&bins[bin]);
      }
      shared_found = vec2<u32>(bin, below);
    }
    let found = workgroupUniformLoad(&shared_found);
    prefix |= found.x << shift;
    fixed |= 255u << shift;
    rank -= found.y;
  }
  return prefix;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let P = params[workgroup.z];
  let q = workgroup.x + workgroup.y * P.grid_x;
  if (q >= P.workgroups) {
    return;
  }
  if (lane == 0u) {
    shared_held = min(counts[q], P.capacity);
    atomicStore(&kept, 0u);
  }
  let held = workgroupUniformLoad(&shared_held);
  let plane = P.batch * P.capacity;
  let rows = q * P.capacity;
  let n = select(held, P.parts, P.parts != 0u);
  var limit = limits[q];
  if (n >= P.k) {
    let key = kth_key(select(rows + 2u * plane, q * P.parts, P.parts != 0u), n, P.k, lane);
    if (key < INFINITE_KEY) {
      limit = min(limit, key);
    }
  }
  if (P.parts == 0u) {
    // What is kept of a step goes to places that were read.
    for (var start = 0u; start < held; start += WG) {
      let i = start + lane;
      var row = 0u;
      var lower = EMPTY;
      var upper = 0u;
      if (i < held) {
        row = candidates[rows + i];
        lower = candidates[rows + plane + i];
        upper = candidates[rows + 2u * plane + i];
      }
      storageBarrier();
      if (i < held && lower <= limit) {
        let slot = atomicAdd(&kept, 1u);
        candidates[rows + slot] = row;
        candidates[rows + plane + slot] = lower;
        candidates[rows + 2u * plane + slot] = upper;
      }
    }
  }
  workgroupBarrier();
  if (lane == 0u) {
    limits[q] = limit;
    if (P.parts == 0u) {
      let count = counts[q];
      counts[q] = atomicLoad(&kept);
      counts[P.batch + q] |= select(0u, CUT_SHORT, count > P.capacity);
    }
  }
}
