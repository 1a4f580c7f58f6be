#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Packs what ./nearfield prove needs on a machine where nothing can be built or installed, into build/carry: libraries, programs, the Java
# classes, a Java runtime made by jlink, the Vulkan loader. Run it where Nearfield builds, on the same kind of processor.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
# shellcheck source=launcher/common.sh
. "$root/launcher/common.sh"
# shellcheck source=launcher/jdk.sh
. "$root/launcher/jdk.sh"
# shellcheck source=launcher/tools.sh
. "$root/launcher/tools.sh"
# shellcheck source=launcher/build.sh
. "$root/launcher/build.sh"

readonly carry=$root/build/carry
readonly most_kib=$((60 * 1024)) # a lent machine may take no more than 64 MiB, the checkout included

pack_native() {
  local file
  mkdir -p "$carry/lib" "$carry/bin"
  for file in "$root"/build/release/lib/lib*; do
    case $file in
      *planted* | *simt*) ;; # of tests that need no GPU
      *) if [ -f "$file" ]; then cp "$file" "$carry/lib"; fi ;;
    esac
  done
  cp "$root/build/release/bin/nearfield_suite" "$root/build/release/bin/nearfield_bench" "$carry/bin"
  strip --strip-unneeded "$carry"/lib/* "$carry"/bin/*
  cp -r "$root/build/release/prove" "$carry"
}

# Of Eigen the headers that are used, since a library that is built on the machine itself fits its GPU.
pack_eigen() {
  local folder file
  folder=$(sed -n 's/^NEARFIELD_EIGEN_INCLUDE:[A-Z]*=//p' "$root/build/release/CMakeCache.txt")
  "${CXX:-c++}" -std=c++20 -M -I"$folder" -x c++ - <<<$'#include <Eigen/Eigenvalues>\n#include <Eigen/QR>' | tr '[:space:]' '\n' |
    sed -n "s|^$folder/||p" | while read -r file; do
    mkdir -p "$carry/eigen/${file%/*}"
    cp "$folder/$file" "$carry/eigen/$file"
  done
}

pack_java() {
  local modules
  mkdir -p "$carry/java"
  "$JAVA_HOME/bin/jar" --create --date=2000-01-01T00:00:00Z --file "$carry/java/nearfield.jar" -C "$root/java-api/target/classes" .
  "$JAVA_HOME/bin/jar" --create --date=2000-01-01T00:00:00Z --file "$carry/java/nearfield-bench.jar" -C "$root/bench/java/target/classes" dev/nearfield/bench
  # Missing is what only compilers read: annotations.
  modules=$("$JAVA_HOME/bin/jdeps" --ignore-missing-deps --print-module-deps "$carry"/java/*.jar)
  "$JAVA_HOME/bin/jlink" --add-modules "$modules" --strip-debug --no-header-files --no-man-pages --compress zip-9 --output "$carry/jre"
  strip --strip-unneeded "$carry"/jre/lib/*.so "$carry/jre/lib/server/libjvm.so" # half of the JVM is symbols
}

# The loader, and what NVIDIA's Vulkan driver may load beside it (GLVND), are no part of a driver, and often missing on machines for
# computing.
pack_vulkan() {
  local name file
  mkdir -p "$carry/vulkan"
  for name in libvulkan.so.1 libEGL.so.1 libGLdispatch.so.0 libOpenGL.so.0 libGL.so.1 libGLX.so.0 libGLESv2.so.2; do
    file=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p | sed -n "s/^[[:space:]]*$name (.*x86-64.*) => //p" | head -n 1)
    if [ -n "$file" ]; then
      cp -L "$file" "$carry/vulkan/$name"
    else
      say "Without $name, which is not here: ./nearfield prove may leave out wgpu"
    fi
  done
}

require_jdk
require_tools compiler cmake ninja highway eigen maven pip
native native-all "" all
java_module bench/java "$java_sources bench/java/pom.xml bench/java/src" bench/java/target/classpath.txt
[ -f "$root/build/release/lib/libnearfield_cuda.so" ] || die 1 "carry: build/release/lib has no libnearfield_cuda.so; CMake's output says why"

rm -rf "$carry"
mkdir -p "$carry"
pack_native
pack_eigen
pack_java
pack_vulkan
commit=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null || printf unknown)
[ -z "$(git -C "$root" status --porcelain -uno 2>/dev/null)" ] || commit="$commit with local changes"
printf '%s\n' "$commit" >"$carry/commit"
# Git does not travel: by this, prove tells whether the sources there are still those of the commit.
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/prove:$root/bench/driver python3 -c 'import surroundings; print(surroundings.digest())' >"$carry/digest"

du -sh "$carry"/* >&2
size=$(du -sk "$carry" | cut -f 1)
[ "$size" -le "$most_kib" ] || die 1 "carry: build/carry takes $size KiB, at most $most_kib can be carried"
say "Packed: build/carry, $((size / 1024)) MiB, at $commit. There: ./nearfield prove --build build/carry"
