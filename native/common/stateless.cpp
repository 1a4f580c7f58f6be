// SPDX-License-Identifier: Apache-2.0
// The entries of the stateless kernels that work in steps.
#include "entries.hpp"
#include "search.hpp"

namespace nearfield {
namespace {

// body(call, context, a copy of the caller's step or NULL)
template <typename Body>
nf_status in_steps(const char* operation, nf_context* handle, nf_step* step, const nf_call* call,
                   const Body& body) noexcept {
  return enter(operation, call, [&](const Call& c, nf_error*) -> Status {
    NF_TRY(check_pointer(c, "context", handle));
    Context& context = *handle->context;
    nf_step slice{};
    if (step != nullptr) NF_TRY(read_struct(c, "step", step, &slice));
    Status status = context.run(c, [&]() -> Status {
      NF_TRY(body(c, context, step != nullptr ? &slice : nullptr));
      if (step != nullptr) write_struct(slice, step);
      return {};
    });
    // Where the call ended before its turn came, nobody else frees the work.
    if (!status.ok()) context.give_up(reinterpret_cast<Works::Token>(slice.work));
    return status;
  });
}

}  // namespace

nf_status knn_entry(nf_context* context, const nf_knn* request, nf_step* step, nf_call* call) {
  return in_steps("knn", context, step, call, [&](const Call& c, Context& context, nf_step* slice) {
    return knn(c, context, request, slice);
  });
}

nf_status kmeans_entry(nf_context* context, const nf_kmeans* request, nf_step* step, nf_call* call) {
  return in_steps("kmeans", context, step, call, [&](const Call& c, Context& context, nf_step* slice) {
    return kmeans(c, context, request, slice);
  });
}

}  // namespace nearfield
