# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The part of ./nearfield test about what is shipped: the libraries of the dist presets and the jars, as an application meets them.

# dist_platform: this machine's, as the presets are called; nothing where none is shipped.
dist_platform() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) printf 'linux-x86_64' ;;
    Linux-aarch64 | Linux-arm64) printf 'linux-aarch_64' ;;
  esac
}

# The folder that Maven deploys to, in place of a repository that others read.
readonly package_repository=$state/repository

# shipped_libraries PLATFORM THOROUGH: builds them, looks into the files and runs the suite on them.
shipped_libraries() {
  local preset=dist-$1 start=$SECONDS extent=()
  [ -n "$2" ] || extent=(--smoke)
  if ! quietly "Building the shipped libraries ($preset)" "$state/build-$preset.log" configure_and_build "$preset" nearfield_jars; then
    record "Shipped libraries" "$start" 0 1
    return
  fi
  counted_tests "Shipped libraries: files" "$state/library-files.log" python3 "$root/packaging/library_test.py" "$root/build/$preset/jar"
  counted_tests "Shipped libraries: loops in registers" "$state/library-loops.log" cmake --build "$root/build/$preset" --target nearfield_cpu_loops
  # The suite of the other compiler, through the C ABI: every case on the CPU (a few by hand), a few on the
  # GPU, whose kernels are the same text.
  counted_tests "Shipped libraries: suite on cpu" "$state/library-cpu.log" \
    "$root/build/release/bin/nearfield_suite" --lib-dir "$root/build/$preset/lib" --backend cpu "${extent[@]}"
  counted_tests "Shipped libraries: suite on wgpu" "$state/library-wgpu.log" \
    "$root/build/release/bin/nearfield_suite" --lib-dir "$root/build/$preset/lib" --backend wgpu,wgpu+lavapipe --smoke
}

# packaged_speed: about 10 s of both libraries in turns, where there are both. What it prints is information and no test: only that it could
# be measured counts.
packaged_speed() {
  [ -n "$(dist_platform)" ] || return 0
  one "Shipped libraries: speed, for information" "$state/packaged-speed.log" \
    python3 "$root/bench/driver" flat --library packaged --local --peers none --rows 100000 --dim 128 --batch 480 --seconds 2 --out "$state/packaged-speed.txt"
  if [ -s "$state/packaged-speed.txt" ]; then
    speed="  The packaged library beside a local build, for information (100,000 x 128, batch 480):"$'\n'$(sed 's/^/    /' "$state/packaged-speed.txt")$'\n'
  fi
}

# macos_libraries: builds the libraries of Macs here, and looks into them.
macos_libraries() {
  local platform start=$SECONDS
  for platform in osx-aarch_64 osx-x86_64; do
    if ! quietly "Building the libraries of Macs (dist-$platform)" "$state/build-dist-$platform.log" \
      configure_and_build "dist-$platform" nearfield_jars; then
      record "Libraries of Macs" "$start" 0 1
      return
    fi
    counted_tests "Libraries of Macs: files ($platform)" "$state/library-files-$platform.log" \
      python3 "$root/packaging/library_test.py" "$root/build/dist-$platform/jar"
    counted_tests "Libraries of Macs: loops in registers ($platform)" "$state/library-loops-$platform.log" \
      cmake --build "$root/build/dist-$platform" --target nearfield_cpu_loops
  done
  counted_tests "Metal: unknown symbols, grammar of kernels" "$state/metal-checks.log" \
    cmake --build "$root/build/dist-osx-aarch_64" --target nearfield_metal_checks
}

# package_tests LEVEL THOROUGH: the Java tests and packages in any case, what needs shipped libraries where there are some; where THOROUGH is
# not empty the libraries of Macs too, which take six minutes on two cores, and every case on the shipped library of the CPU.
package_tests() {
  local platform
  platform=$(dist_platform)
  if [ -n "$platform" ]; then
    rm -f "$state/packaged-speed.txt"
    shipped_libraries "$platform" "$2"
    [ -z "$2" ] || macos_libraries
  fi
  rm -rf "$package_repository"
  # As `mvn verify`, with every artifact in package_repository afterwards.
  java_tests "Java (mvn deploy, into a folder)" -Dspotless.check.skip=true -Dmaven.install.skip=true \
    "-DaltDeploymentRepository=build::file://${package_repository// /%20}" deploy
  if [ -n "$platform" ]; then
    counted_tests "Applications that depend on Nearfield" "$state/consumers.log" \
      python3 "$root/packaging/consumer/test.py" "$package_repository"
    if [ "$1" = full ]; then
      counted_tests "Libraries and jars built twice" "$state/reproducible.log" "$root/packaging/reproducible_test.sh" "$platform" osx-aarch_64
    fi
  else
    say "No libraries are shipped for $(uname -s) $(uname -m): the tests of native jars are skipped"
    record "Native jars" "$SECONDS" 0 0 1
  fi
}
