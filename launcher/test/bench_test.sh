# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0

test_bench_help() {
  machine bench_help
  benchmark
  start bench --help
  is "$status" 0
  has "$out" 'Usage: ./nearfield bench'
  is "$(cat "$CALLS")" ''
}

test_bench_refuses_before_it_builds() {
  machine bench_wrong
  build_tools
  benchmark
  start bench flat --wrong
  is "$status" 2
  is "$err" 'nearfield: wrong'
  is "$(calls ^cmake)" 0
}

test_bench_builds_what_it_needs() {
  machine bench_builds
  build_tools
  benchmark
  start bench flat --rows 10 # without a JDK
  is "$status" 0
  is "$out" ''
  has "$(cat "$CALLS")" 'nearfield_cpu nearfield_bench'
  lacks "$(cat "$CALLS")" nearfield_libraries
  is "$(calls '^python3 .*bench/driver flat --rows 10')" 1
  start bench flat --rows 10
  is "$(calls ^cmake)" 2
  is "$(calls ^mvn)" 0
  printf 'echo libvulkan.so.1\n' | script "$machine/bin/ldconfig"
  start bench flat --backend wgpu
  has "$(cat "$CALLS")" 'nearfield_libraries nearfield_bench'
  start bench flat --backend=cuda
  is "$(calls 'nearfield_libraries nearfield_bench')" 2
  for command in ivf kmeans; do
    start bench $command --peers none
    is "$(calls "^python3 .*bench/driver $command --peers none")" 1
    is "$(calls 'nearfield_libraries nearfield_bench')" 2 # nothing is built twice
  done
  start bench report records.json
  is "$(calls '^python3 .*bench/driver report records.json')" 1
}

test_bench_builds_the_packaged_library() {
  machine bench_packaged
  build_tools
  benchmark
  script "$machine/bin/uname" <<'TEXT'
case ${1:-} in -m) echo x86_64 ;; *) echo Linux ;; esac
TEXT
  start bench flat --rows 10
  is "$status" 0
  is "$(calls 'cmake --build --preset dist-linux-x86_64 --target nearfield_cpu_jar$')" 1
  is "$(calls 'cmake --build --preset release --target nearfield_bench$')" 1
  start bench flat --rows 10
  is "$(calls ^cmake)" 4
  start bench flat --local
  is "$(calls 'cmake --build --preset release --target nearfield_cpu nearfield_bench$')" 1
  : >"$CALLS"
  start bench flat --library=local
  start bench flat --library "$machine"
  is "$(calls ^cmake)" 0
  printf 'echo libvulkan.so.1\n' | script "$machine/bin/ldconfig"
  start bench flat --backend=wgpu
  is "$(calls 'cmake --build --preset dist-linux-x86_64 --target nearfield_wgpu_jar$')" 1
  jdk "$machine/jvm/jdk" 25
  rm -r "$checkout/build"
  : >"$CALLS"
  start bench all --out folder
  is "$(calls 'target nearfield_cpu_jar$')" 1
  is "$(calls 'target nearfield_cpu nearfield_bench$')" 1
  is "$(calls '^mvn.*-pl bench/java')" 1
}

test_bench_with_java() {
  machine bench_java
  build_tools
  benchmark
  start bench flat --java
  is "$status" 3
  has "$err" 'no JDK'
  jdk "$machine/jvm/jdk" 25
  start bench flat --java
  is "$(calls '^mvn.*-pl bench/java')" 1
  start bench flat --java
  is "$(calls '^mvn.*-pl bench/java')" 1
  rm "$HOME/b c.jar" # as when Maven's local repository was emptied
  start bench flat --java
  is "$(calls '^mvn.*-pl bench/java')" 2
}

test_bench_turns() {
  machine bench_turns
  build_tools
  benchmark
  jdk "$machine/jvm/jdk" 25
  start bench turns --library local --only search
  is "$status" 0
  is "$(calls 'cmake --build --preset release --target nearfield_cpu nearfield_bench$')" 1
  is "$(calls '^mvn.*-pl bench/java')" 1
  is "$(calls '^python3 .*bench/driver turns --library local --only search$')" 1
}

test_bench_without_python() {
  machine bench_python
  benchmark
  rm "$machine/bin/python3"
  start bench flat
  is "$status" 3
  has "$err" 'Python 3 with pip'
}
