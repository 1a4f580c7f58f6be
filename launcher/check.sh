# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# ./nearfield test: every step runs even when an earlier one failed; the sum decides.

passed=0 failed=0 skipped=0 summary='' speed=''

# record STEP START PASSED FAILED [SKIPPED]
record() {
  passed=$((passed + $3)) failed=$((failed + $4)) skipped=$((skipped + ${5:-0}))
  summary+=$(printf '  %-44s %6d passed, %d failed, %d skipped in %d s' "$1" "$3" "$4" "${5:-0}" $((SECONDS - $2)))$'\n'
}

# one STEP LOG COMMAND...: a step that counts as one test.
one() {
  local step=$1 log=$2 start=$SECONDS
  shift 2
  if quietly "$step" "$log" "$@"; then record "$step" "$start" 1 0; else record "$step" "$start" 0 1; fi
}

# Test programs close with `N passed, N failed[, N skipped]`: prints the three sums, the number of such lines, and of those with a failure.
sum_counts() {
  awk '/^[0-9]+ passed, [0-9]+ failed/ { p += $1; f += $3; s += $5; l++; if ($3 > 0) b++ }
    END { print p + 0, f + 0, s + 0, l + 0, b + 0 }' "$1"
}

# live LOG COMMAND...: output goes to the log and to stdout.
live() {
  local log=$1
  shift
  "$@" 2>&1 | tee "$log"
  return "${PIPESTATUS[0]}"
}

