# SPDX-License-Identifier: Apache-2.0
set(arch aarch64)
set(system macos)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
