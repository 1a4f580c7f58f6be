# SPDX-License-Identifier: Apache-2.0
set(arch x86_64)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
