// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.nearfield.internal.index.IndexBuilder;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** A backend that this machine has, for tests that run on each; a software GPU counts. */
record TestBackend(BackendKind kind) {
  /**
   * Aborts the test when the backend is absent, naming why, and fails it when {@code
   * NEARFIELD_REQUIRE} lists the backend: {@code cpu}, {@code wgpu}, {@code cuda}, {@code
   * wgpu+lavapipe} or {@code cuda+simt}.
   */
  static TestBackend require(BackendKind kind) {
    for (BackendStatus status : Accelerators.probe()) {
      if (status.kind() == kind) {
        switch (status) {
          case BackendStatus.Available available -> {
            return new TestBackend(kind);
          }
          case BackendStatus.Unavailable absent -> absent(kind, absent.toString());
        }
      }
    }
    return absent(kind, "not probed");
  }

  private static TestBackend absent(BackendKind kind, String reason) {
    String required = System.getenv().getOrDefault("NEARFIELD_REQUIRE", "");
    List<String> names = Arrays.asList(required.toLowerCase(Locale.ROOT).split("[,+]"));
    String message = "ABSENT " + kind.id() + ": " + reason;
    System.out.println(message);
    return names.contains(kind.id()) ? fail(message) : abort(message);
  }

  AcceleratedVectorIndex.Builder builder(int dimension, Metric metric) {
    return AcceleratedVectorIndex.builder(dimension, metric).backend(kind);
  }

  /**
   * An index that takes at most so many rows at a time, so that much falls between two steps, and
   * fits its codes to few.
   */
  AcceleratedVectorIndex.Builder builder(int dimension, Metric metric, int stepRows) {
    return ((IndexBuilder) builder(dimension, metric)).stepRows(stepRows).codedFrom(40);
  }

  /** Rounds of a random test: a software GPU is some ten times slower. */
  int rounds(int usual) {
    return kind == BackendKind.WGPU ? Math.max(1, usual / 2) : usual;
  }
}
