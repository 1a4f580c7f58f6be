# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0

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
  has "$(cat "$CALLS")" 'nearfield_libraries'
  has "$out" '[dev.nearfield/dev.nearfield.Main]'
  start devices
  is "$(calls ^cmake)" 2
  is "$(calls ^mvn)" 1
}

test_demo_builds_for_the_gpu_there_is() {
  machine demo_gpu
  build_tools
  jdk "$machine/jvm/jdk" 25
  start demo
  lacks "$(cat "$CALLS")" nearfield_libraries
  printf 'echo libcuda.so.1\n' | script "$machine/bin/ldconfig"
  start demo --backend cpu
  lacks "$(cat "$CALLS")" nearfield_libraries
  start demo
  is "$(calls 'nearfield_libraries')" 1
  start demo --backend cuda
  is "$(calls 'nearfield_libraries')" 1
  printf '' | script "$machine/bin/ldconfig"
  touch "$checkout/native/new.cpp"
  start demo --backend cuda # asked for by name: its report says why it is absent
  is "$(calls 'nearfield_libraries')" 2
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
    # A shell cannot trap a signal that it was started to ignore, and tests under nohup or in the background ignore SIGINT: perl resets it.
    set -m # a background job of a shell without job control would ignore SIGINT
    # shellcheck disable=SC2016 # perl's variables
    CMAKE_HANGS=1 /usr/bin/perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV or die' "$checkout/nearfield" demo >"$machine/out" 2>"$machine/err" </dev/null &
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
