#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Regenerates the Java bindings from nearfield.h and includes.txt.
#   JEXTRACT=/path/to/jextract bindings/generate.sh [options of jextract, such as -I DIR for clang's own headers]
# The result is committed; `git status bindings` afterwards shows whether it was up to date.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
jextract=${JEXTRACT:-jextract}
if ! command -v "$jextract" >/dev/null; then
  echo "bindings/generate.sh: jextract not found at [$jextract]; set JEXTRACT to one built from github.com/openjdk/jextract" >&2
  exit 3
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/../native/include/nearfield/nearfield.h" "$work"
cd "$work" # a relative header name keeps this machine's paths out of the output
# One set of bindings for every platform: with a target whose int64_t is `long long`, nothing depends on the size of `long`;
# freestanding takes stdint.h from clang itself, so the C library of this machine has no say either.
printf '%s\n' -Wno-macro-redefined -ffreestanding --target=arm64-apple-macosx13 >compile_flags.txt

# A declaration added to the header but not to includes.txt would silently stay without a binding.
"$jextract" "$@" --dump-includes all.txt nearfield.h 2>/dev/null
sed -n 's/ *# header: nearfield\.h$//p; s/ *# header: .*\/nearfield\.h$//p' all.txt >declared.txt
if [ ! -s declared.txt ]; then
  echo "bindings/generate.sh: jextract found nothing in nearfield.h" >&2
  exit 1
fi
missing=$(grep -vE ' (nf_get_api|nf_context|nf_index)$' declared.txt | grep -vxFf "$here/includes.txt" || true)
if [ -n "$missing" ]; then
  printf 'bindings/generate.sh: not in includes.txt:\n%s\n' "$missing" >&2
  exit 1
fi

target=$here/src/main/java
rm -rf "$target/dev/nearfield/ffi" # files of removed declarations would survive otherwise
"$jextract" "$@" @"$here/includes.txt" --target-package dev.nearfield.ffi --output "$target" nearfield.h

# jextract always defines C_LONG with the size it has on this machine, and its class initializer fails on platforms with the
# other size. Nothing uses it, so it goes.
shared=$target/dev/nearfield/ffi/nearfield_h\$shared.java
sed -i.orig '/ C_LONG = /d' "$shared"
rm "$shared.orig"
if grep -rwn C_LONG "$target/dev/nearfield/ffi"; then
  echo "bindings/generate.sh: a declaration uses long, whose size depends on the platform; see above" >&2
  exit 1
fi
