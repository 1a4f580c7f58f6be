// SPDX-License-Identifier: Apache-2.0
// What the entries of the table share, and those that stand outside api.cpp.
#pragma once

#include "context.hpp"
#include "guard.hpp"
#include "index.hpp"

namespace nearfield {

template <typename Body>
nf_status on_context(const char* operation, nf_context* handle, const nf_call* call,
                     const Body& body) noexcept {
  return enter(operation, call, [&](const Call& c, nf_error*) -> Status {
    NF_TRY(check_pointer(c, "context", handle));
    Context& context = *handle->context;
    return context.run(c, [&] { return body(c, context); });
  });
}

template <typename Body>
nf_status on_index(const char* operation, nf_index* handle, const nf_call* call, const Body& body) noexcept {
  return enter(operation, call, [&](const Call& c, nf_error*) -> Status {
    NF_TRY(check_pointer(c, "index", handle));
    Context& context = *handle->context;
    return context.run(c, [&] { return body(c, context, *handle->index); });
  });
}

// Of an entry that waits for its version.
nf_status unimplemented(const char* operation, const nf_call* call, const char* what) noexcept;

// stateless.cpp
nf_status knn_entry(nf_context* context, const nf_knn* request, nf_step* step, nf_call* call);
nf_status kmeans_entry(nf_context* context, const nf_kmeans* request, nf_step* step, nf_call* call);

// assign.cpp
nf_status assign_entry(nf_context* context, const nf_assign* request, nf_call* call);

// quantize.cpp
nf_status quantize_entry(nf_context* context, const nf_quantize* request, nf_call* call);

}  // namespace nearfield
