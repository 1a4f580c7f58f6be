# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0

test_counts() {
  machine counts
  build_tools
  checking_tools
  jdk "$machine/jvm/jdk" 25
  start test
  is "$status" 0
  # 5 of the suite and 2 programs without a count, 2 of the launcher, 4 of the proof, 3 of the benchmark, 9 of Java, the rehearsal.
  is "${out##*$'\n'}" '26 passed, 0 failed, 4 skipped' # no shipped libraries for this machine
  has "$out" $'a case\n'
  is "$(calls sanitize)" 0
  is "$(calls '^mvn.* deploy')" 1
  CTEST=$'5 passed, 0 failed\n100% tests passed, 0 tests failed out of 3\n\t  2 - gpu (Skipped)' start test --quick
  is "${out##*$'\n'}" '24 passed, 0 failed, 2 skipped'
  is "$(calls '^mvn.* deploy')" 1
  is "$(calls '^mvn.* test$')" 1
  is "$(calls '^cmake')" 2
}

test_failures_are_counted() {
  machine failures
  build_tools
  checking_tools
  jdk "$machine/jvm/jdk" 25
  # One failed case, and a program that died before it could count.
  CTEST_STATUS=8 CTEST=$'1: 5 passed, 1 failed\n33% tests passed, 2 tests failed out of 3' start test --quick
  is "$status" 1
  is "${out##*$'\n'}" '24 passed, 2 failed, 1 skipped'
  MAVEN_STATUS=1 JAVA_TESTS='tests="10" errors="1" skipped="0" failures="2"' start test --quick
  is "$status" 1
  is "${out##*$'\n'}" '23 passed, 3 failed, 2 skipped'
  MAVEN_STATUS=1 start test --quick # as when it does not compile
  is "$status" 1
  is "${out##*$'\n'}" '25 passed, 1 failed, 3 skipped'
  CTEST_STATUS=1 CTEST='No tests were found' start test --quick
  is "$status" 1
  is "${out##*$'\n'}" '18 passed, 1 failed, 1 skipped'
  JAVA_TESTS='tests="0" errors="0" skipped="0" failures="0"' start test --quick
  is "$status" 1
}

test_java_has_the_emulated_driver_where_there_is_no_other() {
  machine emulated
  build_tools
  checking_tools
  unset LD_LIBRARY_PATH
  jdk "$machine/jvm/jdk" 25
  start test --quick
  is "$(calls '^driver none')" 1
  mkdir -p "$checkout/build/release/simt/cuda"
  touch "$checkout/build/release/simt/cuda/libcuda.so.1"
  start test --quick
  is "$(calls '^driver .*/build/release/simt/cuda:')" 1
  printf 'echo libvulkan.so.1 libcuda.so.1\n' | script "$machine/bin/ldconfig"
  start test --quick
  is "$(calls '^driver none')" 2
}

test_an_end_ends_what_runs_beside() {
  machine beside
  build_tools
  checking_tools
  jdk "$machine/jvm/jdk" 25
  script "$checkout/launcher/test.sh" <<'TEXT'
echo $$ >"$CALLS.beside"
exec sleep 60
TEXT
  script "$machine/bin/mvn" <<'TEXT'
echo mvn >>"$CALLS"
exec sleep 60
TEXT
  "$checkout/nearfield" test --quick >"$machine/out" 2>"$machine/err" </dev/null &
  local starter=$! tick
  for ((tick = 0; tick < 100; tick++)); do
    { [ ! -s "$CALLS.beside" ] || [ "$(calls '^mvn')" -eq 0 ]; } || break
    sleep 0.1
  done
  [ -s "$CALLS.beside" ] || fail 'the launcher tests did not start'
  kill -TERM "$starter"
  status=0
  wait "$starter" || status=$?
  is "$status" 143
  if kill -0 "$(cat "$CALLS.beside")" 2>/dev/null; then fail 'the launcher tests still run'; fi
}

test_levels() {
  machine levels
  build_tools
  checking_tools
  jdk "$machine/jvm/jdk" 25
  CI=true start test
  is "$status" 0
  is "$(calls 'ctest.*build/asan.*-L sanitize')" 1
  is "$(calls 'ctest.*build/tsan.*-L sanitize')" 1
  is "$(calls 'spotless:check')" 1
  is "$(calls 'FULL=1')" 0
  CI=true start test --quick
  is "$(calls sanitize)" 2
  start test --full
  is "$(calls sanitize)" 4
  is "$(calls 'build/release.*FULL=1')" 1
}

test_packages() {
  machine packages
  build_tools
  checking_tools
  jdk "$machine/jvm/jdk" 25
  script "$machine/bin/uname" <<'TEXT'
case ${1:-} in -m) echo x86_64 ;; *) echo Linux ;; esac
TEXT
  script "$machine/bin/python3" <<'TEXT'
[ "$1" != -m ] || exit 0
printf 'python3 %s\n' "$*" >>"$CALLS"
case $* in *--out*/packaged-speed.txt) echo 'nearfield 1 ms' >"${!#}" ;; esac
echo "3 passed, ${PYTHON_FAILS:-0} failed"
exit "${PYTHON_FAILS:-0}"
TEXT
  script "$checkout/build/release/bin/nearfield_suite" <<'TEXT'
printf 'suite %s\n' "$*" >>"$CALLS"
echo 4 passed, 0 failed
TEXT
  start test
  # 24 as in test_counts but 3 of the proof, 3 of the files, 2 of their loops, twice 4 of the suite, 1 of the speed, 3 of the applications.
  is "${out##*$'\n'}" '42 passed, 0 failed, 3 skipped'
  is "$(calls 'cmake --build --preset dist-linux-x86_64')" 1
  is "$(calls 'suite --lib-dir .*/build/dist-linux-x86_64/lib')" 2
  is "$(calls 'python3 .*bench/driver flat --library packaged --local')" 1
  has "$err" '    nearfield 1 ms'
  is "$(calls 'dist-osx')" 0
  is "$(calls '^mvn.* -DaltDeploymentRepository=build::file://.*a%20checkout/build/launcher/repository deploy')" 1
  is "$(calls 'python3 .*consumer/test.py .*/build/launcher/repository')" 1
  PYTHON_FAILS=1 start test
  is "$status" 1
  is "${out##*$'\n'}" '40 passed, 6 failed, 3 skipped'
  CI=true start test
  is "$(calls 'cmake --build --preset dist-osx-aarch_64')" 1
  is "$(calls 'cmake --build .*/build/dist-osx-aarch_64 --target nearfield_metal_checks')" 1
  is "$(calls 'cmake --build --preset dist-osx-x86_64')" 1
  : >"$CALLS"
  start test --quick
  is "$(calls 'dist-linux-x86_64')" 0
  is "$(calls 'dist-osx')" 0
}
