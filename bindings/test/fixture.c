// SPDX-License-Identifier: Apache-2.0
// A backend with no kernels, for the tests of the Java loader and of its error mapping. Built several times
// with:
//   FIXTURE_NO_ENTRY       exports no nf_get_api
//   FIXTURE_MAJOR=N        speaks ABI major N only
//   FIXTURE_SHORT_TABLE    its table ends before the index functions
//   FIXTURE_NULL_ENTRY     its table has no index_search
//   FIXTURE_DEVICES=N      reports N devices
//   FIXTURE_WHY=S          with 0 devices, the status in call->error
//   FIXTURE_SOFTWARE       all its devices are software, else device 1 is
//   FIXTURE_EMULATED       all its devices are emulated
//   FIXTURE_COUNT_STATUS=S device_count fails with S
// context_create on device S answers status S, so a test reaches every status: 0 succeeds.
#include <nearfield/nearfield.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifdef FIXTURE_NO_ENTRY
NF_EXPORT int32_t nearfield_fixture_without_entry(void) { return 0; }
#else

#ifndef FIXTURE_MAJOR
#define FIXTURE_MAJOR NF_ABI_MAJOR
#endif
#ifndef FIXTURE_DEVICES
#define FIXTURE_DEVICES 16
#endif
#ifndef FIXTURE_COUNT_STATUS
#define FIXTURE_COUNT_STATUS NF_OK
#endif

struct nf_context {
  int32_t device;
};
static struct nf_context contexts[FIXTURE_DEVICES + 1];

static nf_status fail(nf_status status, const char* what, nf_call* call) {
  if (status != NF_OK && call != NULL && call->error != NULL) {
    call->error->status = status;
    call->error->native_code = 77;
    snprintf(call->error->message, sizeof(call->error->message), "%s: status %d asked for, é", what, status);
  }
  return status;
}

static nf_status device_count(int32_t* count, nf_call* call) {
  *count = FIXTURE_DEVICES;
#ifdef FIXTURE_WHY
  call->error->status = FIXTURE_WHY;
  snprintf(call->error->message, sizeof(call->error->message), "no device, for reason %d", FIXTURE_WHY);
#endif
  return fail(FIXTURE_COUNT_STATUS, "device_count", call);
}

static nf_status device_info(int32_t device, nf_device_info* info, nf_call* call) {
  (void)call;
  snprintf(info->name, sizeof(info->name), "Fixture %d", device);
  // Filled to the last byte: a reader that looks for a terminator beyond the array goes wrong here.
  memset(info->driver, 'd', sizeof(info->driver));
  info->memory_bytes = 1024;
  info->free_bytes = 512;
#ifdef FIXTURE_SOFTWARE
  info->software = 1;
#else
  info->software = device == 1;
#endif
#ifdef FIXTURE_EMULATED
  info->emulated = 1;
#endif
  return NF_OK;
}

static nf_status context_create(const nf_context_desc* desc, nf_context** out, nf_call* call) {
  if (desc->device != 0) return fail(desc->device, "context_create", call);
  *out = &contexts[0];
  return NF_OK;
}

static void context_destroy(nf_context* context) { (void)context; }

static int32_t supports(nf_context* context, const nf_capability* what) {
  (void)context;
  return what->op == NF_OP_INDEX && what->metric == NF_L2SQ;
}

static nf_status knn(nf_context* context, const nf_knn* request, nf_step* step, nf_call* call) {
  (void)context;
  (void)request;
  (void)step;
  return fail(NF_UNIMPLEMENTED, "knn", call);
}

static nf_status kmeans(nf_context* context, const nf_kmeans* request, nf_step* step, nf_call* call) {
  (void)context;
  (void)request;
  (void)step;
  return fail(NF_UNIMPLEMENTED, "kmeans", call);
}

static nf_status quantize(nf_context* context, const nf_quantize* request, nf_call* call) {
  (void)context;
  (void)request;
  return fail(NF_UNIMPLEMENTED, "quantize", call);
}

