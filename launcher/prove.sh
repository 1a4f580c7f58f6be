# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# ./nearfield prove: the program in prove/ builds and runs what it needs itself, for a GPU's machine may have no JDK, no Maven, no pip and
# no network. Only a rehearsal, and a Mac, build as every other command does.

usage_prove() { cat "$root/prove/usage.txt"; }

have_python() { python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; }

run_prove() {
  have_python || die 3 "missing: Python 3.9 or later"
  # Wrong options are refused before anything is built.
  python3 "$root/prove" --check "$@" || exit
  case " $* " in
    *' --support '* | *' --build '* | *' --build='*) ;;
    *' --rehearse '*) build_rehearsal ;;
    *) if [ "$(uname -s)" = Darwin ]; then native native-prove "compiler cmake ninja highway eigen pip" nearfield_libraries nearfield_suite nearfield_bench; fi ;;
  esac
  # The program replaces the launcher: Ctrl-C is its own.
  exec python3 "$root/prove" "$@"
}

# With everything, so that the emulated driver is there; Java takes part where a JDK and Maven are.
build_rehearsal() {
  native native-all "compiler cmake ninja highway eigen pip" all
  if find_jdk && have_maven; then
    export JAVA_HOME=$jdk_home
    java_module bench/java "$java_sources bench/java/pom.xml bench/java/src" bench/java/target/classpath.txt
  fi
}
