// SPDX-License-Identifier: Apache-2.0
// The compiler that a library's build text names. From predefined macros alone: two builds of one commit stay
// the same bits.
#pragma once

#define NEARFIELD_TEXT_OF(macro) #macro
#define NEARFIELD_TEXT(macro) NEARFIELD_TEXT_OF(macro)

#if defined(__apple_build_version__)  // numbered apart from LLVM's clang
#define NEARFIELD_COMPILER_NAME "Apple clang "
#elif defined(__clang__)
#define NEARFIELD_COMPILER_NAME "clang "
#else
#define NEARFIELD_COMPILER_NAME "gcc "
#endif

#if defined(__clang__)
#define NEARFIELD_COMPILER_VERSION \
  NEARFIELD_TEXT(__clang_major__) "." NEARFIELD_TEXT(__clang_minor__) "." NEARFIELD_TEXT(__clang_patchlevel__)
#else
#define NEARFIELD_COMPILER_VERSION \
  NEARFIELD_TEXT(__GNUC__) "." NEARFIELD_TEXT(__GNUC_MINOR__) "." NEARFIELD_TEXT(__GNUC_PATCHLEVEL__)
#endif

#if defined(__OPTIMIZE__)
#define NEARFIELD_COMPILER NEARFIELD_COMPILER_NAME NEARFIELD_COMPILER_VERSION
#else
#define NEARFIELD_COMPILER NEARFIELD_COMPILER_NAME NEARFIELD_COMPILER_VERSION " without optimisation"
#endif
