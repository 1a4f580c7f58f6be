# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Builds, each only when something it is made from is newer than its stamp: a start without changes runs no build tool.

# shellcheck disable=SC2034 # used by the others
readonly state=$root/build/launcher
readonly native_sources="CMakeLists.txt CMakePresets.json cmake native bindings kernels-test bench/CMakeLists.txt bench/native"
readonly java_sources="pom.xml java-api/pom.xml java-api/src bindings"
readonly demo_sources="$java_sources demo/pom.xml demo/src"

# What else a build depends on: where it stands (CMake and Maven record absolute paths) and the JDK.
stamp_key() { printf '%s|%s\n' "$root" "${JAVA_HOME:-}"; }

# up_to_date STAMP SOURCES PRODUCT: a folder is newer when a file came or went, so additions and deletions count.
up_to_date() {
  local stamp=$state/$1 key
  [ -f "$stamp" ] && [ -e "$root/$3" ] || return 1
  IFS= read -r key <"$stamp" && [ "$key" = "$(stamp_key)" ] || return 1
  # shellcheck disable=SC2086 # a list of words
  (cd "$root" && [ -z "$(find $2 -newer "$stamp" 2>/dev/null | head -n 1)" ])
}

# One start builds at a time in one checkout: others wait and then find everything built.
lock() {
  local holder said=
  mkdir -p "$state"
  until (set -o noclobber && echo $$ >"$state/lock") 2>/dev/null; do
    holder=$(cat "$state/lock" 2>/dev/null) || holder=
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
      rm -f "$state/lock" # its holder was killed
      continue
    fi
    [ -n "$said" ] || say "Waiting for another start that builds here"
    said=yes
    sleep 0.2
  done
  trap unlock EXIT
}
unlock() {
  rm -f "$state/lock"
  trap - EXIT
}

# build STAMP SENTENCE SOURCES PRODUCT COMMAND...
build() {
  local stamp=$1 sentence=$2 sources=$3 product=$4
  shift 4
  lock
  if ! up_to_date "$stamp" "$sources" "$product"; then
    # A stamp bears the time at which its build began, so that a file saved in mid-build makes the next start build again; it gets
    # its name at the end, so that an interrupted build leaves none.
    rm -f "$state/$stamp"
    stamp_key >"$state/$stamp.begun"
    quietly "$sentence" "$state/$stamp.log" "$@" || exit 1
    mv "$state/$stamp.begun" "$state/$stamp"
  fi
  unlock
}

# configure_and_build PRESET TARGET...
configure_and_build() {
  local preset=$1 fresh=() cache=$root/build/$1/CMakeCache.txt
  shift
  cd "$root" || return
  # A build folder that came along with a copied checkout belongs to the old place.
  if [ -f "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then fresh=(--fresh); fi
  cmake ${fresh[@]+"${fresh[@]}"} --preset "$preset" && cmake --build --preset "$preset" --target "$@"
}

# native STAMP TOOLS TARGET...: release libraries and programs; the tools are asked for only when there is something to build.
native() {
  local stamp=$1 tools=$2 product=build/release/lib
  shift 2
  [ "$*" != nearfield_bench ] || product=build/release/bin # no library among them
  ! up_to_date "$stamp" "$native_sources" "$product" || return 0
  # shellcheck disable=SC2086 # a list of words
  require_tools $tools
  build "$stamp" "Building the native code ($*)" "$native_sources" "$product" configure_and_build release "$@"
}

# maven ARGUMENT...: on the JDK found; the natives are already built.
maven() {
  cd "$root" || return
  mvn -B -q -Dnative.skip=true "$@"
}

# java_module MODULE SOURCES PRODUCT: compiles a module and what it needs.
java_module() {
  local stamp=${1//\//-}
  ! up_to_date "$stamp" "$2" "$3" || return 0
  require_tools maven
  build "$stamp" "Building the Java code ($1)" "$2" "$3" maven -pl "$1" -am -DskipTests process-classes
}

# The JVM replaces the launcher: it reads the terminal, and Ctrl-C is its own.
java_exec() {
  exec "$JAVA_HOME/bin/java" -Djava.library.path="$root/build/release/lib" "$@"
}

run_devices() {
  require_jdk
  native native-libraries "compiler cmake ninja highway eigen maven pip" nearfield_libraries
  java_module java-api "$java_sources" java-api/target/classes/module-info.class
  java_exec --enable-native-access=dev.nearfield -p "$root/java-api/target/classes" -m dev.nearfield/dev.nearfield.Main
}

run_demo() {
  require_jdk
  case " $* " in
    *" --backend cuda "* | *" --backend metal "*) native native-libraries "compiler cmake ninja highway eigen maven pip" nearfield_libraries ;;
    *" --backend cpu "* | *" --backend java "*) native native-cpu "compiler cmake ninja highway eigen maven" nearfield_cpu ;;
    *" --backend wgpu "*) native native-libraries "compiler cmake ninja highway eigen maven pip vulkan" nearfield_libraries ;;
    *)
      # The best device there is: a GPU's library only where its driver is.
      if have_gpu; then
        native native-libraries "compiler cmake ninja highway eigen maven pip" nearfield_libraries
      else
        native native-cpu "compiler cmake ninja highway eigen maven" nearfield_cpu
      fi
      ;;
  esac
  local classpath=$root/demo/target/classpath.txt
  # The class path names files of Maven's local repository, which may have been emptied.
  if ! class_path_exists "$classpath"; then rm -f "$state/demo"; fi
  java_module demo "$demo_sources" demo/target/classpath.txt
  java_exec --enable-native-access=ALL-UNNAMED -cp "$root/demo/target/classes:$(cat "$classpath")" dev.nearfield.demo.Demo "$@"
}

class_path_exists() { # FILE
  local entry entries
  [ -f "$1" ] || return 1
  IFS=: read -r -a entries <"$1" || true # no line end
  for entry in "${entries[@]}"; do
    [ -e "$entry" ] || return 1
  done
}
