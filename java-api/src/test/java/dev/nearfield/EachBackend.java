// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.fail;

import java.util.Arrays;
import org.junit.jupiter.api.Assumptions;

/** The backends a test runs on. */
final class EachBackend {
  private EachBackend() {}

  /**
   * The first device of a backend. The cpu and java backends are always there, or the test fails.
   * Another one may be absent: then the test counts as skipped with the reason, or as failed when
   * NEARFIELD_REQUIRE names the backend, as in {@code wgpu} or {@code wgpu+lavapipe}.
   */
  static Device device(String name) {
    try {
      return Accelerators.device(name);
    } catch (BackendUnavailableException e) {
      String required = System.getenv().getOrDefault("NEARFIELD_REQUIRE", "");
      boolean optional =
          !name.equals("cpu")
              && Arrays.stream(required.split("[, ]+"))
                  .noneMatch(entry -> entry.equals(name) || entry.startsWith(name + "+"));
      Assumptions.assumeFalse(optional, e.getMessage());
      return fail(e.getMessage() + "\n" + Accelerators.report());
    }
  }
}
