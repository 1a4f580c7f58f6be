#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests of the launcher on a machine made of stand-ins: a PATH of our own, fake JDKs, and build tools that write down how they were called.
# `launcher/test.sh NAME...` runs the tests named; the last line is `N passed, N failed`.
set -uo pipefail

here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
real=$(dirname "$here")
work=$(mktemp -d "${TMPDIR:-/tmp}/nearfield launcher.XXXXXX") # the space is on purpose
trap 'rm -rf "$work"' EXIT

# ---- the stand-in machine ----

script() { # FILE, the body on stdin
  mkdir -p "$(dirname "$1")"
  { printf '#!%s\n' "$BASH" && cat; } >"$1"
  chmod +x "$1"
}

jdk() { # HOME VERSION
  mkdir -p "$1/bin"
  printf 'IMPLEMENTOR="Fake"\nJAVA_VERSION="%s"\n' "$2" >"$1/release"
  script "$1/bin/java" <<'TEXT'
printf 'java %s\n' "$JAVA_HOME" >>"$CALLS"
for argument in "$@"; do printf '[%s]\n' "$argument"; done
TEXT
  script "$1/bin/javac" </dev/null
}

# machine: a checkout in "$checkout", PATH with stand-ins alone, no JDK, not root, Debian.
machine() {
  machine=$work/$1
  checkout="$machine/a checkout"
  mkdir -p "$checkout"/{native,cmake,kernels-test,bindings,java-api/src,demo/src} "$machine"/{bin,home,jvm}
  cp -R "$real/nearfield" "$real/launcher" "$real/CMakeLists.txt" "$checkout"
  touch "$checkout"/{CMakePresets.json,pom.xml,java-api/pom.xml,demo/pom.xml}
  local tool
  for tool in bash env dirname readlink sed awk find head tail cat mkdir rm mv cp ln chmod touch grep tr tee sleep; do
    ln -s "$(command -v "$tool")" "$machine/bin/$tool"
  done
  export CALLS=$machine/calls HOME=$machine/home NEARFIELD_JVM_DIRS=$machine/jvm
  : >"$CALLS"
  unset JAVA_HOME CC CXX CI NO_COLOR SDKMAN_DIR VK_DRIVER_FILES VK_ICD_FILENAMES
  printf 'printf Linux\n' | script "$machine/bin/uname"
  printf 'printf 1000\n' | script "$machine/bin/id"
  script "$machine/bin/apt-get" <<'TEXT'
printf 'apt-get %s\n' "$*" >>"$CALLS"
TEXT
  printf '' | script "$machine/bin/ldconfig"
  printf 'exit 100\n' | script "$machine/bin/apt-cache"
  PATH=$machine/bin
}

# build_tools: stand-ins that do what the launcher relies on.
build_tools() {
  printf '' | script "$machine/bin/cc"
  printf 'cat >/dev/null\n' | script "$machine/bin/c++"
  printf '' | script "$machine/bin/ninja"
  printf '' | script "$machine/bin/python3"
  script "$machine/bin/cmake" <<'TEXT'
if [ "$1" = --version ]; then echo "cmake version ${CMAKE_VERSION:-3.25.1}"; exit; fi
printf 'cmake %s\n' "$*" >>"$CALLS"
if [ -n "${CMAKE_HANGS:-}" ] && [ "$1" = --build ]; then echo hanging >>"$CALLS"; sleep 60; fi
[ -z "${CMAKE_FAILS:-}" ] || { echo 'error: no such thing'; exit 1; }
mkdir -p build/release/lib
TEXT
  script "$machine/bin/mvn" <<'TEXT'
printf 'mvn %s JAVA_HOME=%s\n' "$*" "$JAVA_HOME" >>"$CALLS"
mkdir -p demo/target java-api/target/classes
touch "$HOME/a.jar" "$HOME/b c.jar" java-api/target/classes/module-info.class
printf '%s' "$HOME/a.jar:$HOME/b c.jar" >demo/target/classpath.txt
TEXT
}

# start ARGUMENT...: stdout in $out, stderr in $err, the status in $status.
start() {
  status=0
  "$checkout/nearfield" "$@" >"$machine/out" 2>"$machine/err" </dev/null || status=$?
  out=$(cat "$machine/out") err=$(cat "$machine/err")
}

# ---- what is checked ----

fail() {
  printf '  %s\n' "$1"
  printf '  status %s, stdout: %s\n  stderr: %s\n' "${status:-}" "${out:-}" "${err:-}"
  exit 1
}
is() { [ "$1" = "$2" ] || fail "expected '$2', got '$1'"; }
has() { case $1 in *"$2"*) ;; *) fail "no '$2' in '$1'" ;; esac; }
lacks() { case $1 in *"$2"*) fail "'$2' in '$1'" ;; *) ;; esac; }
calls() { grep -c "$1" "$CALLS" || true; }

