// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import static org.junit.jupiter.api.Assertions.fail;

import java.nio.file.Files;
import java.nio.file.Path;

/** What CMake builds for the Java tests. A missing part fails the test: nothing is skipped. */
public final class NativeBuild {
  private NativeBuild() {}

  public static Path program(String name) {
    return require("bin/" + name);
  }

  /** A backend: cpu, wgpu, or the slow planted one of kernels-test. */
  public static Path backend(String name) {
    return require("lib/" + System.mapLibraryName("nearfield_" + name));
  }

  /** A library of bindings/test that misbehaves on purpose. */
  public static Path fixture(String name) {
    return require("lib/fixtures/" + System.mapLibraryName("fixture_" + name));
  }

  private static Path require(String relative) {
    String build = System.getProperty("nearfield.test.native.build");
    if (build == null) {
      return fail(
          "system property nearfield.test.native.build is not set; run the tests through Maven");
    }
    Path path = Path.of(build, relative);
    if (!Files.isRegularFile(path)) {
      return fail(
          "[%s] is missing; build it with: cmake --preset release && cmake --build --preset release"
              .formatted(path));
    }
    return path;
  }
}
