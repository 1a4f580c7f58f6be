# SPDX-License-Identifier: Apache-2.0
# nearfield_package(<backend> [COMPANIONS <file>...] [<argument of packaging/stage.py>...]): in the dist presets, which set
# NEARFIELD_PLATFORM, the content of a backend's native jar in <build>/jar/<backend>, for Maven to pack.
function(nearfield_package backend)
  if(NOT NEARFIELD_PLATFORM)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 package "" "" COMPANIONS)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  set(folder ${CMAKE_BINARY_DIR}/jar/${backend})
  set(stamp ${CMAKE_CURRENT_BINARY_DIR}/jar.stamp)
  add_custom_command(
    OUTPUT ${stamp}
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/packaging/stage.py --backend ${backend} --platform ${NEARFIELD_PLATFORM}
            --source ${CMAKE_SOURCE_DIR} --zig ${NEARFIELD_ZIG} --eigen ${NEARFIELD_EIGEN_INCLUDE} ${package_UNPARSED_ARGUMENTS} --to ${folder}
            $<TARGET_FILE:nearfield_${backend}> ${package_COMPANIONS}
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
    DEPENDS nearfield_${backend} ${package_COMPANIONS} ${CMAKE_SOURCE_DIR}/packaging/stage.py ${CMAKE_SOURCE_DIR}/pom.xml
            ${CMAKE_SOURCE_DIR}/native/include/nearfield/nearfield.h ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/NOTICE
    COMMENT "Laying out nearfield-native-${backend} for ${NEARFIELD_PLATFORM}"
    VERBATIM)
  add_custom_target(nearfield_${backend}_jar DEPENDS ${stamp})
  add_dependencies(nearfield_jars nearfield_${backend}_jar)
endfunction()
