// SPDX-License-Identifier: Apache-2.0
// A backend with no kernels, for the tests of the Java loader and of its error mapping. Built several times
// with:
//   FIXTURE_NO_ENTRY       exports no nf_get_api
//   FIXTURE_MAJOR=N        speaks ABI major N only
//   FIXTURE_SHORT_TABLE    its table ends before the index functions
//   FIXTURE_DEVICES=N      reports N devices
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
  return fail(FIXTURE_COUNT_STATUS, "device_count", call);
}

static nf_status device_info(int32_t device, nf_device_info* info, nf_call* call) {
  (void)call;
  snprintf(info->name, sizeof(info->name), "Fixture %d", device);
  // Filled to the last byte: a reader that looks for a terminator beyond the array goes wrong here.
  memset(info->driver, 'd', sizeof(info->driver));
  info->memory_bytes = 1024;
  info->free_bytes = 512;
  info->software = device == 1;
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

static nf_status knn(nf_context* context, const nf_knn* request, nf_call* call) {
  (void)context;
  (void)request;
  return fail(NF_UNIMPLEMENTED, "knn", call);
}

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
};

NF_EXPORT const nf_api* nf_get_api(uint32_t abi_major) { return abi_major == FIXTURE_MAJOR ? &table : NULL; }
#endif
