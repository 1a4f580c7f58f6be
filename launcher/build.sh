# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Builds, each only when something it is made from is newer than its stamp: a start without changes runs no build tool.

# shellcheck disable=SC2034 # used by the others
readonly state=$root/build/launcher
readonly native_sources=(CMakeLists.txt CMakePresets.json cmake native bindings kernels-test)
readonly java_sources=(pom.xml java-api/pom.xml java-api/src bindings)
readonly demo_sources=(demo/pom.xml demo/src)

# up_to_date STAMP SOURCE...: a folder is newer when a file came or went, so additions and deletions count.
up_to_date() {
  local stamp=$state/$1 key
  shift
  [ -f "$stamp" ] || return 1
  IFS= read -r key <"$stamp" || return 1
  [ "$key" = "$(stamp_key)" ] || return 1
  (cd "$root" && [ -z "$(find "$@" -newer "$stamp" -print 2>/dev/null | head -n 1)" ])
}

# What else a build depends on: where it stands (CMake and Maven record absolute paths) and the JDK.
stamp_key() { printf '%s|%s\n' "$root" "${JAVA_HOME:-}"; }

# A stamp bears the time at which its build began, so that a file saved in mid-build makes the next start build again; it gets its name at
# the end, so that an interrupted build leaves none.
begin_stamp() {
  mkdir -p "$state"
  rm -f "$state/$1"
  stamp_key >"$state/$1.begun"
}
end_stamp() { mv "$state/$1.begun" "$state/$1"; }

# configure_and_build PRESET TARGET...
configure_and_build() {
  local preset=$1 fresh=() cache=$root/build/$1/CMakeCache.txt
  shift
  cd "$root" || return
  # A build folder that came along with a copied checkout belongs to the old place.
  if [ -f "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache"; then fresh=(--fresh); fi
  cmake ${fresh[@]+"${fresh[@]}"} --preset "$preset" && cmake --build --preset "$preset" --target "$@"
}

# build_native STAMP TARGET...: release libraries and programs.
build_native() {
  local stamp=$1
  shift
  ! up_to_date "$stamp" "${native_sources[@]}" || return 0
  begin_stamp "$stamp"
  quietly "Building the native code ($*)" "$state/$stamp.log" configure_and_build release "$@" || exit 1
  end_stamp "$stamp"
}

# maven ARGUMENT...: on the JDK found; the natives are already built.
maven() {
  cd "$root" || return
  mvn -B -q -Dnative.skip=true "$@"
}

# build_java STAMP MODULE SOURCE...: compiles a module and what it needs, and records its class path.
build_java() {
  local stamp=$1 module=$2
  shift 2
  ! up_to_date "$stamp" "$@" || return 0
  require_tools maven
  begin_stamp "$stamp"
  quietly "Building the Java code ($module)" "$state/$stamp.log" maven -pl "$module" -am -DskipTests \
    process-classes dependency:build-classpath -Dmdep.includeScope=runtime -Dmdep.outputFile="$state/$stamp.classpath" || exit 1
  end_stamp "$stamp"
}

run_devices() {
  require_jdk
  if ! up_to_date native-libraries "${native_sources[@]}"; then
    require_tools compiler cmake ninja highway maven pip
    build_native native-libraries nearfield_cpu nearfield_wgpu
  fi
  build_java java-api java-api "${java_sources[@]}"
  exec "$JAVA_HOME/bin/java" --enable-native-access=dev.nearfield -Djava.library.path="$root/build/release/lib" \
    -p "$root/java-api/target/classes" -m dev.nearfield/dev.nearfield.Main
}

run_demo() {
  require_jdk
  if ! up_to_date native-cpu "${native_sources[@]}"; then
    require_tools compiler cmake ninja highway maven
    build_native native-cpu nearfield_cpu
  fi
  build_java demo demo "${java_sources[@]}" "${demo_sources[@]}"
  exec "$JAVA_HOME/bin/java" --enable-native-access=dev.nearfield -Djava.library.path="$root/build/release/lib" \
    -p "$root/demo/target/classes:$(cat "$state/demo.classpath")" -m dev.nearfield.demo "$@"
}
