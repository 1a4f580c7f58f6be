# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0

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
