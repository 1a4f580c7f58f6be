# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A machine made of stand-ins: a PATH of our own, fake JDKs, and build tools that write down how they were called.

script() { # FILE, the body on stdin
  mkdir -p "$(dirname "$1")"
  rm -f "$1" # it may be a link to the real tool, which must not be written to
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
  mkdir -p "$checkout"/{native,cmake,kernels-test,bindings,bench/native,java-api/src,demo/src} "$machine"/{bin,home,jvm}
  cp -R "$here/../nearfield" "$here" "$here/../CMakeLists.txt" "$checkout"
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
case $* in *nearfield_metal_checks | *nearfield_cpu_loops) echo '2 passed, 0 failed' ;; esac
mkdir -p build/release/lib build/release/bin
case $* in *_jar) mkdir -p build/dist-linux-x86_64/jar/{cpu,wgpu,cuda} ;; esac
TEXT
  script "$machine/bin/mvn" <<'TEXT'
printf 'mvn %s JAVA_HOME=%s\n' "$*" "$JAVA_HOME" >>"$CALLS"
mkdir -p demo/target java-api/target/classes
touch "$HOME/a.jar" "$HOME/b c.jar" java-api/target/classes/module-info.class
printf '%s' "$HOME/a.jar:$HOME/b c.jar" >demo/target/classpath.txt
if [ -d bench/java ]; then mkdir -p bench/java/target && cp demo/target/classpath.txt bench/java/target; fi
TEXT
}

# benchmark: the driver, as a stand-in that writes down its arguments; it refuses --wrong.
benchmark() {
  script "$machine/bin/python3" <<'TEXT'
case " $* " in *' --wrong '*) echo 'nearfield: wrong' >&2; exit 2 ;; esac
printf 'python3 %s\n' "$*" >>"$CALLS"
TEXT
  mkdir -p "$checkout/bench/driver" "$checkout/bench/java/src"
  touch "$checkout/bench/java/pom.xml"
  printf 'Usage: ./nearfield bench\n' >"$checkout/bench/driver/usage.txt"
}

# proving: the program in prove/, as a stand-in that writes down its arguments; it refuses --wrong.
proving() {
  script "$machine/bin/python3" <<'TEXT'
case " $* " in *' --wrong '*) echo 'nearfield: wrong' >&2; exit 2 ;; esac
[ "$1" != -c ] || exit "${PYTHON_IS_OLD:-0}"
printf 'python3 %s\n' "$*" >>"$CALLS"
TEXT
  mkdir -p "$checkout/prove" "$checkout/bench/java/src"
  touch "$checkout/bench/java/pom.xml"
  printf 'Usage: ./nearfield prove\n' >"$checkout/prove/usage.txt"
}

# checking_tools: what `test` needs beyond them. $CTEST is what ctest prints, $JAVA_TESTS the attributes of a Surefire report.
checking_tools() {
  local tool
  for tool in clang-format-14 llvm-objdump shellcheck xargs; do script "$machine/bin/$tool" </dev/null; done
  printf 'echo libvulkan.so.1\n' | script "$machine/bin/ldconfig"
  printf 'echo 2 passed, 0 failed\n' | script "$checkout/launcher/test.sh"
  script "$machine/bin/python3" <<'TEXT'
case $1 in
  */bench/test) echo 3 passed, 0 failed ;;
  */prove/test) echo 4 passed, 0 failed ;;
esac
TEXT
  script "$machine/bin/ctest" <<'TEXT'
printf 'ctest %s FULL=%s\n' "$*" "${NEARFIELD_TEST_FULL:-}" >>"$CALLS"
printf '%s\n' "$CTEST"
exit "${CTEST_STATUS:-0}"
TEXT
  script "$machine/bin/mvn" <<'TEXT'
printf 'mvn %s\n' "$*" >>"$CALLS"
printf 'driver %s\n' "${LD_LIBRARY_PATH:-none}" >>"$CALLS"
mkdir -p java-api/target/surefire-reports
printf '<testsuite name="a"\n %s>' "$JAVA_TESTS" >java-api/target/surefire-reports/TEST-a.xml
exit "${MAVEN_STATUS:-0}"
TEXT
  export VK_DRIVER_FILES=anything JAVA_TESTS='tests="10" errors="0" skipped="1" failures="0"'
  export CTEST=$'1: a case\n1: 5 passed, 0 failed, 2 skipped\n100% tests passed, 0 tests failed out of 3'
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
