# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the commands need beside a JDK. Everything is checked by what it can do, never by the name of a package:
# a tool from anywhere will do. What is missing is installed on Debian as root and named with its command elsewhere.

readonly cmake_oldest=3.25 # the presets, and the oldest that CI runs

# ---- checks: have_TOOL ----

# at_least VERSION OLDEST: compares major.minor.
at_least() {
  local major=${1%%.*} rest=${1#*.}
  local minor=${rest%%[!0-9]*}
  [ "$major" -gt "${2%%.*}" ] || { [ "$major" -eq "${2%%.*}" ] && [ "${minor:-0}" -ge "${2#*.}" ]; }
}

# compiles FLAG...: whether the C++ compiler accepts the program on stdin.
compiles() { "${CXX:-c++}" -std=c++20 -fsyntax-only "$@" -x c++ - >/dev/null 2>&1; }

have_compiler() {
  command -v "${CC:-cc}" >/dev/null && compiles <<'TEXT'
#include <bit>
#include <span>
static_assert(std::bit_width(8u) == 4);
TEXT
}

have_highway() {
  local prefix include=()
  if command -v brew >/dev/null && prefix=$(brew --prefix 2>/dev/null); then include=("-I$prefix/include"); fi
  compiles ${include[@]+"${include[@]}"} <<<'#include <hwy/highway.h>'
}

have_eigen() {
  local prefix include=(-I/usr/include/eigen3)
  if command -v brew >/dev/null && prefix=$(brew --prefix 2>/dev/null); then include+=("-I$prefix/include/eigen3"); fi
  compiles "${include[@]}" <<<'#include <Eigen/Eigenvalues>'
}

have_cmake() {
  local line
  line=$(cmake --version 2>/dev/null) || return 1
  line=${line%%$'\n'*}
  at_least "${line##* }" "$cmake_oldest"
}

have_ninja() { command -v ninja >/dev/null; }
have_maven() { command -v mvn >/dev/null; }
have_pip() { python3 -m pip --version >/dev/null 2>&1; }
have_shellcheck() { command -v shellcheck >/dev/null; }
have_clang_format() { clang_format >/dev/null; }
# Disassembles the shipped kernels of every platform (native/cpu/loops.py, which takes the same names).
have_llvm_objdump() {
  local version
  ! command -v llvm-objdump >/dev/null || return 0
  for version in {30..14}; do
    ! command -v "llvm-objdump-$version" >/dev/null || return 0
  done
  return 1
}

# Prints the command of clang-format 14, whatever its name here: other versions lay out differently.
clang_format() {
  local tool
  for tool in clang-format-14 "$(brew --prefix llvm@14 2>/dev/null || true)/bin/clang-format"; do
    if command -v "$tool" >/dev/null; then
      printf '%s' "$tool"
      return
    fi
  done
  case $(clang-format --version 2>/dev/null || true) in *'version 14.'*) printf 'clang-format' ;; *) return 1 ;; esac
}

# The WebGPU backend reaches the GPU through Metal on a Mac and through Vulkan elsewhere.
have_vulkan() {
  [ "$(uname -s)" = Linux ] || return 0
  case $(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null) in *libvulkan.so.1*) ;; *) return 1 ;; esac
}

# A GPU that the CUDA or the Metal backend drives.
have_gpu() {
  [ "$(uname -s)" != Darwin ] || return 0
  case $(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null) in *libcuda.so.1*) ;; *) return 1 ;; esac
}

# Mesa's software GPU, which the tests run on where there is no other.
have_lavapipe() {
  local manifest
  [ "$(uname -s)" = Linux ] || return 0
  [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] || return 0
  for manifest in /usr/share/vulkan/icd.d/lvp_icd* /usr/local/share/vulkan/icd.d/lvp_icd* /etc/vulkan/icd.d/lvp_icd*; do
    [ ! -e "$manifest" ] || return 0
  done
  return 1
}

