// SPDX-License-Identifier: Apache-2.0
// A place in a list for each lane that wants one. The host puts this file or append_subgroups.wgsl before a kernel
// that has lists.

fn append_init() {}

// Uniform: every lane of the workgroup comes here. What a lane is answered that does not want means nothing.
fn append_place(j: u32, wants: bool) -> u32 {
  if (!wants) {
    return 0u;
  }
  return atomicAdd(&list_count[j], 1u);
}
