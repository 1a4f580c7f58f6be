#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests of the launcher, on a machine made of stand-ins. `launcher/test.sh NAME...` runs those named; the last line is `N passed, N failed`.
set -uo pipefail

here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/nearfield launcher.XXXXXX") # the space is on purpose
trap 'rm -rf "$work"' EXIT

# shellcheck source=launcher/test/machine.sh
. "$here/test/machine.sh"
# shellcheck source=launcher/test/usage_test.sh
. "$here/test/usage_test.sh"
# shellcheck source=launcher/test/jdk_test.sh
. "$here/test/jdk_test.sh"
# shellcheck source=launcher/test/tools_test.sh
. "$here/test/tools_test.sh"
# shellcheck source=launcher/test/build_test.sh
. "$here/test/build_test.sh"
# shellcheck source=launcher/test/check_test.sh
. "$here/test/check_test.sh"
# shellcheck source=launcher/test/bench_test.sh
. "$here/test/bench_test.sh"
# shellcheck source=launcher/test/prove_test.sh
. "$here/test/prove_test.sh"

if [ $# -eq 0 ]; then
  # shellcheck disable=SC2046 # names of functions
  set -- $(declare -F | sed -n 's/^declare -f test_//p')
fi
passed=0 failed=0
for name in "$@"; do
  log=$(set -e && "test_$name" 2>&1) # never the condition of an `if`: bash ignores -e in there
  result=$?
  if [ "$result" -eq 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAIL %s; rerun with: launcher/test.sh %s\n%s\n' "$name" "$name" "$log"
  fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
