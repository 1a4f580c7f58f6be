// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

class VectorBatchTest {
  private static float[] copy(VectorBatch batch, int first, int count) {
    float[] to = new float[count * batch.dimension()];
    batch.copyTo(first, count, MemorySegment.ofArray(to));
    return to;
  }

  @Test
  void arraysAreCopiedRowByRow() {
    VectorBatch batch = VectorBatch.of(new float[][] {{1, 2}, {3, 4}, {5, 6}});
    assertEquals(3, batch.size());
    assertEquals(2, batch.dimension());
    assertEquals(24, batch.byteSize());
    assertArrayEquals(new float[] {3, 4, 5, 6}, copy(batch, 1, 2));
  }

  @Test
  void segmentsAreCopiedWithTheirStrideAndWithoutAlignment() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment segment = arena.allocate(40).asSlice(1); // odd address
      for (int i = 0; i < 3; i++) {
        segment.set(ValueLayout.JAVA_FLOAT_UNALIGNED, i * 13L, i);
        segment.set(ValueLayout.JAVA_FLOAT_UNALIGNED, i * 13L + 4, 10 + i);
      }
      VectorBatch strided = VectorBatch.of(segment, 3, 2, 13);
      assertArrayEquals(new float[] {0, 10, 1, 11, 2, 12}, copy(strided, 0, 3));
      assertArrayEquals(new float[] {2, 12}, copy(strided, 2, 1));
      VectorBatch packed = VectorBatch.of(MemorySegment.ofArray(new float[] {7, 8, 9}), 3, 1, 4);
      assertArrayEquals(new float[] {8, 9}, copy(packed, 1, 2));
    }
  }

  @Test
  void laterChangesOfTheOuterArrayAreNotSeen() {
    float[][] rows = {{1}, {2}};
    VectorBatch batch = VectorBatch.of(rows);
    rows[1] = new float[0];
    assertArrayEquals(new float[] {1, 2}, copy(batch, 0, 2));
  }

  @Test
  void badShapesAreRefused() {
    assertMessage("[0] rows", () -> VectorBatch.of(new float[0][]));
    assertMessage("dimension [0]", () -> VectorBatch.of(new float[2][0]));
    assertMessage("row [1] has [1] floats", () -> VectorBatch.of(new float[][] {{1, 2}, {3}}));
    MemorySegment segment = MemorySegment.ofArray(new float[6]);
    assertMessage("[0] rows", () -> VectorBatch.of(segment, 0, 2, 8));
    assertMessage("dimension [-1]", () -> VectorBatch.of(segment, 1, -1, 8));
    assertMessage("stride [7]", () -> VectorBatch.of(segment, 1, 2, 7));
    assertMessage("segment of [24]", () -> VectorBatch.of(segment, 4, 2, 8));
    assertMessage("segment of [24]", () -> VectorBatch.of(segment, 2, 2, Long.MAX_VALUE));
    assertMessage("segment of [24]", () -> VectorBatch.of(segment, 1, Integer.MAX_VALUE, 1L << 40));
    VectorBatch.of(segment, 3, 2, 8);
    assertThrows(NullPointerException.class, () -> VectorBatch.of(new float[][] {{1}, null}));
  }

  @Test
  void copiesOutsideTheBatchOrTheTargetAreRefused() {
    VectorBatch batch = VectorBatch.of(new float[][] {{1, 2}, {3, 4}});
    MemorySegment small = MemorySegment.ofArray(new float[3]);
    assertThrows(IndexOutOfBoundsException.class, () -> batch.copyTo(1, 2, small));
    assertThrows(IndexOutOfBoundsException.class, () -> batch.copyTo(-1, 1, small));
    assertThrows(IndexOutOfBoundsException.class, () -> batch.copyTo(0, 2, small));
  }

  private static void assertMessage(String part, Runnable action) {
    String message = assertThrows(IllegalArgumentException.class, action::run).getMessage();
    assertEquals(true, message.contains(part), message);
  }
}
