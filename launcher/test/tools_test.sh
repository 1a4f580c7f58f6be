# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0

test_missing_tools() {
  machine missing
  jdk "$machine/jvm/jdk" 25
  start demo
  is "$status" 3
  has "$err" 'a C and C++20 compiler, CMake 3.25 or later, Ninja, Highway (hwy/highway.h), Eigen (Eigen/Eigenvalues), Maven'
  has "$err" 'sudo apt-get install g++ cmake ninja-build libhwy-dev libeigen3-dev maven'
  lacks "$err" Vulkan
  lacks "$err" pip
  start test
  is "$status" 3
  has "$err" 'python3-pip libvulkan1'
  is "$(cat "$CALLS")" ''
  rm "$machine/bin/apt-get"
  printf '' | script "$machine/bin/dnf"
  start demo
  has "$err" 'sudo dnf install gcc-c++ cmake ninja-build highway-devel eigen3-devel maven'
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
  printf '' | script "$machine/bin/dpkg"
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
  printf '' | script "$machine/bin/dpkg"
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
