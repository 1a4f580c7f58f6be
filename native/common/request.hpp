// SPDX-License-Identifier: Apache-2.0
// Structs of the ABI on their way in and out: sizes, tails, null and misaligned pointers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "call.hpp"
#include "status.hpp"

namespace nearfield {

// Size of a struct in the first released ABI: callers may pass no less. When a field is appended, specialise
// this with the offset of that field.
template <typename Struct>
inline constexpr uint32_t kFirstSize = sizeof(Struct);

// A size beyond a page is an uninitialised field, not a future struct; its tail must not be read.
inline constexpr uint32_t kLargestSize = 4096;

template <typename T>
Status check_pointer(const Call& call, const char* name, const T* pointer) {
  if (pointer == nullptr) return error(NF_INVALID_ARGUMENT, "%s: %s is NULL", call.operation(), name);
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  if (address % alignof(T) != 0)
    return error(NF_INVALID_ARGUMENT, "%s: %s is misaligned by %d bytes, it must be a multiple of %d",
                 call.operation(), name, static_cast<int>(address % alignof(T)),
                 static_cast<int>(alignof(T)));
  return {};
}

template <typename T>
Status check_optional(const Call& call, const char* name, const T* pointer) {
  return pointer == nullptr ? Status() : check_pointer(call, name, pointer);
}

// The caller's struct_size, if this library can serve it.
template <typename Struct>
Status check_struct(const Call& call, const char* name, const Struct* from) {
  NF_TRY(check_pointer(call, name, from));
  const uint32_t size = from->struct_size;
  if (size < kFirstSize<Struct> || size > kLargestSize)
    return error(NF_INVALID_ARGUMENT, "%s: %s->struct_size=%u, it must be at least %u and at most %u",
                 call.operation(), name, size, kFirstSize<Struct>, kLargestSize);
  const auto* bytes = reinterpret_cast<const unsigned char*>(from);
  for (uint32_t i = sizeof(Struct); i < size; ++i)
    if (bytes[i] != 0)
      return error(NF_UNIMPLEMENTED,
                   "%s: byte %u of %s is not 0, this library (ABI %d.%d) knows only the first %u bytes",
                   call.operation(), i, name, NF_ABI_MAJOR, NF_ABI_MINOR,
                   static_cast<uint32_t>(sizeof(Struct)));
  return {};
}

// Copies a struct in; fields that an older caller does not have are 0.
template <typename Struct>
Status read_struct(const Call& call, const char* name, const Struct* from, Struct* to) {
  NF_TRY(check_struct(call, name, from));
  *to = Struct{};
  std::memcpy(to, from, std::min<size_t>(from->struct_size, sizeof(Struct)));
  return {};
}

// Copies an answer out, as much of it as the caller has room for; struct_size stays the caller's.
template <typename Struct>
void write_struct(const Struct& from, Struct* to) {
  const uint32_t size = to->struct_size;
  std::memcpy(to, &from, std::min<size_t>(size, sizeof(Struct)));
  to->struct_size = size;
}

inline Status check_flags(const Call& call, const char* name, uint32_t flags, uint32_t known) {
  if ((flags & ~known) == 0) return {};
  return error(NF_UNIMPLEMENTED, "%s: %s=0x%x, this library (ABI %d.%d) knows 0x%x", call.operation(), name,
               flags, NF_ABI_MAJOR, NF_ABI_MINOR, known);
}

}  // namespace nearfield
