/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define CF_EXPORT extern

typedef const void* CFTypeRef;
typedef const struct __CFString* CFStringRef;
typedef signed long CFIndex;
typedef double CFTimeInterval;
