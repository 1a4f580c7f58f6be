# SPDX-License-Identifier: Apache-2.0
# As dist-linux-x86_64; the tests are run by qemu-user (Debian: qemu-user libc6-arm64-cross).
set(arch aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
