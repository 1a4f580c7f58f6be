#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# reproducible_test.sh PLATFORM...: builds libraries and jars a second time, from a copy of this checkout in another folder, and compares them with those that
# lie here. Jars are packed for this machine's platform, the first. JAVA_HOME names the JDK. The last line is `N passed, N failed`.
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/nearfield reproducible.XXXXXX") # the space is on purpose
trap 'rm -rf "$work"' EXIT
copy="$work/another folder"

mkdir "$copy"
tar -C "$root" --exclude=./build --exclude=./.git --exclude='target' -cf - . | tar -C "$copy" -xf -
mkdir "$copy/build"
for tool in "$root"/build/zig-*; do ln -s "$tool" "$copy/build"; done # the compilers are the same, and large
mkdir "$copy/build/cuda"
for tool in "$root"/build/cuda/toolkit-*; do ln -s "$tool" "$copy/build/cuda"; done

# The Java side after the native one, whose files it packs.
cd "$copy"
folders=()
for platform in "$@"; do
  cmake --preset "dist-$platform"
  cmake --build --preset "dist-$platform" --target nearfield_jars
  folders+=("build/dist-$platform/jar")
done
mvn -B -q -Dnative.skip=true -DskipTests -Dspotless.check.skip=true -pl java-api,packaging/native-cpu,packaging/native-cuda,packaging/native-wgpu -am package

passed=0 failed=0
while IFS= read -r file; do
  if cmp "$root/$file" "$copy/$file"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAIL $file differs"
  fi
done < <(find java-api/target packaging/*/target "${folders[@]}" \
  \( -name '*.jar' -o -name '*.so' -o -name '*.dylib' -o -name '*.json' -o -name '*.properties' \) ! -path '*/classes/*' ! -path '*/maven-archiver/*')
# Libraries, their jars and notices, and the four artifacts of java-api.
[ "$passed" -ge 12 ] || { echo "FAIL only $passed files were compared" && failed=$((failed + 1)); }
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