# ctest_plain ARGUMENT...: as many tests at a time as there are cores. ctest puts a test's number before each line of its output: by that
# the lines of a test are kept together, and printed when it has ended.
ctest_plain() {
  ctest --verbose --parallel "$(getconf _NPROCESSORS_ONLN)" "$@" 2>&1 | (trap '' INT && exec awk '
    function tell(n, i) { for (i = 0; i < count[n]; ++i) { print said[n, i]; delete said[n, i] } count[n] = 0 }
    match($0, /^[0-9]+: /) { n = substr($0, 1, RLENGTH - 2); said[n, count[n]++] = substr($0, RLENGTH + 1); next }
    match($0, /^ *[0-9]+\/[0-9]+ Test +#[0-9]+:/) { n = substr($0, 1, RLENGTH - 1); sub(/.*#/, "", n); tell(n) }
    { print; fflush() }
    END { for (n in count) tell(n) }')
  return "${PIPESTATUS[0]}"
}

# native_tests STEP PRESET CTEST-ARGUMENT...
native_tests() {
  local step=$1 preset=$2 log=$state/ctest-$2.log status=0 start=$SECONDS p f s lines bad tests=0 broken=0
  shift 2
  say "$step"
  run live "$log" ctest_plain --test-dir "$root/build/$preset" --no-tests=error "$@" || status=$?
  read -r p f s lines bad <<<"$(sum_counts "$log")"
  read -r broken tests <<<"$(sed -nE 's/.* tests passed, ([0-9]+) tests? failed out of ([0-9]+).*/\1 \2/p' "$log")" || true
  tests=${tests:-0}
  # A program without a count (a compile test), skipped, or dead before its count is one test.
  local absent silent_failures=$((broken - bad))
  absent=$(grep -c '(Skipped)$' "$log") || true
  if [ "$silent_failures" -lt 0 ]; then silent_failures=0; fi
  f=$((f + silent_failures)) s=$((s + absent))
  if [ "$tests" -gt "$lines" ]; then p=$((p + tests - lines - silent_failures - absent)); fi
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  record "$step" "$start" "$p" "$f" "$s"
}

# counted_tests STEP LOG COMMAND...: a command that prints its counts, in one line or in one for each of its parts.
counted_tests() {
  local step=$1 log=$2 status=0 start=$SECONDS
  shift 2
  quietly "$step" "$log" "$@" || status=$?
  counted "$step" "$log" "$start" "$status"
}

counted() { # STEP LOG START STATUS
  local p f s lines bad
  read -r p f s lines bad <<<"$(sum_counts "$2")"
  if [ "$lines" -lt 1 ] || { [ "$4" -ne 0 ] && [ "$f" -eq 0 ]; }; then f=$((f + 1)); fi
  record "$1" "$3" "$p" "$f" "$s"
}

# counted_beside STEP LOG COMMAND...: the same for tests that mostly wait for what they start; the next steps have the cores meanwhile, and
# counted_beside_end adds the counts, with the time until then.
steps_beside=() logs_beside=() starts_beside=()
counted_beside() {
  steps_beside+=("$1") logs_beside+=("$2") starts_beside+=("$SECONDS")
  say "$1, beside what follows"
  mkdir -p "$(dirname "$2")"
  set -m
  "${@:3}" </dev/null >"$2" 2>&1 &
  beside+=($!)
  set +m
}

counted_beside_end() {
  local number status
  for number in "${!steps_beside[@]}"; do
    status=0
    wait "${beside[number]}" || status=$?
    if [ "$status" -ne 0 ]; then
      tail -n 100 "${logs_beside[number]}" >&2
      say "${steps_beside[number]}: failed with status $status; the whole output is in ${logs_beside[number]}"
    fi
    counted "${steps_beside[number]}" "${logs_beside[number]}" "${starts_beside[number]}" "$status"
  done
  beside=() steps_beside=() logs_beside=() starts_beside=()
}

# emulated_driver: the folder of the CUDA driver of kernels-test/simt, where there is no other.
emulated_driver() {
  if ! have_gpu && [ -e "$root/build/release/simt/cuda/libcuda.so.1" ]; then printf '%s' "$root/build/release/simt/cuda"; fi
}

# java_tests STEP MAVEN-ARGUMENT...: counts come from Surefire's reports.
java_tests() {
  local step=$1 log=$state/maven.log status=0 start=$SECONDS p f s driver
  shift
  driver=$(emulated_driver)
  rm -rf "$root"/{*,bench/*}/target/surefire-reports
  LD_LIBRARY_PATH=${driver:+$driver:}${LD_LIBRARY_PATH:-} quietly "$step" "$log" maven "$@" || status=$?
  read -r p f s <<<"$(cat "$root"/{*,bench/*}/target/surefire-reports/TEST-*.xml 2>/dev/null | surefire_counts)"
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ] || [ "$p" -eq 0 ]; then f=$((f + 1)); fi
  record "$step" "$start" "$p" "$f" "$s"
}

surefire_counts() { # the attributes of <testsuite> may stand on several lines
  tr '\n' ' ' | grep -oE '<testsuite [^>]*>' | awk '
    function value(name) { return match($0, " " name "=\"[0-9]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) : 0 }
    { bad = value("failures") + value("errors"); f += bad; s += value("skipped"); p += value("tests") - bad - value("skipped") }
    END { print p + 0, f + 0, s + 0 }'
}

sanitizer_tests() { # PRESET SENTENCE [CTEST-ARGUMENT...]
  local start=$SECONDS
  if quietly "Building for $2" "$state/build-$1.log" configure_and_build "$1" all; then
    native_tests "Sanitizers: $2" "$1" -L sanitize "${@:3}"
  else
    record "Sanitizers: $2" "$start" 0 1
  fi
}

format_check() {
  cd "$root" || return
  # The ABI header is laid out by hand: its members stand in tables.
  find native kernels-test bindings bench/native \( -name '*.c' -o -name '*.h' -o -name '*.cpp' -o -name '*.hpp' \) \
    ! -path native/include/nearfield/nearfield.h -print0 | xargs -0 "$(clang_format)" --dry-run -Werror
}

shell_check() {
  cd "$root" || return
  # What is sourced is checked with the script that sources it.
  shellcheck --external-sources --check-sourced nearfield .ci/run launcher/test.sh prove/carry.sh bindings/generate.sh packaging/reproducible_test.sh
}

style_checks() {
  one "Style: clang-format" "$state/clang-format.log" format_check
  one "Style: shellcheck" "$state/shellcheck.log" shell_check
  # The BOM has no Java and no parent that would name the plugin.
  one "Style: spotless" "$state/spotless.log" maven spotless:check -pl '!packaging/bom'
}

# The whole of ./nearfield prove on the emulator; the emulated driver is one of Linux.
rehearsal() {
  if [ "$(uname -s)" = Linux ]; then
    rm -rf "$state/rehearsal"
    one "Rehearsal of the proof" "$state/rehearsal.log" python3 "$root/prove" --rehearse --out "$state/rehearsal"
  else
    record "Rehearsal of the proof" "$SECONDS" 0 0 1
  fi
}

run_test() {
  local level=default thorough='' left_out=brief
  [ -z "${CI:-}" ] || [ "$CI" = false ] || thorough=yes
  while [ $# -gt 0 ]; do
    case $1 in
      --quick | --full)
        [ "$level" = default ] || die 2 "test: --quick and --full exclude each other."
        level=${1#--}
        ;;
      *) die 2 "test: unknown option '$1'; see ./nearfield test --help." ;;
    esac
    shift
  done
  case $level in
    quick) thorough= ;;
    full) thorough=yes ;;
  esac
  # ctest's labels: what takes long, and what is a part of that.
  [ -n "$thorough" ] || left_out=thorough

  require_jdk
  local shipped=
  if [ "$level" != quick ] && [ -n "$(dist_platform)" ]; then shipped=yes; fi
  require_tools compiler cmake ninja highway eigen maven pip vulkan lavapipe ${shipped:+llvm_objdump} ${thorough:+shellcheck clang_format}
  if [ "$level" = full ]; then export NEARFIELD_TEST_FULL=1; fi

  native native-all "" all
  native_tests "Native suite and ABI" release -LE "$left_out"
  counted_beside "Launcher tests" "$state/launcher-tests.log" "$root/launcher/test.sh"
  counted_beside "Proof tests" "$state/proof-tests.log" python3 "$root/prove/test"
  if [ "$level" = quick ]; then
    java_tests "Java unit tests" test
  else
    package_tests "$level" "$thorough"
  fi
  counted_beside_end
  [ "$level" = quick ] || packaged_speed # with nothing beside it
  # After Java, whose worker they start.
  counted_beside "Benchmark tests" "$state/bench-tests.log" python3 "$root/bench/test"
  [ "$level" = quick ] || rehearsal
  counted_beside_end
  if [ -n "$thorough" ]; then
    style_checks
    sanitizer_tests asan "addresses and undefined behaviour"
    # What computes on one thread has no races, and takes ten minutes.
    sanitizer_tests tsan "data races" -LE arithmetic
  fi

  say $'\nSummary'
  printf '%s%s' "$summary" "$speed" >&2
  printf '%d passed, %d failed%s\n' "$passed" "$failed" "$([ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped")"
  [ "$failed" -eq 0 ]
}