# ---- usage ----

test_help() {
  machine help
  start help
  is "$status" 0
  has "$out" 'demo '
  for command in demo test devices; do
    start "$command" --help
    is "$status" 0
    has "$out" "Usage: ./nearfield $command"
  done
  is "$(cat "$CALLS")" ''
  [ ! -e "$checkout/build" ] || fail "help built something"
}

test_version() {
  machine version
  start --version
  is "$status" 0
  is "$out" "nearfield $(sed -n 's/^project(nearfield VERSION \([0-9.]*\).*/\1/p' "$real/CMakeLists.txt")"
}

test_wrong_usage() {
  machine usage
  local arguments
  while read -r -a arguments; do
    start "${arguments[@]}"
    is "$status" 2
    is "$(grep -c . "$machine/err")" 1
    is "$out" ''
  done <<'TEXT'
frobnicate
--frobnicate
demo --frobnicate
demo extra
demo --limit
test --frobnicate
test --quick --full
devices extra
TEXT
  is "$(cat "$CALLS")" ''
}

# ---- JDK ----

test_no_jdk() {
  machine no-jdk
  build_tools
  local command
  for command in demo test devices; do
    start "$command"
    is "$status" 3
    has "$err" 'no JDK of version 22 or later'
    has "$err" 'sdk install java'
    has "$err" 'temurin-25-jdk'
  done
  is "$(cat "$CALLS")" ''
  [ ! -e "$checkout/build" ] || fail "something was built"
}

test_no_jdk_elsewhere() {
  machine no-jdk-elsewhere
  build_tools
  printf '' | script "$machine/bin/apt-cache" # an archive that has one
  start demo
  is "$status" 3
  has "$err" 'sudo apt-get install openjdk-25-jdk-headless'
  rm "$machine/bin/apt-get"
  printf '' | script "$machine/bin/dnf"
  start demo
  is "$status" 3
  has "$err" 'sudo dnf install java-'
  printf 'printf Darwin' | script "$machine/bin/uname"
  start demo
  is "$status" 3
  has "$err" 'brew install openjdk'
}

test_unfit_jdks() {
  machine unfit
  build_tools
  jdk "$machine/jvm/old" 21.0.2
  jdk "$machine/jvm/ancient" 1.8.0_402
  jdk "$machine/jvm/runtime" 25.0.1
  rm "$machine/jvm/runtime/bin/javac"
  start demo
  is "$status" 3
  has "$err" "$machine/jvm/old (Java 21)"
  has "$err" "$machine/jvm/ancient (Java 1)"
  has "$err" "$machine/jvm/runtime (a runtime without javac)"
  is "$(cat "$CALLS")" ''
}

test_jdk_order() {
  machine order
  build_tools
  jdk "$machine/java home" 22
  jdk "$machine/on-path" 22.0.2
  jdk "$machine/jvm/jdk-23" 23
  jdk "$machine/jvm/jdk-25" 25.0.1
  jdk "$machine/jvm/jdk-24" 24
  ln -s "$machine/on-path/bin/javac" "$machine/bin/javac"
  JAVA_HOME="$machine/java home" start demo
  is "$status" 0
  is "$(tail -n 1 "$CALLS")" "java $machine/java home"
  start demo
  is "$(tail -n 1 "$CALLS")" "java $machine/on-path"
  rm "$machine/bin/javac"
  start demo
  is "$(tail -n 1 "$CALLS")" "java $machine/jvm/jdk-25"
  JAVA_HOME=$machine/nowhere start demo
  is "$(tail -n 1 "$CALLS")" "java $machine/jvm/jdk-25"
  is "$(grep -c "^mvn.*JAVA_HOME=$machine/jvm/jdk-25" "$CALLS")" 1 # Maven ran on it, and once
}

test_jdk_unfit_then_fit() {
  machine fallthrough
  build_tools
  jdk "$machine/old" 17.0.1
  jdk "$machine/runtime" 25
  rm "$machine/runtime/bin/javac"
  jdk "$machine/jvm/Some.jdk/Contents/Home" 24.0.1 # a macOS bundle
  ln -s "$machine/runtime/bin/java" "$machine/bin/java"
  JAVA_HOME=$machine/old start demo
  is "$status" 0
  is "$(tail -n 1 "$CALLS")" "java $machine/jvm/Some.jdk/Contents/Home"
}

test_jdk_usual_folders() {
  machine folders
  unset NEARFIELD_JVM_DIRS
  # shellcheck source=launcher/jdk.sh
  . "$checkout/launcher/jdk.sh"
  local folder folders
  folders=$(jdk_folders)
  for folder in /usr/lib/jvm /Library/Java/JavaVirtualMachines "$HOME/.sdkman/candidates/java" /opt/homebrew/opt /usr/local/opt; do
    has "$folders" "$folder"
  done
  has "$(SDKMAN_DIR=/elsewhere jdk_folders)" /elsewhere/candidates/java
}

