# SPDX-License-Identifier: Apache-2.0
# Toolchain of the libraries that are shipped, for any Linux of glibc 2.28 (RHEL 8, Debian 10) or later: zig's clang links
# against the symbols of exactly that glibc, whatever this machine has, with libc++ inside. Comes from a hashed wheel,
# installed by pip into the build folder. Included with `arch` set to what zig calls the architecture. With `system` set to
# macos: for macOS 14 or later, against zig's list of the symbols of its libSystem, likewise with libc++ inside.
set(CMAKE_SYSTEM_PROCESSOR ${arch})
if(system STREQUAL "macos")
  set(CMAKE_SYSTEM_NAME Darwin)
  set(target ${arch}-macos.14.0)
  set(CMAKE_OSX_DEPLOYMENT_TARGET "" CACHE STRING "part of the target")
  # No test of the compiler links: zig would build its C++ library for it, without optimisation, and once more for ours.
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  # CMake asks for it on every Darwin; nothing is installed from here.
  set(CMAKE_INSTALL_NAME_TOOL ${CMAKE_COMMAND})
else()
  set(CMAKE_SYSTEM_NAME Linux)
  set(target ${arch}-linux-gnu.2.28)
endif()

cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH checkout)
set(requirements ${checkout}/native/requirements-zig.txt)
file(SHA256 ${requirements} wanted)
string(SUBSTRING ${wanted} 0 16 wanted)
set(zig_folder ${checkout}/build/zig-${wanted})
if(NOT EXISTS ${zig_folder})
  # Two presets may be configured at once; the second finds the folder when it gets the lock.
  file(LOCK ${checkout}/build/zig.lock GUARD FILE)
endif()
if(NOT EXISTS ${zig_folder})
  message(STATUS "Installing zig from its wheel")
  find_program(python NAMES python3 REQUIRED NO_CACHE)
  file(REMOVE_RECURSE ${zig_folder}.part)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env PIP_ROOT_USER_ACTION=ignore
            ${python} -m pip install --quiet --disable-pip-version-check --no-input --require-hashes
            --no-deps --no-compile --only-binary :all: --target ${zig_folder}.part -r ${requirements}
    COMMAND_ERROR_IS_FATAL ANY)
  file(RENAME ${zig_folder}.part ${zig_folder})
endif()

set(NEARFIELD_ZIG ${zig_folder})  # its licences go into the jars
set(zig ${zig_folder}/ziglang/zig)
foreach(language C CXX)
  # zig's own driver options: no -march beyond the architecture's baseline, as any compiler without options.
  set(CMAKE_${language}_COMPILER_TARGET ${target})
  set(CMAKE_${language}_ARCHIVE_CREATE "\"${zig}\" ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_APPEND "\"${zig}\" ar q <TARGET> <LINK_FLAGS> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_FINISH "\"${zig}\" ranlib <TARGET>")
endforeach()
set(CMAKE_C_COMPILER ${zig} cc)
set(CMAKE_CXX_COMPILER ${zig} c++)
# The debug information of zig's libc++ names its folder; what is shipped has none.
set(CMAKE_SHARED_LINKER_FLAGS_INIT -s)
