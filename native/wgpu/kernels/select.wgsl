// SPDX-License-Identifier: Apache-2.0
// Exact selection of the k smallest (key, row) pairs by one workgroup, for QB queries at once: entries below the
// bound are appended to a list in workgroup memory; when a list might overflow at the next tile, it is sorted
// (bitonic) and cut to k, and the k-th entry becomes the bound.
// A list holds CAP >= k + TILE_ROWS entries; QB * CAP * 8 bytes stay below 16 KiB.

var<workgroup> list_keys: array<u32, QB * CAP>;
var<workgroup> list_rows: array<u32, QB * CAP>;
var<workgroup> list_count: array<atomic<u32>, QB>;
var<workgroup> bound_key: array<u32, QB>;
var<workgroup> bound_row: array<u32, QB>;
var<workgroup> prune_wanted: atomic<u32>;
var<workgroup> shared_count: u32;
var<workgroup> shared_flag: u32;

fn select_init(lane: u32) {
  append_init();
  if (lane < QB) {
    atomicStore(&list_count[lane], 0u);
    bound_key[lane] = EMPTY;
    bound_row[lane] = EMPTY;
  }
  if (lane == 0u) {
    atomicStore(&prune_wanted, 0u);
  }
  workgroupBarrier();
}

// Uniform: every lane offers an entry, an EMPTY one where it has none. `limit`: a key that at least k entries are
// known not to exceed, EMPTY when none is known.
fn offer(j: u32, key: u32, row: u32, limit: u32) {
  let wants = key != EMPTY && key <= limit && before(key, row, bound_key[j], bound_row[j]);
  let slot = append_place(j, wants);
  if (wants) {
    list_keys[j * CAP + slot] = key;
    list_rows[j * CAP + slot] = row;
    if (slot + 1u > CAP - TILE_ROWS) {
      atomicStore(&prune_wanted, 1u);
    }
  }
}

// Uniform. True when some list may overflow at the next tile; also the barrier between two tiles.
fn lists_full(lane: u32) -> bool {
  workgroupBarrier();
  if (lane == 0u) {
    shared_flag = atomicLoad(&prune_wanted);
  }
  return workgroupUniformLoad(&shared_flag) != 0u;
}

// Uniform. The number of entries of list j.
fn list_size(j: u32, lane: u32) -> u32 {
  if (lane == 0u) {
    shared_count = atomicLoad(&list_count[j]);
  }
  return workgroupUniformLoad(&shared_count);
}

// Uniform. Sorts list j and cuts it to k entries; returns how many remain.
fn prune(j: u32, k: u32, lane: u32) -> u32 {
  let n = list_size(j, lane);
  if (n > 1u) {
    let size = 1u << (32u - countLeadingZeros(n - 1u));
    let base = j * CAP;
    for (var i = n + lane; i < size; i += WG) {
      list_keys[base + i] = EMPTY;
      list_rows[base + i] = EMPTY;
    }
    workgroupBarrier();
    for (var run = 2u; run <= size; run <<= 1u) {
      for (var step = run >> 1u; step > 0u; step >>= 1u) {
        for (var t = lane; t < (size >> 1u); t += WG) {
          let a = base + 2u * t - (t & (step - 1u));
          let b = a + step;
          let ascending = ((a - base) & run) == 0u;
          let ka = list_keys[a];
          let ra = list_rows[a];
          let kb = list_keys[b];
          let rb = list_rows[b];
          if (before(kb, rb, ka, ra) == ascending) {
            list_keys[a] = kb;
            list_rows[a] = rb;
            list_keys[b] = ka;
            list_rows[b] = ra;
          }
        }
        workgroupBarrier();
      }
    }
  }
  if (lane == 0u) {
    if (n >= k) {
      bound_key[j] = list_keys[j * CAP + k - 1u];
      bound_row[j] = list_rows[j * CAP + k - 1u];
    }
    atomicStore(&list_count[j], min(n, k));
    atomicStore(&prune_wanted, 0u);
  }
  workgroupBarrier();
  return min(n, k);
}