test_jdk_layouts() {
  machine layouts
  # shellcheck source=launcher/jdk.sh
  . "$checkout/launcher/jdk.sh"
  local home
  for home in 25.0.1-tem Some.jdk/Contents/Home openjdk@25/libexec/openjdk.jdk/Contents/Home; do
    NEARFIELD_JVM_DIRS="$machine/$home:$machine/nowhere:$machine/layout of $home"
    jdk "$machine/layout of $home/$home" 25.0.1
    find_jdk || fail "not found: $home"
    is "$jdk_home" "$machine/layout of $home/$home"
  done
}

test_jdk_shim() {
  machine shim
  build_tools
  jdk "$machine/real jdk" 24
  printf 'echo "    java.home = %s" >&2\n' "$machine/real jdk" | script "$machine/shims/java"
  printf '' | script "$machine/shims/javac"
  PATH=$PATH:$machine/shims start demo
  is "$status" 0
  is "$(tail -n 1 "$CALLS")" "java $machine/real jdk"
}

# ---- tools ----

test_missing_tools() {
  machine missing
  jdk "$machine/jvm/jdk" 25
  start demo
  is "$status" 3
  has "$err" 'a C and C++20 compiler, CMake 3.25 or later, Ninja, Highway (hwy/highway.h), Maven'
  has "$err" 'sudo apt-get install g++ cmake ninja-build libhwy-dev maven'
  lacks "$err" Vulkan
  lacks "$err" pip
  start test
  is "$status" 3
  has "$err" 'python3-pip libvulkan1'
  is "$(cat "$CALLS")" ''
  rm "$machine/bin/apt-get"
  printf '' | script "$machine/bin/dnf"
  start demo
  has "$err" 'sudo dnf install gcc-c++ cmake ninja-build highway-devel maven'
  rm "$machine/bin/dnf"
  start demo
  is "$status" 3
  has "$err" "with this system's package manager"
  printf 'printf Darwin' | script "$machine/bin/uname"
  start demo
  has "$err" 'xcode-select --install'
  build_tools
  rm "$machine/bin/ninja" "$machine/bin/mvn"
  start demo
  is "$status" 3
  has "$err" 'brew install ninja maven'
  is "$(cat "$CALLS")" ''
}

test_old_cmake() {
  machine old-cmake
  build_tools
  jdk "$machine/jvm/jdk" 25
  CMAKE_VERSION=3.22.1 start demo
  is "$status" 3
  has "$err" 'missing: CMake 3.25 or later; install with: sudo apt-get install cmake'
  printf 'printf 0' | script "$machine/bin/id"
  CMAKE_VERSION=3.22.1 start demo # the archive's own is too old as well
  is "$status" 3
  has "$err" 'python3 -m pip install cmake'
  CMAKE_VERSION=4.0.2 start demo
  is "$status" 0
}

test_root_installs() {
  machine root
  build_tools
  jdk "$machine/jvm/jdk" 25
  printf 'printf 0' | script "$machine/bin/id"
  mv "$machine/bin/ninja" "$machine/ninja"
  script "$machine/bin/apt-get" <<TEXT
printf 'apt-get %s\n' "\$*" >>"\$CALLS"
case \$1 in install) cp "$machine/ninja" "$machine/bin/ninja" ;; esac
TEXT
  start demo
  is "$status" 0
  has "$err" 'Missing: Ninja. Installing ninja-build'
  is "$(head -n 2 "$CALLS")" $'apt-get update\napt-get install -y --no-install-recommends ninja-build'
  start demo
  is "$(calls apt-get)" 2 # nothing is missing, nothing is asked
}

# ---- builds ----

test_second_start() {
  machine second
  build_tools
  jdk "$machine/jvm/jdk" 25
  start demo --limit 5 --query 'two words' --query '' --json
  is "$status" 0
  has "$out" '[two words]'
  has "$out" '[]'
  has "$out" "[$checkout/demo/target/classes:$HOME/a.jar:$HOME/b c.jar]"
  is "$(calls ^cmake)" 2
  is "$(calls ^mvn)" 1
  lacks "$(cat "$CALLS")" nearfield_wgpu
  local seconds
  TIMEFORMAT=%R
  seconds=$({ time start demo --json; } 2>&1)
  start demo --json
  is "$err" ''
  is "$(calls ^cmake)" 2
  is "$(calls ^mvn)" 1
  [ "${seconds%%[.,]*}" -eq 0 ] || fail "the second start took $seconds s, the limit is 1 s"
}