// The index functions only have to be there.
static nf_status index_estimate(nf_context* context, const nf_index_desc* desc, uint64_t* peak_bytes,
                                uint64_t* bytes, nf_call* call) {
  (void)context;
  *peak_bytes = (uint64_t)desc->capacity * 2;
  *bytes = (uint64_t)desc->capacity;
  return fail(NF_OK, "index_estimate", call);
}
static nf_status index_create(nf_context* context, const nf_index_desc* desc, nf_index** out, nf_call* call) {
  (void)context;
  (void)desc;
  (void)out;
  return fail(NF_RESOURCE_EXHAUSTED, "index_create", call);
}
static void index_destroy(nf_index* index) { (void)index; }
static nf_status index_info(nf_index* index, nf_index_info* info, nf_call* call) {
  (void)index;
  (void)info;
  return fail(NF_UNIMPLEMENTED, "index_info", call);
}
static nf_status index_train(nf_index* index, const nf_train* request, nf_step* step, nf_call* call) {
  (void)index;
  (void)request;
  (void)step;
  return fail(NF_UNIMPLEMENTED, "index_train", call);
}
static nf_status index_add(nf_index* index, const nf_add* add, int64_t* first_row, nf_call* call) {
  (void)index;
  (void)add;
  (void)first_row;
  return fail(NF_UNIMPLEMENTED, "index_add", call);
}
static nf_status index_replace(nf_index* index, const int64_t* rows, const nf_matrix* data, nf_call* call) {
  (void)index;
  (void)rows;
  (void)data;
  return fail(NF_UNIMPLEMENTED, "index_replace", call);
}
static nf_status index_read(nf_index* index, const int64_t* rows, nf_matrix* out, nf_call* call) {
  (void)index;
  (void)rows;
  (void)out;
  return fail(NF_UNIMPLEMENTED, "index_read", call);
}
static nf_status index_set_live(nf_index* index, const nf_live* request, nf_call* call) {
  (void)index;
  (void)request;
  return fail(NF_UNIMPLEMENTED, "index_set_live", call);
}
static nf_status index_compact(nf_index* index, nf_compact* request, nf_step* step, nf_call* call) {
  (void)index;
  (void)request;
  (void)step;
  return fail(NF_UNIMPLEMENTED, "index_compact", call);
}
static nf_status index_read_lists(nf_index* index, nf_lists* lists, nf_call* call) {
  (void)index;
  (void)lists;
  return fail(NF_UNIMPLEMENTED, "index_read_lists", call);
}
static nf_status index_write_lists(nf_index* index, const nf_lists* lists, nf_call* call) {
  (void)index;
  (void)lists;
  return fail(NF_UNIMPLEMENTED, "index_write_lists", call);
}
static nf_status index_maintain(nf_index* index, nf_maintain* request, nf_step* step, nf_call* call) {
  (void)index;
  (void)request;
  (void)step;
  return fail(NF_UNIMPLEMENTED, "index_maintain", call);
}
#ifndef FIXTURE_NULL_ENTRY
static nf_status index_search(nf_index* index, const nf_search* search, nf_call* call) {
  (void)index;
  (void)search;
  return fail(NF_UNIMPLEMENTED, "index_search", call);
}
#endif

static const nf_api table = {
#ifdef FIXTURE_SHORT_TABLE
    .struct_size = offsetof(nf_api, index_create),
#else
    .struct_size = sizeof(nf_api),
#endif
    .abi_major = FIXTURE_MAJOR,
    .abi_minor = 7,
    .backend = "fixture",
    .build = "0.0.0 fixture",
    .device_count = device_count,
    .device_info = device_info,
    .context_create = context_create,
    .context_destroy = context_destroy,
    .supports = supports,
    .knn = knn,
    .kmeans = kmeans,
    .quantize = quantize,
    .index_estimate = index_estimate,
    .index_create = index_create,
    .index_destroy = index_destroy,
    .index_info = index_info,
    .index_train = index_train,
    .index_add = index_add,
    .index_replace = index_replace,
    .index_read = index_read,
    .index_set_live = index_set_live,
    .index_compact = index_compact,
    .index_read_lists = index_read_lists,
    .index_write_lists = index_write_lists,
    .index_maintain = index_maintain,
#ifndef FIXTURE_NULL_ENTRY
    .index_search = index_search,
#endif
};

NF_EXPORT const nf_api* nf_get_api(uint32_t abi_major) { return abi_major == FIXTURE_MAJOR ? &table : NULL; }
#endif
