# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Messages and child processes. Messages go to stderr: the stdout of a command is its answer (demo --json).

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
  bold=$'\033[1m' plain=$'\033[0m'
else
  bold='' plain=''
fi

# Mesa's Vulkan layer that reorders devices asks the desktop for its GPU and complains on stderr where there is none; we choose devices ourselves.
export NODEVICE_SELECT=1

say() { printf '%s%s%s\n' "$bold" "$*" "$plain" >&2; }

# die STATUS SENTENCE
die() {
  printf 'nearfield: %s\n' "$2" >&2
  exit "$1"
}

version() { sed -n 's/^project(nearfield VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt"; }

# The running child leads a process group of its own (job control), so that an interrupt ends all of it: make, compilers, forked JVMs.
child=
beside=() # further ones, which run beside it

stop() {
  trap '' INT TERM HUP
  local leader tick groups=()
  for leader in $child ${beside[@]+"${beside[@]}"}; do groups+=("-$leader"); done
  if [ ${#groups[@]} -gt 0 ]; then
    kill -TERM -- "${groups[@]}" 2>/dev/null || true
    for ((tick = 0; tick < 50; tick++)); do # 5 s for compilers and JVMs to take their half-written files away
      kill -0 -- "${groups[@]}" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "${groups[@]}" 2>/dev/null || true
  fi
  exit $((128 + $1))
}
trap 'stop 2' INT
trap 'stop 15' TERM
trap 'stop 1' HUP

# run COMMAND...: waits for the command; its status is the answer. The command has no stdin: it is never the one that talks to the user.
run() {
  local status=0
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  wait "$child" || status=$?
  child=
  return "$status"
}

# quietly SENTENCE LOG COMMAND...: says the sentence, keeps the output in the log, shows its end on failure.
quietly() {
  local sentence=$1 log=$2 status=0 start=$SECONDS
  shift 2
  say "$sentence"
  mkdir -p "$(dirname "$log")"
  run "$@" >"$log" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then
    tail -n 100 "$log" >&2
    say "Failed after $((SECONDS - start)) s with status $status; the whole output is in $log"
  fi
  return "$status"
}
