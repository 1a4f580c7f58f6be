/* SPDX-License-Identifier: Apache-2.0
 * A CUDA driver for the tests of cuda_driver.py: one device, memory of the host, events of a fixed distance. FAKE_DEVICES=0 in the
 * environment: none; FAKE_NO_PTX: no module can be loaded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int cuInit(unsigned flags) { (void)flags; return getenv("FAKE_DEVICES") ? 100 : 0; }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int size, int device) { (void)device; strncpy(name, "Fake H200", (size_t)size); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = (size_t)64 << 20; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device;
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 132 : 1000;
  return attribute == 38 ? 1 : 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; *context = context; return 0; }
int cuCtxSetCurrent(void *context) { (void)context; return 0; }
int cuMemAlloc_v2(uint64_t *at, size_t bytes) { *at = (uint64_t)(uintptr_t)malloc(bytes); return 0; }
int cuMemFree_v2(uint64_t at) { free((void *)(uintptr_t)at); return 0; }
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) { memcpy((void *)(uintptr_t)to, from, bytes); return 0; }
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  (void)stream;
  memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes);
  return 0;
}
int cuEventCreate(void **event, unsigned flags) { (void)flags; *event = event; return 0; }
int cuEventRecord(void *event, void *stream) { (void)event; (void)stream; return 0; }
int cuEventSynchronize(void *event) { (void)event; return 0; }
int cuEventElapsedTime(float *ms, void *begin, void *end) { (void)begin; (void)end; *ms = 2; return 0; }
int cuModuleLoadData(void **module, const void *image) { *module = module; return getenv("FAKE_NO_PTX") || !strstr(image, "fma.rn.f32") ? 218 : 0; }
int cuModuleGetFunction(void **function, void *module, const char *name) { (void)module; *function = function; return strcmp(name, "multiply_add") ? 500 : 0; }
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream,
                   void **arguments, void **extra) {
  (void)function, (void)gy, (void)gz, (void)by, (void)bz, (void)shared, (void)stream, (void)extra;
  float *out = (float *)(uintptr_t)*(uint64_t *)arguments[0]; /* the last element: the allocation is as large as the grid */
  out[(size_t)gx * bx - 1] = *(float *)arguments[1];
  return 0;
}
