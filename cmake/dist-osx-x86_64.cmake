# SPDX-License-Identifier: Apache-2.0
# For Java virtual machines that Rosetta translates: the GPU is that of an Apple silicon Mac (docs/metal.md).
set(arch x86_64)
set(system macos)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