test_change_rebuilds() {
  machine change
  build_tools
  jdk "$machine/jvm/jdk" 25
  start demo
  sleep 0.1
  touch "$checkout/native/new.cpp"
  start demo
  is "$(calls ^cmake)" 4
  is "$(calls ^mvn)" 1
  sleep 0.1
  rm "$checkout/native/new.cpp"
  touch "$checkout/demo/src/New.java"
  start demo
  is "$(calls ^cmake)" 6
  is "$(calls ^mvn)" 2
}

test_lost_products() {
  machine lost
  build_tools
  jdk "$machine/jvm/jdk" 25
  start demo
  rm "$HOME/b c.jar" # as when Maven's local repository was emptied
  start demo
  is "$(calls ^mvn)" 2
  rm -r "$checkout/demo/target" # mvn clean
  start demo
  is "$(calls ^mvn)" 3
  rm -r "$checkout/build/release"
  start demo
  is "$(calls ^cmake)" 4
  is "$status" 0
}

test_two_starts() {
  machine two
  build_tools
  jdk "$machine/jvm/jdk" 25
  "$checkout/nearfield" demo >"$machine/other" 2>&1 </dev/null &
  start demo
  wait $!
  is "$(calls ^java)" 2
  is "$(calls ^cmake)" 2
  is "$(calls ^mvn)" 1
  bash -c 'echo $$' >"$checkout/build/launcher/lock" # a start that was killed
  touch "$checkout/native/new.cpp"
  start demo
  is "$status" 0
  is "$(calls ^cmake)" 4
}

test_devices() {
  machine devices
  build_tools
  jdk "$machine/jvm/jdk" 25
  start devices
  is "$status" 0
  has "$(cat "$CALLS")" 'nearfield_cpu nearfield_wgpu'
  has "$out" '[dev.nearfield/dev.nearfield.Main]'
  start devices
  is "$(calls ^cmake)" 2
  is "$(calls ^mvn)" 1
}

test_moved_checkout() {
  machine moved
  build_tools
  jdk "$machine/jvm/jdk" 25
  start demo
  printf 'CMAKE_HOME_DIRECTORY:INTERNAL=%s\n' "$checkout" >"$checkout/build/release/CMakeCache.txt"
  mv "$checkout" "$machine/another place"
  checkout="$machine/another place"
  start demo
  is "$status" 0
  is "$(calls '^cmake --fresh --preset release')" 1
  is "$(calls ^mvn)" 2
}

test_failed_build() {
  machine failed
  build_tools
  jdk "$machine/jvm/jdk" 25
  CMAKE_FAILS=1 start demo
  is "$status" 1
  has "$err" 'error: no such thing'
  is "$(calls ^java)" 0
  start demo
  is "$status" 0
  is "$(calls ^java)" 1
}

test_interrupt() {
  machine interrupt
  build_tools
  jdk "$machine/jvm/jdk" 25
  local pid tick signal expected
  for signal in INT:130 TERM:143; do
    expected=${signal#*:} signal=${signal%:*}
    : >"$CALLS"
    set -m # a background job of a shell without job control would ignore SIGINT
    CMAKE_HANGS=1 "$checkout/nearfield" demo >"$machine/out" 2>"$machine/err" </dev/null &
    pid=$!
    set +m
    for ((tick = 0; tick < 100; tick++)); do
      if grep -q hanging "$CALLS"; then break; fi
      sleep 0.1
    done
    kill "-$signal" "$pid"
    status=0
    wait "$pid" || status=$?
    is "$status" "$expected"
    is "$(calls ^java)" 0
    if find "$checkout/build/launcher" -name 'native-*' ! -name '*.log' ! -name '*.begun' | grep -q .; then fail "a stamp was left"; fi
    sleep 0.2
    if kill -0 -- "-$pid" 2>/dev/null; then fail "children are still running"; fi
  done
}

test_from_anywhere() {
  machine anywhere
  build_tools
  jdk "$machine/jvm/jdk" 25
  mkdir "$machine/links"
  ln -s "../a checkout/nearfield" "$machine/links/nf"
  cd /
  status=0
  out=$("$machine/links/nf" demo --k 3 2>"$machine/err") || status=$?
  err=$(cat "$machine/err")
  is "$status" 0
  has "$out" '[--k]'
  lacks "$err" $'\033'
}

# ---- run ----

if [ $# -eq 0 ]; then
  # shellcheck disable=SC2046 # names of functions
  set -- $(declare -F | sed -n 's/^declare -f test_//p')
fi
passed=0 failed=0
for name in "$@"; do
  if log=$( (set -e && "test_$name") 2>&1); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAIL %s; rerun with: launcher/test.sh %s\n%s\n' "$name" "$name" "$log"
  fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
