// SPDX-License-Identifier: Apache-2.0
// nf_get_api and the table behind it. Each entry checks its handles, waits its turn and hands over.
#include <memory>
#include <string>

#include "backend.hpp"
#include "compiler.hpp"
#include "entries.hpp"
#include "metric.hpp"
#include "points.hpp"
#include "search.hpp"

namespace nearfield {
namespace {

struct Library {
  std::unique_ptr<Backend> backend = make_backend();
  std::string build = std::string(backend->build()) + ", " NEARFIELD_COMPILER;
  Turns turns;  // for calls that belong to no context
  nf_api table{};
};

// Never destroyed: at exit other threads may still be inside a call.
Library& library() {
  static Library& instance = *new Library;
  return instance;
}

template <typename Body>
nf_status on_library(const char* operation, const nf_call* call, const Body& body) noexcept {
  return enter(operation, call, [&](const Call& c, nf_error* error) -> Status {
    NF_TRY(library().turns.take(c));
    const TurnHolder holder(library().turns);
    return body(c, *library().backend, error);
  });
}

// ---- devices and contexts ----

Status check_device(const Call& call, Backend& backend, int32_t device) {
  int32_t count = 0;
  std::string why_none;
  NF_TRY(backend.device_count(&count, &why_none));
  if (device >= 0 && device < count) return {};
  if (count == 0) return Status(NF_UNAVAILABLE, std::string(call.operation()) + ": no device: " + why_none);
  return error(NF_INVALID_ARGUMENT, "%s: device=%d, the %s backend has %d", call.operation(), device,
               backend.name(), count);
}

nf_status device_count(int32_t* count, nf_call* call) {
  return on_library("device_count", call, [&](const Call& c, Backend& backend, nf_error* sink) -> Status {
    NF_TRY(check_pointer(c, "count", count));
    int32_t found = 0;
    std::string why_none;
    NF_TRY(backend.device_count(&found, &why_none));
    if (found == 0) report(sink, backend.why_none_status(), 0, why_none);
    *count = found;
    return {};
  });
}

nf_status device_info(int32_t device, nf_device_info* info, nf_call* call) {
  return on_library("device_info", call, [&](const Call& c, Backend& backend, nf_error*) -> Status {
    NF_TRY(check_struct(c, "info", info));
    NF_TRY(check_device(c, backend, device));
    nf_device_info found{};
    NF_TRY(backend.device_info(device, &found));
    write_struct(found, info);
    return {};
  });
}

nf_status context_create(const nf_context_desc* from, nf_context** out, nf_call* call) {
  return on_library("context_create", call, [&](const Call& c, Backend& backend, nf_error*) -> Status {
    nf_context_desc desc;
    NF_TRY(read_struct(c, "desc", from, &desc));
    NF_TRY(check_flags(c, "flags", desc.flags, 0));
    NF_TRY(check_pointer(c, "out", out));
    if (desc.threads < 0)
      return error(NF_INVALID_ARGUMENT, "%s: threads=%d, it must be at least 0", c.operation(), desc.threads);
    NF_TRY(check_device(c, backend, desc.device));
    DeviceOptions options;
    options.device = desc.device;
    options.threads = desc.threads;
    options.memory_limit = desc.memory_limit;
    options.workspace_limit = desc.workspace_limit;
    options.slab_bytes = desc.slab_bytes;
    options.max_binding_bytes = desc.max_binding_bytes;
    if (desc.force_path != nullptr) options.force_path = desc.force_path;
    std::unique_ptr<Device> device;
    NF_TRY(backend.create_device(options, &device, c));
    nf_device_info info{};
    NF_TRY(device->info(&info));
    auto context = std::make_shared<Context>(std::move(device), std::move(options), info.memory_bytes);
    *out = new nf_context{std::move(context)};
    return {};
  });
}

void context_destroy(nf_context* handle) {
  if (handle == nullptr) return;
  handle->context->close();
  delete handle;
}

int32_t supports(nf_context* handle, const nf_capability* from) {
  int32_t answer = 0;
  enter("supports", nullptr, [&](const Call& call, nf_error*) -> Status {
    NF_TRY(check_pointer(call, "context", handle));
    nf_capability what;
    NF_TRY(read_struct(call, "what", from, &what));
    const auto f32_or_unset = [](int32_t dtype) { return dtype == 0 || dtype == NF_F32; };
    const bool scanned =
        what.scan_dtype == NF_F32 || (what.scan_dtype == NF_I8 && handle->context->serves_codes(what.metric));
    // Codes alone are stored as what is scanned.
    const bool alone = what.store_dtype == NF_I8 && what.scan_dtype == NF_I8 &&
                       handle->context->serves_codes_alone(what.metric);
    const bool flat_index = ((what.store_dtype == NF_F32 && scanned) || alone) && what.index_kind == NF_FLAT;
    const bool listed_index = what.store_dtype == NF_F32 && scanned && what.index_kind == NF_IVF &&
                              handle->context->serves_lists(what.metric);
    const bool f32_rows = f32_or_unset(what.store_dtype) && f32_or_unset(what.scan_dtype) &&
                          (what.index_kind == 0 || what.index_kind == NF_FLAT);
    const bool stateless = what.op == NF_OP_KNN || what.op == NF_OP_ASSIGN ||
                           (what.op == NF_OP_KMEANS && has_means(what.metric));
    const bool built = (what.op == NF_OP_INDEX && (flat_index || listed_index)) || (stateless && f32_rows);
    const bool codes = what.op == NF_OP_QUANTIZE && what.index_kind == 0 && what.metric == 0 &&
                       (what.store_dtype == NF_I8 || what.store_dtype == NF_BF16) && what.scan_dtype == 0;
    answer = (codes || (built && handle->context->serves(what.metric))) && what.input_dtype == NF_F32 &&
                     what.reserved == 0
                 ? 1
                 : 0;
    return {};
  });
  return answer;
}

// ---- index ----

Status check_scan_dtype(const Call& call, const Context& context, const nf_index_desc& desc) {
  if (desc.scan_dtype != NF_I8) return check_dtype(call, "scan_dtype", desc.scan_dtype);
  if (context.serves_codes(desc.metric)) return {};
  if (desc.metric == NF_MANHATTAN)
    return error(
        NF_UNIMPLEMENTED,
        "%s: scan_dtype=%d with metric=%d (%s), int8 codes serve L2 squared, cosine, dot and Poincaré",
        call.operation(), desc.scan_dtype, desc.metric, metric_name(desc.metric));
  return error(NF_UNIMPLEMENTED,
               "%s: scan_dtype=%d, int8 codes are not built in this version of the %s backend",
               call.operation(), desc.scan_dtype, library().backend->name());
}

Status check_index_flags(const Call& call, const Context& context, const nf_index_desc& desc) {
  NF_TRY(check_flags(call, "flags", desc.flags, NF_DROP_F32));
  if (desc.flags == 0) return {};
  if (desc.scan_dtype != NF_I8)
    return error(
        NF_INVALID_ARGUMENT,
        "%s: flags=0x%x (NF_DROP_F32) with scan_dtype=%d, an index without f32 rows needs codes: NF_I8 (%d)",
        call.operation(), desc.flags, desc.scan_dtype, NF_I8);
  if (context.serves_codes_alone(desc.metric)) return {};
  if (desc.metric == NF_POINCARE)
    return error(
        NF_UNIMPLEMENTED,
        "%s: flags=0x%x (NF_DROP_F32) with metric=%d (%s), rows near the boundary of the ball would decode "
        "to points outside",
        call.operation(), desc.flags, desc.metric, metric_name(desc.metric));
  return error(NF_UNIMPLEMENTED,
               "%s: flags=0x%x, an index without f32 rows (NF_DROP_F32) is not built in this version of the "
               "%s backend",
               call.operation(), desc.flags, library().backend->name());
}

// Of an index with lists.
Status check_lists(const Call& call, const Context& context, const nf_index_desc& desc) {
  if (!context.serves_lists(desc.metric))
    return error(
        NF_UNIMPLEMENTED,
        "%s: kind=%d (NF_IVF) with metric=%d (%s), lists are not built in this version of the %s backend",
        call.operation(), desc.kind, desc.metric, metric_name(desc.metric), library().backend->name());
  if (desc.flags != 0)
    return error(NF_UNIMPLEMENTED,
                 "%s: flags=0x%x (NF_DROP_F32) with kind=%d (NF_IVF), lists keep their rows in f32",
                 call.operation(), desc.flags, desc.kind);
  NF_TRY(check_count(call, "lists", desc.lists, kMostLists));
  NF_TRY(check_count(call, "probes", desc.probes, kMostLists));
  if (desc.lists != 0 && desc.probes > desc.lists)
    return error(NF_INVALID_ARGUMENT, "%s: probes=%d, there are lists=%d", call.operation(), desc.probes,
                 desc.lists);
  return {};
}

Status read_desc(const Call& call, const Context& context, const nf_index_desc* from, StoreOptions* options,
                 VectorRules* rules, ListOptions* lists) {
  nf_index_desc desc;
  NF_TRY(read_struct(call, "desc", from, &desc));
  if (desc.kind != NF_FLAT && desc.kind != NF_IVF)
    return error(desc.kind <= 0 ? NF_INVALID_ARGUMENT : NF_UNIMPLEMENTED,
                 "%s: kind=%d, this library serves NF_FLAT (%d) and NF_IVF (%d)", call.operation(), desc.kind,
                 NF_FLAT, NF_IVF);
  lists->has_lists = desc.kind == NF_IVF;
  lists->lists = desc.lists;
  lists->probes = desc.probes;
  NF_TRY(context.check_served(call, desc.metric));
  NF_TRY(check_dim(call, "dim", desc.dim));
  NF_TRY(check_dtype(call, "store_dtype", desc.store_dtype));
  NF_TRY(check_scan_dtype(call, context, desc));
  NF_TRY(check_index_flags(call, context, desc));
  NF_TRY(check_flags(call, "reserved", desc.reserved, 0));
  if (lists->has_lists)
    NF_TRY(check_lists(call, context, desc));
  else if (desc.lists != 0 || desc.probes != 0)
    return error(NF_INVALID_ARGUMENT, "%s: lists=%d and probes=%d, a flat index has no lists",
                 call.operation(), desc.lists, desc.probes);
  NF_TRY(check_count(call, "capacity", desc.capacity, kMaxRows));
  *rules = {desc.metric, desc.poincare_max_norm};
  NF_TRY(check_poincare_max_norm(call, &rules->poincare_max_norm));
  options->metric = desc.metric;
  options->dim = desc.dim;
  options->capacity = desc.capacity;
  options->memory_limit = desc.memory_limit;
  options->coded = desc.scan_dtype == NF_I8;
  options->drop_rows = (desc.flags & NF_DROP_F32) != 0;
  return {};
}

nf_status index_estimate(nf_context* context, const nf_index_desc* desc, uint64_t* peak_bytes,
                         uint64_t* bytes, nf_call* call) {
  return on_context("index_estimate", context, call, [&](const Call& c, Context& context) -> Status {
    StoreOptions options;
    VectorRules rules;
    ListOptions lists;
    NF_TRY(read_desc(c, context, desc, &options, &rules, &lists));
    NF_TRY(check_pointer(c, "peak_bytes", peak_bytes));
    NF_TRY(check_pointer(c, "bytes", bytes));
    // Slabs never move, so building takes no more than what stays.
    *bytes = context.device().estimate(options);
    *peak_bytes = *bytes;
    return {};
  });
}

nf_status index_create(nf_context* handle, const nf_index_desc* desc, nf_index** out, nf_call* call) {
  return on_context("index_create", handle, call, [&](const Call& c, Context& context) -> Status {
    StoreOptions options;
    VectorRules rules;
    ListOptions lists;
    NF_TRY(read_desc(c, context, desc, &options, &rules, &lists));
    NF_TRY(check_pointer(c, "out", out));
    std::unique_ptr<Index> index;
    NF_TRY(Index::create(c, context, options, rules, lists, &index));
    *out = new nf_index{handle->context, std::move(index)};
    return {};
  });
}

void index_destroy(nf_index* handle) {
  if (handle == nullptr) return;
  {
    Turns& turns = handle->context->turns();
    turns.take_always();
    const TurnHolder holder(turns);
    handle->index.reset();
  }
  delete handle;  // and with the last index the device of a destroyed context
}

nf_status index_info(nf_index* index, nf_index_info* info, nf_call* call) {
  return on_index("index_info", index, call, [&](const Call& c, Context& context, Index& index) -> Status {
    NF_TRY(check_struct(c, "info", info));
    write_struct(index.info(context), info);
    return {};
  });
}

Status check_has_lists(const Call& call, const Index& index) {
  if (index.list_options().has_lists) return {};
  return error(NF_FAILED_PRECONDITION, "%s: the index is flat (NF_FLAT), it has no lists", call.operation());
}

// A step of work that the index keeps.
Status read_step(const Call& call, const nf_step* from, const char* what, nf_step* to) {
  NF_TRY(read_struct(call, "step", from, to));
  NF_TRY(check_budget(call, *to));
  NF_TRY(check_count(call, "position", to->position, kMaxRows));
  if (to->work == nullptr) return {};
  return error(NF_INVALID_ARGUMENT, "%s: step->work=%p, %s has none", call.operation(), to->work, what);
}

Status read_train(const Call& call, const Index& index, const nf_train* from, TrainRequest* to) {
  nf_train request;
  NF_TRY(read_struct(call, "request", from, &request));
  NF_TRY(check_flags(call, "flags", request.flags, 0));
  const ListOptions& options = index.list_options();
  if (!options.has_lists && (request.lists != 0 || request.iterations != 0))
    return error(NF_INVALID_ARGUMENT, "%s: lists=%d and iterations=%d, a flat index has no lists",
                 call.operation(), request.lists, request.iterations);
  NF_TRY(check_count(call, "sample", request.sample, kMaxRows));
  if (request.sample == 1)
    return error(NF_INVALID_ARGUMENT, "%s: sample=1, it must be 0 or at least 2", call.operation());
  to->own_rows = request.data == nullptr;
  if (options.has_lists) {
    NF_TRY(check_count(call, "lists", request.lists, kMostLists));
    NF_TRY(check_count(call, "iterations", request.iterations, std::numeric_limits<int32_t>::max()));
    to->lists = request.lists != 0 ? request.lists : options.lists;
    to->iterations = request.iterations;
    to->list_sample = request.sample;
  } else {
    to->sample = request.sample;
  }
  to->seed = request.seed;
  if (to->own_rows) return {};
  NF_TRY(read_matrix(call, "data", request.data, &to->data));
  NF_TRY(check_cols(call, "data", to->data, index.dim()));
  if (to->data.rows < 2)
    return error(NF_INVALID_ARGUMENT, "%s: data->rows=%lld, %s at least 2", call.operation(),
                 static_cast<long long>(to->data.rows),
                 options.has_lists ? "lists are trained on" : "a basis is fitted to");
  return {};
}

// A step that never got its turn ends the work, too: it holds a second copy of the rows.
template <typename End>
nf_status ending(nf_status status, nf_index* handle, const End& end) {
  if (status == NF_CANCELLED || status == NF_DEADLINE_EXCEEDED) {
    Turns& turns = handle->context->turns();
    turns.take_always();
    const TurnHolder holder(turns);
    end(*handle->index);
  }
  return status;
}

nf_status index_train(nf_index* handle, const nf_train* from, nf_step* step, nf_call* call) {
  const nf_status status =
      on_index("train", handle, call, [&](const Call& c, Context& context, Index& index) -> Status {
        TrainRequest request;
        nf_step slice;
        NF_TRY(read_train(c, index, from, &request));
        NF_TRY(read_step(c, step, "a training", &slice));
        if (index.list_options().has_lists) {
          NF_TRY(index.train_lists(c, context, request, &slice));
          write_struct(slice, step);
          return {};
        }
        if (!index.options().coded)
          return error(NF_FAILED_PRECONDITION,
                       "%s: this index is flat and has scan_dtype=%d (NF_F32), training is for int8 codes, "
                       "scan_dtype=%d (NF_I8)",
                       c.operation(), NF_F32, NF_I8);
        NF_TRY(index.train(c, request, &slice));
        write_struct(slice, step);
        return {};
      });
  return ending(status, handle, [](Index& index) { index.end_list_training(); });
}

nf_status index_maintain(nf_index* handle, nf_maintain* from, nf_step* step, nf_call* call) {
  const nf_status status =
      on_index("maintain", handle, call, [&](const Call& c, Context& context, Index& index) -> Status {
        nf_maintain request;
        nf_step slice;
        NF_TRY(read_struct(c, "request", from, &request));
        NF_TRY(check_flags(c, "flags", request.flags, 0));
        NF_TRY(read_step(c, step, "a maintenance", &slice));
        NF_TRY(check_has_lists(c, index));
        NF_TRY(index.maintain(c, context, &request, &slice));
        write_struct(request, from);
        write_struct(slice, step);
        return {};
      });
  return ending(status, handle, [](Index& index) { index.end_maintenance(); });
}

nf_status index_add(nf_index* index, const nf_add* from, int64_t* first_row, nf_call* call) {
  return on_index("add", index, call, [&](const Call& c, Context&, Index& index) -> Status {
    nf_add request;
    NF_TRY(read_struct(c, "add", from, &request));
    NF_TRY(check_flags(c, "flags", request.flags, NF_HIDDEN));
    MatrixView data;
    NF_TRY(read_matrix(c, "rows", request.rows, &data));
    NF_TRY(check_cols(c, "rows", data, index.dim()));
    NF_TRY(check_pointer(c, "first_row", first_row));
    const int64_t first = index.rows();
    NF_TRY(index.add(c, data, (request.flags & NF_HIDDEN) == 0, "row", 0));
    *first_row = first;
    return {};
  });
}

nf_status index_replace(nf_index* index, const int64_t* rows, const nf_matrix* from, nf_call* call) {
  return on_index("replace", index, call, [&](const Call& c, Context&, Index& index) -> Status {
    MatrixView data;
    NF_TRY(read_matrix(c, "data", from, &data));
    NF_TRY(check_cols(c, "data", data, index.dim()));
    NF_TRY(check_array(c, "rows", rows, data.rows));
    return index.replace(c, rows, data);
  });
}

nf_status index_read(nf_index* index, const int64_t* rows, nf_matrix* to, nf_call* call) {
  return on_index("read", index, call, [&](const Call& c, Context&, Index& index) -> Status {
    MatrixView out;
    NF_TRY(read_matrix(c, "out", to, &out));
    NF_TRY(check_cols(c, "out", out, index.dim()));
    NF_TRY(check_array(c, "rows", rows, out.rows));
    return index.read(c, rows, out);
  });
}

nf_status index_set_live(nf_index* index, const nf_live* from, nf_call* call) {
  return on_index("set_live", index, call, [&](const Call& c, Context&, Index& index) -> Status {
    nf_live request;
    NF_TRY(read_struct(c, "request", from, &request));
    NF_TRY(check_count(c, "count", request.count, kMaxRows));
    if (request.live != 0 && request.live != 1)
      return error(NF_INVALID_ARGUMENT, "%s: live=%d, it must be 0 or 1", c.operation(), request.live);
    const bool live = request.live == 1;
    if (request.rows == nullptr) return index.set_live_range(c, request.first, request.count, live);
    NF_TRY(check_pointer(c, "rows", request.rows));
    if (request.first != 0)
      return error(NF_INVALID_ARGUMENT, "%s: first=%lld, it must be 0 where rows are named", c.operation(),
                   static_cast<long long>(request.first));
    return index.set_live(c, request.rows, request.count, live);
  });
}

nf_status index_compact(nf_index* index, nf_compact* from, nf_step* step, nf_call* call) {
  return on_index("compact", index, call, [&](const Call& c, Context& context, Index& index) -> Status {
    nf_compact request;
    nf_step slice;
    NF_TRY(read_struct(c, "request", from, &request));
    NF_TRY(check_flags(c, "flags", request.flags, 0));
    NF_TRY(check_count(c, "new_row_count", request.new_row_count, kMaxRows));
    NF_TRY(check_array(c, "new_row", request.new_row, request.new_row_count));
    NF_TRY(read_step(c, step, "a compaction", &slice));
    NF_TRY(index.compact(c, context, &request, &slice));
    write_struct(request, from);
    write_struct(slice, step);
    return {};
  });
}

nf_status index_search(nf_index* index, const nf_search* request, nf_call* call) {
  return on_index("search", index, call, [&](const Call& c, Context& context, Index& index) {
    return search(c, context, index, request);
  });
}

nf_status index_score(nf_index* index, const nf_score* request, nf_call* call) {
  return on_index("score", index, call, [&](const Call& c, Context& context, Index& index) {
    return score(c, context, index, request);
  });
}

Status read_list_request(const Call& call, const Index& index, const nf_lists* from, nf_lists* to,
                         MatrixView* centroids) {
  NF_TRY(read_struct(call, "lists", from, to));
  NF_TRY(check_flags(call, "flags", to->flags, 0));
  NF_TRY(check_has_lists(call, index));
  NF_TRY(read_matrix(call, "centroids", to->centroids, centroids));
  NF_TRY(check_cols(call, "centroids", *centroids, index.dim()));
  NF_TRY(check_count(call, "row_count", to->row_count, kMaxRows));
  NF_TRY(check_array(call, "list_of_row", to->list_of_row, to->row_count));
  NF_TRY(check_optional(call, "calibration", to->calibration));
  if (to->calibration == nullptr || to->calibration_count >= NF_CALIBRATION) return {};
  return error(NF_INVALID_ARGUMENT, "%s: calibration_count=%lld, it must be at least %d", call.operation(),
               static_cast<long long>(to->calibration_count), NF_CALIBRATION);
}

nf_status index_read_lists(nf_index* index, nf_lists* from, nf_call* call) {
  return on_index("read_lists", index, call, [&](const Call& c, Context&, Index& index) -> Status {
    nf_lists request;
    MatrixView centroids;
    NF_TRY(read_list_request(c, index, from, &request, &centroids));
    return index.read_lists(c, centroids, request);
  });
}

nf_status index_write_lists(nf_index* index, const nf_lists* from, nf_call* call) {
  return on_index("write_lists", index, call, [&](const Call& c, Context& context, Index& index) -> Status {
    nf_lists request;
    MatrixView centroids;
    NF_TRY(read_list_request(c, index, from, &request, &centroids));
    if (centroids.rows < 1 || centroids.rows > kMostLists)
      return error(NF_INVALID_ARGUMENT, "%s: centroids->rows=%lld, it must be at least 1 and at most %lld",
                   c.operation(), static_cast<long long>(centroids.rows), static_cast<long long>(kMostLists));
    return index.write_lists(c, context, centroids, request);
  });
}

const nf_api* make_table() {
  Library& lib = library();
  lib.table = {sizeof(nf_api),      NF_ABI_MAJOR,      NF_ABI_MINOR,   0,
               lib.backend->name(), lib.build.c_str(), device_count,   device_info,
               context_create,      context_destroy,   supports,       knn_entry,
               kmeans_entry,        assign_entry,      quantize_entry, index_estimate,
               index_create,        index_destroy,     index_info,     index_train,
               index_add,           index_replace,     index_read,     index_set_live,
               index_compact,       index_search,      index_score,    index_read_lists,
               index_write_lists,   index_maintain};
  return &lib.table;
}

}  // namespace

nf_status unimplemented(const char* operation, const nf_call* call, const char* what) noexcept {
  return enter(operation, call, [&](const Call& c, nf_error*) {
    return error(NF_UNIMPLEMENTED, "%s: %s not built in this version of the %s backend", c.operation(), what,
                 library().backend->name());
  });
}

}  // namespace nearfield

extern "C" const nf_api* nf_get_api(uint32_t abi_major) {
  if (abi_major != NF_ABI_MAJOR) return nullptr;
  try {
    static const nf_api* const table = nearfield::make_table();
    return table;
  } catch (...) {
    return nullptr;
  }
}
