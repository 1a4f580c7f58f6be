// SPDX-License-Identifier: Apache-2.0
// The best so far of a query, in a list of its workgroup: best[q * k ..], sorted.
#include "select.wgsl"

// Uniform, as all that follow.
fn offer_best(q: u32, k: u32, lane: u32) {
  for (var start = 0u; start < k; start += WG) {
    var entry = vec2<u32>(EMPTY, EMPTY);
    if (start + lane < k) {
      entry = best[q * k + start + lane];
    }
    offer(0u, entry.x, entry.y, EMPTY);
    if (lists_full(lane)) {
      prune(0u, k, lane);
    }
  }
}

// The k best of the list, and how many there are.
fn keep_best(q: u32, k: u32, lane: u32) -> u32 {
  let n = prune(0u, k, lane);
  for (var i = lane; i < k; i += WG) {
    var entry = vec2<u32>(EMPTY, EMPTY);
    if (i < n) {
      entry = vec2<u32>(list_keys[i], list_rows[i]);
    }
    best[q * k + i] = entry;
  }
  return n;
}
