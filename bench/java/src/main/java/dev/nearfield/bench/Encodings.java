// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.IndexStats;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What an index is scanned by. By reflection, because the worker is compiled against earlier
 * versions of the API as well, which have f32 alone.
 */
final class Encodings {
  static final String F32 = "f32";
  private static final Map<String, String> NAMES = Map.of(F32, "F32", "i8", "INT8");

  /** An index fits its codes by itself when it has so many vectors, and not before. */
  private static final int FITTED_FROM = 10_000;

  private static final long PATIENCE_NANOS = 120_000_000_000L;

  private Encodings() {}

  static void choose(AcceleratedVectorIndex.Builder builder, String scanDtype) {
    String name = NAMES.get(scanDtype);
    if (name == null) {
      throw new IllegalArgumentException(
          "command: scan_dtype=[%s] is neither f32 nor i8".formatted(scanDtype));
    }
    Class<?> type = type();
    if (type == null && scanDtype.equals(F32)) {
      return;
    }
    if (type == null) {
      throw new UnsupportedOperationException(
          "command: scan_dtype=[%s], this version of the API has f32 alone".formatted(scanDtype));
    }
    for (Object encoding : type.getEnumConstants()) {
      if (encoding.toString().equals(name)) {
        call(AcceleratedVectorIndex.Builder.class, "encoding", builder, type, encoding);
      }
    }
  }

  /** Waits until the codes are fitted to the {@code rows} vectors that were added. */
  static void awaitFit(AcceleratedVectorIndex index, int rows, String scanDtype)
      throws InterruptedException {
    if (scanDtype.equals(F32) || rows < FITTED_FROM) {
      return;
    }
    long start = System.nanoTime();
    while ((Long) call(IndexStats.class, "trainings", index.stats(), null, null) == 0) {
      if (System.nanoTime() - start > PATIENCE_NANOS) {
        throw new IllegalStateException(
            "load: the codes of %d vectors are not fitted after %d s"
                .formatted(rows, PATIENCE_NANOS / 1_000_000_000L));
      }
      Thread.sleep(1);
    }
  }

  private static @Nullable Class<?> type() {
    try {
      return Class.forName("dev.nearfield.Encoding");
    } catch (ClassNotFoundException e) {
      return null;
    }
  }

  private static Object call(
      Class<?> of, String method, Object on, @Nullable Class<?> type, @Nullable Object argument) {
    try {
      return type == null
          ? of.getMethod(method).invoke(on)
          : of.getMethod(method, type).invoke(on, argument);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("command: the API's %s: %s".formatted(method, e), e);
    }
  }
}
