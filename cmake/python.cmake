# SPDX-License-Identifier: Apache-2.0

# nearfield_python(<missing>): finds python3 with pip, which brings what a backend is built from. <missing> is what of the two is
# not there, as a message names it, or "". Sets Python3_FOUND and Python3_EXECUTABLE.
function(nearfield_python missing)
  find_package(Python3 COMPONENTS Interpreter)
  set(lacking "")
  if(NOT Python3_FOUND)
    set(lacking "python3")
  else()
    execute_process(COMMAND ${Python3_EXECUTABLE} -m pip --version RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    if(NOT result EQUAL 0)
      set(lacking "pip (${Python3_EXECUTABLE} -m pip)")
    endif()
  endif()
  foreach(found Python3_FOUND Python3_EXECUTABLE)
    set(${found} "${${found}}" PARENT_SCOPE)
  endforeach()
  set(${missing} "${lacking}" PARENT_SCOPE)
endfunction()
