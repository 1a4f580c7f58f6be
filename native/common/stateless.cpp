// SPDX-License-Identifier: Apache-2.0
// The entries of the stateless kernels.
#include "entries.hpp"
#include "search.hpp"

namespace nearfield {

nf_status knn_entry(nf_context* handle, const nf_knn* request, nf_step* step, nf_call* call) {
  return enter("knn", call, [&](const Call& c, nf_error*) -> Status {
    NF_TRY(check_pointer(c, "context", handle));
    Context& context = *handle->context;
    nf_step slice{};
    if (step != nullptr) NF_TRY(read_struct(c, "step", step, &slice));
    Status status = context.run(c, [&]() -> Status {
      NF_TRY(knn(c, context, request, step != nullptr ? &slice : nullptr));
      if (step != nullptr) write_struct(slice, step);
      return {};
    });
    // Where the call ended before its turn came, nobody else frees the work.
    if (!status.ok()) context.give_up(reinterpret_cast<Works::Token>(slice.work));
    return status;
  });
}

nf_status kmeans_entry(nf_context*, const nf_kmeans*, nf_step*, nf_call* call) {
  return unimplemented("kmeans", call, "k-means is");
}

nf_status assign_entry(nf_context*, const nf_assign*, nf_call* call) {
  return unimplemented("assign", call, "assignment to centroids is");
}

}  // namespace nearfield
