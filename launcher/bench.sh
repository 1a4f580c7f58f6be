# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# ./nearfield bench: builds what the chosen systems need, then the driver in bench/driver takes over.

usage_bench() { cat "$root/bench/driver/usage.txt"; }

run_bench() {
  require_tools pip
  # Wrong options are refused before anything is built.
  python3 "$root/bench/driver" --check "$@" || exit
  case ${1:-} in
    flat) build_bench " $* " ;;
    all) build_bench " --java $* " ;;
  esac
  # The driver replaces the launcher: it ends its workers on Ctrl-C.
  exec python3 "$root/bench/driver" "$@"
}

build_bench() { # the words of the command line
  case $1 in
    *' --backend cuda '* | *' --backend=cuda '* | *' --backend metal '* | *' --backend=metal '*) native native-bench-gpu "compiler cmake ninja highway pip" nearfield_libraries nearfield_bench ;;
    *' --backend wgpu '* | *' --backend=wgpu '*) native native-bench-wgpu "compiler cmake ninja highway pip vulkan" nearfield_libraries nearfield_bench ;;
    *) native native-bench "compiler cmake ninja highway" nearfield_cpu nearfield_bench ;;
  esac
  case $1 in
    *' --java '*)
      require_jdk
      local classpath=bench/java/target/classpath.txt
      # The class path names files of Maven's local repository, which may have been emptied.
      if ! class_path_exists "$root/$classpath"; then rm -f "$state/bench-java"; fi
      java_module bench/java "$java_sources bench/java/pom.xml bench/java/src" "$classpath"
      ;;
  esac
}
