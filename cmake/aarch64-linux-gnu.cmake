# SPDX-License-Identifier: Apache-2.0
# Linux arm64 from another host, its tests run by qemu-user (Debian: g++-aarch64-linux-gnu qemu-user):
#   cmake --preset arm64 && cmake --build --preset arm64 && ctest --test-dir build/arm64 -R ^cpu_
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
