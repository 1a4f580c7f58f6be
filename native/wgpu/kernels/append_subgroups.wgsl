// SPDX-License-Identifier: Apache-2.0
// As append.wgsl, with one atomic operation a subgroup. Both functions are called by all lanes of the workgroup
// together, and no subgroup operation stands in a branch: SPIR-V promises that lanes which diverged meet again only
// where the whole workgroup came in uniformly.

var<private> lanes_before: vec4<u32>; // of the subgroup, a bit each; subgroups have at most 128 lanes

fn append_init() {
  let me = subgroupExclusiveAdd(1u);
  for (var w = 0u; w < 4u; w++) {
    let bits = clamp(i32(me) - i32(32u * w), 0, 32);
    lanes_before[w] = select((1u << u32(bits & 31)) - 1u, 0xffffffffu, bits == 32);
  }
}

fn append_place(j: u32, wants: bool) -> u32 {
  let votes = subgroupBallot(wants);
  var first = 0u;
  var leader = 0u; // the first lane that wants
  var earlier = 0u;
  if (any(votes != vec4<u32>(0u))) {
    let counts = countOneBits(votes & lanes_before);
    earlier = counts.x + counts.y + counts.z + counts.w;
    for (var w = 4u; w > 0u; w--) {
      leader = select(leader, 32u * (w - 1u) + firstTrailingBit(votes[w - 1u]), votes[w - 1u] != 0u);
    }
    if (wants && earlier == 0u) {
      let all = countOneBits(votes);
      first = atomicAdd(&list_count[j], all.x + all.y + all.z + all.w);
    }
  }
  return subgroupShuffle(first, leader) + earlier;
}
