// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Metric;
import dev.nearfield.Seed;
import dev.nearfield.internal.engine.Engine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;

/** Steps of a stateless search: how much each does, counted. */
class JavaKnnTest {
  private static final int DIM = 16;
  private static final int ROWS = 8192;
  private static final int QUERIES = 300;
  private static final int K = 5;

  /** What a step does before it looks at the clock: two sizes of JavaKnn. */
  private static final long LEAST_WORK = 1 << 20;

  private static final long MOST_WORK = LEAST_WORK + (1 << 16);

  private final Random random = new Seed("JavaKnnTest").random(0);
  private final float[] dataset = values(ROWS);
  private final float[] queries = values(QUERIES);
  private final long[] rows = new long[QUERIES * K];
  private final float[] distances = new float[QUERIES * K];
  private final int[] counts = new int[QUERIES];

  private float[] values(int count) {
    float[] values = new float[count * DIM];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextInt(8); // so that there are ties
    }
    return values;
  }

  private Engine.Knn knn() {
    return new JavaEngine()
        .knn(
            Metric.L2_SQUARED,
            DIM,
            ROWS,
            new Engine.SearchCall(
                MemorySegment.ofArray(queries),
                QUERIES,
                K,
                List.of(),
                null,
                Float.NaN,
                MemorySegment.ofArray(rows),
                MemorySegment.ofArray(distances),
                MemorySegment.ofArray(counts)));
  }

  private MemorySegment from(long row) {
    return MemorySegment.ofArray(dataset).asSlice(row * DIM * Float.BYTES);
  }

  @Test
  void aStepIsShortAndManyGiveTheSameAnswer() {
    assertTrue(knn().step(from(0), ROWS, 0, Engine.CallControl.NONE));
    long[] expected = rows.clone();
    float[] expectedDistances = distances.clone();
    java.util.Arrays.fill(rows, -7);
    Engine.Knn knn = knn();
    int steps = 1;
    while (!knn.step(from(knn.position()), ROWS - knn.position(), 1, Engine.CallControl.NONE)) {
      steps++;
      assertEquals(-7, rows[0], "written before the end");
    }
    long work = (long) ROWS * QUERIES * DIM;
    assertTrue(steps >= work / MOST_WORK, steps + " steps");
    assertTrue(steps <= work / LEAST_WORK + 2, steps + " steps"); // the rest is little
    assertArrayEquals(expected, rows);
    assertArrayEquals(expectedDistances, distances);
  }

  @Test
  void moreRowsAreWaitedFor() {
    Engine.Knn knn = knn();
    assertFalse(knn.step(from(0), 100, 0, Engine.CallControl.NONE));
    assertEquals(100, knn.position());
    assertTrue(knn.step(from(100), ROWS - 100, 0, Engine.CallControl.NONE));
    assertEquals(ROWS, knn.position());
  }

  @Test
  void aBadRowIsNamedByItsPlaceInTheDataset() {
    Engine.Knn knn = knn();
    assertFalse(knn.step(from(0), 100, 0, Engine.CallControl.NONE));
    dataset[7000 * DIM] = Float.NaN;
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class,
            () -> knn.step(from(100), ROWS - 100, 0, Engine.CallControl.NONE));
    assertTrue(e.getMessage().contains("row [7000]"), e.getMessage());
  }

  @Test
  void theCancelWordIsReadFirst() {
    try (java.lang.foreign.Arena arena = java.lang.foreign.Arena.ofConfined()) {
      MemorySegment word = arena.allocateFrom(ValueLayout.JAVA_INT, 1);
      Engine.Knn knn = knn();
      assertThrows(
          CancellationException.class,
          () -> knn.step(from(0), ROWS, 0, new Engine.CallControl(0, word)));
      assertEquals(0, knn.position());
    }
  }
}
