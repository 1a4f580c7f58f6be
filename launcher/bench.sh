# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# ./nearfield bench: builds what the chosen systems need, then the driver in bench/driver takes over.

usage_bench() { cat "$root/bench/driver/usage.txt"; }

run_bench() {
  require_tools pip
  # Wrong options are refused before anything is built.
  python3 "$root/bench/driver" --check "$@" || exit
  case ${1:-} in
    flat | scan | ivf | kmeans) build_bench "$@" ;;
    all) build_bench "$@" --java --local ;;
    turns) build_bench "$@" --java ;;
  esac
  # The driver replaces the launcher: it ends its workers on Ctrl-C.
  exec python3 "$root/bench/driver" "$@"
}

build_bench() { # the words of the command line, which the driver has accepted
  local backend=cpu library=packaged java='' with_local='' tools="compiler cmake ninja highway eigen" libraries=nearfield_libraries
  [ -n "$(dist_platform)" ] || library=local
  while [ $# -gt 0 ]; do
    case $1 in
      --backend | --library)
        printf -v "${1#--}" %s "$2"
        shift
        ;;
      --backend=*) backend=${1#*=} ;;
      --library=*) library=${1#*=} ;;
      --java) java=yes ;;
      --local) with_local=yes ;;
    esac
    shift
  done
  case $backend in
    cpu) libraries=nearfield_cpu ;;
    cuda | metal) tools="$tools pip" ;;
    wgpu) tools="$tools pip vulkan" ;;
  esac
  [ "$library" != packaged ] || packaged_library "$backend" "$tools pip"
  # The driver's own worker is no part of what is shipped.
  if [ "$library" = local ] || [ -n "$with_local" ]; then
    native "native-bench-$backend" "$tools" "$libraries" nearfield_bench
  else
    native native-bench "$tools" nearfield_bench
  fi
  [ -z "$java" ] || build_bench_java
}

# packaged_library BACKEND TOOLS: the content of its jar for this platform.
packaged_library() {
  local preset stamp=packaged-$1 sources="$native_sources packaging/stage.py pom.xml LICENSE NOTICE"
  preset=dist-$(dist_platform)
  ! up_to_date "$stamp" "$sources" "build/$preset/jar/$1" || return 0
  # shellcheck disable=SC2086 # a list of words
  require_tools $2
  build "$stamp" "Building the library as it is packaged ($1)" "$sources" "build/$preset/jar/$1" configure_and_build "$preset" "nearfield_$1_jar"
}

build_bench_java() {
  require_jdk
  local classpath=bench/java/target/classpath.txt
  # The class path names files of Maven's local repository, which may have been emptied.
  if ! class_path_exists "$root/$classpath"; then rm -f "$state/bench-java"; fi
  java_module bench/java "$java_sources bench/java/pom.xml bench/java/src" "$classpath"
}
