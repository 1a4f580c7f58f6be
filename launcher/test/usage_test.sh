# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0

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
  is "$out" "nearfield $(sed -n 's/^project(nearfield VERSION \([0-9.]*\).*/\1/p' "$here/../CMakeLists.txt")"
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
demo --index
demo --index ivf --recall
test --frobnicate
test --quick --full
devices extra
TEXT
  is "$(cat "$CALLS")" ''
}
