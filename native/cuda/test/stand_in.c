// SPDX-License-Identifier: Apache-2.0
// Stand-ins for libcuda.so.1 that fail early: STAND_IN_VERSION is what the driver says it is,
// STAND_IN_FUNCTIONS adds the other functions, which find no GPU.
int cuDriverGetVersion(int* version) {
  *version = STAND_IN_VERSION;
  return 0;
}

#ifdef STAND_IN_FUNCTIONS
int cuInit(unsigned flags) {
  (void)flags;
  return STAND_IN_INIT;
}
int cuGetErrorName(int result, const char** name) {
  *name = result == 804 ? "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE" : "CUDA_ERROR";
  return 0;
}
int cuGetErrorString(int result, const char** text) {
  (void)result;
  *text = "a text";
  return 0;
}
#define X(name) \
  int name(void) { return 1; }
X(cuDeviceGetCount)
X(cuDeviceGet)
X(cuDeviceGetName)
X(cuDeviceGetAttribute)
X(cuDeviceTotalMem_v2)
X(cuDevicePrimaryCtxRetain)
X(cuDevicePrimaryCtxRelease_v2)
X(cuCtxPushCurrent_v2)
X(cuCtxPopCurrent_v2)
X(cuMemGetInfo_v2)
X(cuModuleLoadData)
X(cuModuleUnload)
X(cuModuleGetFunction)
X(cuFuncGetAttribute)
X(cuFuncSetAttribute)
X(cuOccupancyMaxActiveBlocksPerMultiprocessor)
X(cuLaunchKernel)
X(cuStreamCreate)
X(cuStreamDestroy_v2)
X(cuEventCreate)
X(cuEventDestroy_v2)
X(cuEventRecord)
X(cuEventQuery)
X(cuMemPoolCreate)
X(cuMemPoolDestroy)
X(cuMemPoolSetAttribute)
X(cuMemAllocFromPoolAsync)
X(cuMemFreeAsync)
X(cuMemAlloc_v2)
X(cuMemFree_v2)
X(cuMemHostAlloc)
X(cuMemFreeHost)
X(cuMemcpyHtoDAsync_v2)
X(cuMemcpyDtoHAsync_v2)
X(cuMemcpyDtoDAsync_v2)
#endif