tool_title() {
  case $1 in
    compiler) printf 'a C and C++20 compiler' ;;
    highway) printf 'Highway (hwy/highway.h)' ;;
    eigen) printf 'Eigen (Eigen/Eigenvalues)' ;;
    cmake) printf 'CMake %s or later' "$cmake_oldest" ;;
    ninja) printf 'Ninja' ;;
    maven) printf 'Maven' ;;
    pip) printf 'Python 3 with pip' ;;
    shellcheck) printf 'shellcheck' ;;
    clang_format) printf 'clang-format 14' ;;
    llvm_objdump) printf 'llvm-objdump' ;;
    vulkan) printf 'the Vulkan loader' ;;
    lavapipe) printf "Mesa's software GPU (lavapipe)" ;;
  esac
}

# ---- installing ----

package_manager() {
  local manager
  if [ "$(uname -s)" = Darwin ]; then
    printf 'brew'
    return
  fi
  for manager in apt-get dnf; do
    if command -v "$manager" >/dev/null; then
      printf '%s' "${manager%-get}"
      return
    fi
  done
  printf 'none'
}

is_root() { [ "$(id -u)" -eq 0 ]; }
as_root() { is_root || printf 'sudo '; }

# package TOOL MANAGER: the packages that bring it.
package() {
  case $2:$1 in
    apt:compiler) printf 'g++' ;;
    dnf:compiler) printf 'gcc-c++' ;;
    apt:highway) printf 'libhwy-dev' ;;
    dnf:highway) printf 'highway-devel' ;;
    brew:highway) printf 'highway' ;;
    apt:eigen) printf 'libeigen3-dev' ;;
    dnf:eigen) printf 'eigen3-devel' ;;
    apt:ninja | dnf:ninja) printf 'ninja-build' ;;
    apt:pip | dnf:pip) printf 'python3-pip' ;;
    brew:pip) printf 'python' ;;
    apt:vulkan) printf 'libvulkan1' ;;
    dnf:vulkan) printf 'vulkan-loader' ;;
    apt:lavapipe | dnf:lavapipe) printf 'mesa-vulkan-drivers' ;;
    apt:llvm_objdump | dnf:llvm_objdump) printf 'llvm' ;;
    apt:clang_format) printf 'clang-format-14' ;;
    dnf:clang_format) printf 'clang-tools-extra' ;;
    brew:clang_format) printf 'llvm@14' ;;
    dnf:shellcheck) printf 'ShellCheck' ;;
    *) printf '%s' "$1" ;;
  esac
}

missing_tools() { # TOOL...: leaves what is not there in missing and in titles
  local tool
  missing=() titles=
  for tool in "$@"; do
    if ! "have_$tool"; then
      missing+=("$tool")
      titles="$titles${titles:+, }$(tool_title "$tool")"
    fi
  done
  [ ${#missing[@]} -gt 0 ]
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  dpkg --configure -a && # an installation that was interrupted stands in the way of the next
    apt-get update && apt-get install -y --no-install-recommends "$@"
}

# require_tools TOOL...
require_tools() {
  local manager tool packages=()
  missing_tools "$@" || return 0
  manager=$(package_manager)
  for tool in "${missing[@]}"; do packages+=("$(package "$tool" "$manager")"); done
  if [ "$manager" = apt ] && is_root; then
    quietly "Missing: $titles. Installing ${packages[*]} with apt-get" "$state/apt.log" apt_install "${packages[@]}" ||
      die 3 "apt-get could not install ${packages[*]}; install by hand: $titles."
    hash -r
    missing_tools "$@" || return 0
    # An older release's archive can stop below what is needed; pip has a current CMake for every platform.
    [ "${missing[*]}" != cmake ] || die 3 "this release's CMake is older than $cmake_oldest; install one with: python3 -m pip install cmake"
    die 3 "still missing after the installation: $titles."
  fi
  case $manager in
    apt) die 3 "missing: $titles; install with: $(as_root)apt-get install ${packages[*]}" ;;
    dnf) die 3 "missing: $titles; install with: $(as_root)dnf install ${packages[*]}" ;;
    brew)
      # Apple's compiler is no formula, and without it Homebrew installs nothing either.
      [ "${missing[0]}" != compiler ] || die 3 "missing: $titles; start with: xcode-select --install"
      die 3 "missing: $titles; install with: brew install ${packages[*]}"
      ;;
    *) die 3 "missing: $titles; install with this system's package manager." ;;
  esac
}
