// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Encoding;
import dev.nearfield.Metric;
import dev.nearfield.NativeCallException;
import dev.nearfield.Seed;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.Engine.IndexOptions;
import dev.nearfield.internal.engine.Engine.Reach;
import dev.nearfield.internal.engine.Engine.SearchCall;
import dev.nearfield.internal.engine.EngineIndex.Lists;
import dev.nearfield.internal.engine.EngineIndex.TrainStep;
import dev.nearfield.internal.engine.EngineIndex.Training;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;

/** Lists of the CPU library, as the engine sees them. */
class EngineListsTest {
  private static final CallControl NONE = CallControl.NONE;
  private static final int DIM = 8;
  private static final int ROWS = 20_000;
  private static final int LISTS = 12;
  private static final Training TRAINING = new Training(null, LISTS, 3, 0, 1);

  private final MemorySegment rows = rows(new Seed("EngineListsTest").random(0));

  private static MemorySegment rows(Random random) {
    float[] values = new float[ROWS * DIM];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return MemorySegment.ofArray(values);
  }

  private EngineIndex filled(Engine engine) {
    EngineIndex index =
        engine.createIndex(
            new IndexOptions(DIM, Metric.L2_SQUARED, 0, 0, 0, Encoding.F32, 0), NONE);
    index.add(rows, ROWS, NONE);
    return index;
  }

  private record Found(long[] rows, int scanned) {}

  /** The nearest of the first row, among two lists. */
  private Found search(EngineIndex index) {
    long[] found = new long[10];
    int[] scanned = new int[1];
    index.search(
        new SearchCall(
            rows.asSlice(0, DIM * Float.BYTES),
            1,
            found.length,
            List.of(),
            null,
            Float.NaN,
            false,
            0,
            new Reach(2, 0),
            MemorySegment.ofArray(found),
            MemorySegment.ofArray(new float[found.length]),
            MemorySegment.ofArray(new int[1]),
            null,
            null,
            MemorySegment.ofArray(scanned),
            null),
        NONE);
    return new Found(found, scanned[0]);
  }

  @Test
  void listsGoFromIndexToIndex() {
    try (Engine engine = EngineTest.open("cpu");
        EngineIndex from = filled(engine);
        EngineIndex to = filled(engine)) {
      assertNull(from.readLists(NONE));
      assertEquals(0, search(from).scanned());
      assertTrue(from.trainStep(TRAINING, 0, 0, NONE).done());
      Lists lists = from.readLists(NONE);
      assertNotNull(lists);
      assertEquals(LISTS, lists.count());
      assertEquals(ROWS, lists.rows());
      long[] sizes = new long[LISTS];
      for (int row = 0; row < ROWS; row++) {
        sizes[lists.listOfRow().getAtIndex(ValueLayout.JAVA_INT, row)]++;
      }
      EngineIndex.ListSizes told = from.info().lists();
      assertEquals(LISTS, told.count());
      assertEquals(Arrays.stream(sizes).min().getAsLong(), told.smallest());
      assertEquals(Arrays.stream(sizes).max().getAsLong(), told.largest());
      to.writeLists(lists, NONE);
      assertEquals(told, to.info().lists());
      assertEquals(2, search(to).scanned());
      assertArrayEquals(search(from).rows(), search(to).rows());
      assertEquals(-1, lists.listOfRow().mismatch(to.readLists(NONE).listOfRow()));
    }
  }

  /** A training holds a second copy of the rows, and must not once nobody wants it. */
  @Test
  void aCancelledTrainingGivesItsMemoryBack() {
    try (Engine engine = EngineTest.open("cpu");
        EngineIndex index = filled(engine);
        Arena arena = Arena.ofConfined()) {
      long bytes = index.info().deviceBytes();
      TrainStep step = new TrainStep(0, false);
      while (index.info().deviceBytes() == bytes) {
        step = index.trainStep(TRAINING, step.position(), 1, NONE);
        assertTrue(!step.done(), "all rows are in lists, and none was copied");
      }
      CallControl cancelled = new CallControl(0, arena.allocateFrom(ValueLayout.JAVA_INT, 1));
      long position = step.position();
      assertThrows(
          CancellationException.class, () -> index.trainStep(TRAINING, position, 1, cancelled));
      assertEquals(bytes, index.info().deviceBytes());
      assertEquals(0, index.info().lists().count());
      assertTrue(index.trainStep(TRAINING, 0, 0, NONE).done());
    }
  }

  @Test
  void listsAreMadeWhereTheyAreSupported() {
    try (Engine engine = EngineTest.open("cpu")) {
      for (Metric metric : Metric.values()) {
        boolean possible = engine.supportsLists(metric);
        assertEquals(metric != Metric.MANHATTAN, possible, metric.name());
        IndexOptions options = new IndexOptions(DIM, metric, 0, 0, 0, Encoding.F32, 5);
        if (possible) {
          engine.createIndex(options, NONE).close();
        } else {
          assertThrows(NativeCallException.class, () -> engine.createIndex(options, NONE));
        }
      }
      try (EngineIndex flat =
          engine.createIndex(new IndexOptions(DIM, Metric.DOT, 0, 0, 0), NONE)) {
        assertNull(flat.readLists(NONE));
      }
    }
  }
}
