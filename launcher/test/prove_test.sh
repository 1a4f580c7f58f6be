# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0

test_prove_help() {
  machine prove_help
  proving
  start prove --help
  is "$status" 0
  has "$out" 'Usage: ./nearfield prove'
  is "$(cat "$CALLS")" ''
}

test_prove_refuses_before_it_builds() {
  machine prove_wrong
  build_tools
  proving
  start prove --rehearse --wrong
  is "$status" 2
  is "$err" 'nearfield: wrong'
  is "$(calls ^cmake)" 0
}

# A GPU's machine: Python and nothing else.
test_prove_needs_python_alone() {
  machine prove_bare
  proving
  start prove --out somewhere
  is "$status" 0
  is "$(calls '^python3 .*/prove --out somewhere')" 1
  PYTHON_IS_OLD=1 start prove
  is "$status" 3
  is "$err" 'nearfield: missing: Python 3.9 or later'
  rm "$machine/bin/python3"
  start prove
  is "$status" 3
}

test_prove_rehearsal_builds_first() {
  machine prove_rehearsal
  build_tools
  proving
  start prove --rehearse # without a JDK
  is "$status" 0
  is "$(calls '^cmake --build .*--target all')" 1
  is "$(calls ^mvn)" 0
  is "$(calls '^python3 .*/prove --rehearse')" 1
  jdk "$machine/jvm/jdk" 25
  start prove --rehearse
  is "$(calls '^mvn.*-pl bench/java')" 1
  start prove --rehearse --build elsewhere
  start prove --support
  is "$(calls '^cmake --build')" 1
}

test_prove_on_a_mac_builds_first() {
  machine prove_mac
  build_tools
  proving
  printf 'printf Darwin\n' | script "$machine/bin/uname"
  start prove
  is "$status" 0
  is "$(calls '^cmake --build .*nearfield_libraries nearfield_suite nearfield_bench')" 1
}
