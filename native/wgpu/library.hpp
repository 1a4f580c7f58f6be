// SPDX-License-Identifier: Apache-2.0
// Shared libraries, on POSIX and on Windows.
#pragma once

#include <string>

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace nearfield::wgpu {

#if defined(_WIN32)
inline void* open_library(const std::string& file, std::string* reason) {
  HMODULE handle = LoadLibraryA(file.c_str());
  if (handle == nullptr) *reason = file + ": error " + std::to_string(GetLastError());
  return reinterpret_cast<void*>(handle);
}
inline void* library_symbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(library), name));
}
inline void close_library(void* library) { FreeLibrary(reinterpret_cast<HMODULE>(library)); }
// The folder of the library that contains `address`, with a separator at its end; "" when unknown.
inline std::string folder_of(const void* address) {
  HMODULE module = nullptr;
  char path[MAX_PATH];
  if (!GetModuleHandleExA(
          GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
          reinterpret_cast<LPCSTR>(address), &module))
    return "";
  const DWORD length = GetModuleFileNameA(module, path, MAX_PATH);
  if (length == 0 || length == MAX_PATH) return "";
  const std::string file(path, length);
  return file.substr(0, file.find_last_of("\\/") + 1);
}
#else
inline void* open_library(const std::string& file, std::string* reason) {
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* text = dlerror();
    *reason = text != nullptr ? text : file;
  }
  return handle;
}
inline void* library_symbol(void* library, const char* name) { return dlsym(library, name); }
inline void close_library(void* library) { dlclose(library); }
// The folder of the library that contains `address`, with a separator at its end; "" when unknown.
inline std::string folder_of(const void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string file = info.dli_fname;
  return file.substr(0, file.find_last_of('/') + 1);
}
#endif

}  // namespace nearfield::wgpu
