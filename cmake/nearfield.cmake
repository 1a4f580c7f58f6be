# SPDX-License-Identifier: Apache-2.0
# Flags shared by every native target, and how a backend becomes a library with one exported symbol.

add_library(nearfield_flags INTERFACE)
# Errors in the presets of developers and CI only: a newer compiler's new warning must not keep a user from building.
target_compile_options(nearfield_flags INTERFACE -Wall -Wextra)
# Contraction would fuse the multiply and the subtraction of the cosine form, whose self-distance must be exactly 0 (docs/numerics.md).
target_compile_options(nearfield_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
# Reproducible: no path of the building machine in the binaries.
target_compile_options(nearfield_flags INTERFACE -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
target_include_directories(nearfield_flags INTERFACE ${CMAKE_SOURCE_DIR}/native/include)
if(NEARFIELD_SANITIZE)
  # -O1 and lines alone: gcc 12 takes 44 s for native/cpu/codes.cpp with them, with -O2 191 s, with -O2 -g 300 s.
  target_compile_options(nearfield_flags INTERFACE -fsanitize=${NEARFIELD_SANITIZE} -O1 -g1 -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(nearfield_flags INTERFACE -fsanitize=${NEARFIELD_SANITIZE})
endif()

find_package(Threads REQUIRED)

# nearfield_backend(<name> <source>...): libnearfield_<name>, exporting nf_get_api and nothing else.
function(nearfield_backend name)
  add_library(nearfield_${name} SHARED ${ARGN})
  target_link_libraries(nearfield_${name} PRIVATE nearfield_common nearfield_flags Threads::Threads ${CMAKE_DL_LIBS})
  set_target_properties(nearfield_${name} PROPERTIES OUTPUT_NAME nearfield_${name})
  if(APPLE)
    set_target_properties(nearfield_${name} PROPERTIES INSTALL_NAME_DIR @rpath BUILD_WITH_INSTALL_NAME_DIR ON)
    if(CMAKE_HOST_APPLE)  # zig's linker knows no such list: there, all else being hidden has to do
      target_link_options(nearfield_${name} PRIVATE -Wl,-exported_symbol,_nf_get_api)
    endif()
  elseif(UNIX)
    target_link_options(nearfield_${name} PRIVATE
      -Wl,--version-script=${CMAKE_SOURCE_DIR}/native/exports.map -Wl,--no-undefined)
    set_target_properties(nearfield_${name} PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/native/exports.map)
    if(NOT NEARFIELD_SANITIZE)
      target_link_options(nearfield_${name} PRIVATE -static-libstdc++ -static-libgcc)
    else()
      # The sanitizer run-times live in the executable: their symbols are undefined here on purpose.
      target_link_options(nearfield_${name} PRIVATE -Wl,--unresolved-symbols=ignore-all)
    endif()
  endif()
endfunction()
