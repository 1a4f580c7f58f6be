// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Quantizer: what goes in and out; the codes themselves are tested with the engines. */
class QuantizerTest {
  private static float[][] rows(int count, int dim) {
    Random random = new Random(7);
    float[][] rows = new float[count][dim];
    for (float[] row : rows) {
      for (int d = 0; d < dim; d++) {
        row[d] = random.nextFloat() - .5f;
      }
    }
    return rows;
  }

  private static MemorySegment bytes(long count) {
    return MemorySegment.ofArray(new byte[(int) count]);
  }

  @Test
  void aSmallExample() {
    float[][] rows = {{127, -63.5f, 0.4f, 0}, {0, 0, 0, 0}, {1, .5f, -1, .25f}};
    byte[] codes = new byte[12];
    float[] scales = new float[3];
    float[] errors = new float[3];
    Quantizer.int8(
        VectorBatch.of(rows),
        MemorySegment.ofArray(codes),
        MemorySegment.ofArray(scales),
        MemorySegment.ofArray(errors));
    // .5 * 127 = 63.5 goes to the even code.
    assertArrayEquals(new byte[] {127, -64, 0, 0, 0, 0, 0, 0, 127, 64, -127, 32}, codes);
    assertArrayEquals(new float[] {1, 0x1p-100f, 1 / 127f}, scales);
    assertEquals(Math.sqrt(.25 + .16), errors[0], 1e-6);
    assertEquals(0, errors[1]);
    short[] words = new short[12];
    Quantizer.bfloat16(VectorBatch.of(rows), MemorySegment.ofArray(words), null);
    assertEquals(0x42fe, words[0]);
    assertEquals((short) 0xc27e, words[1]);
    assertEquals(0x3ecd, words[2], "0.4 is between 3ecc and 3ecd");
  }

  /** Pieces of a call, rows with gaps, and native memory of any alignment. */
  @Test
  void piecesAreAsTheWhole() {
    int dim = 1021;
    int count = 2500; // three pieces
    float[][] rows = rows(count, dim);
    byte[] codes = new byte[count * dim];
    float[] scales = new float[count];
    float[] errors = new float[count];
    Quantizer.int8(
        VectorBatch.of(rows),
        MemorySegment.ofArray(codes),
        MemorySegment.ofArray(scales),
        MemorySegment.ofArray(errors));
    byte[] one = new byte[dim];
    float[] scale = new float[1];
    float[] error = new float[1];
    for (int i : new int[] {0, 1026, 1027, 1028, 2053, 2054, 2499}) {
      Quantizer.int8(
          VectorBatch.of(new float[][] {rows[i]}),
          MemorySegment.ofArray(one),
          MemorySegment.ofArray(scale),
          MemorySegment.ofArray(error));
      assertArrayEquals(one, Arrays.copyOfRange(codes, i * dim, (i + 1) * dim));
      assertEquals(scale[0], scales[i]);
      assertEquals(error[0], errors[i]);
    }
    try (Arena arena = Arena.ofConfined()) {
      long stride = dim * 4L + 3;
      MemorySegment gaps = arena.allocate(count * stride + 1).asSlice(1);
      for (int i = 0; i < count; i++) {
        MemorySegment.copy(rows[i], 0, gaps, ValueLayout.JAVA_FLOAT_UNALIGNED, i * stride, dim);
      }
      MemorySegment out = arena.allocate((long) count * dim + 1).asSlice(1);
      MemorySegment odd = arena.allocate(count * 4L + 1).asSlice(1);
      Quantizer.int8(VectorBatch.of(gaps, count, dim, stride), out, odd, null);
      assertEquals(-1, out.mismatch(MemorySegment.ofArray(codes)));
      assertEquals(-1, odd.mismatch(MemorySegment.ofArray(scales)));
    }
  }

  @Test
  void badInputIsRefusedByName() {
    VectorBatch batch = VectorBatch.of(rows(1500, 1000));
    float[][] bad = rows(1500, 1000);
    bad[1400][17] = Float.NaN;
    assertEquals(
        "Quantizer.bfloat16: vector [1400] has [NaN] at dimension [17], only finite numbers are allowed",
        assertThrows(
                IllegalArgumentException.class,
                () -> Quantizer.bfloat16(VectorBatch.of(bad), bytes(3_000_000), null))
            .getMessage());
    assertEquals(
        "Quantizer.int8: codes of [1499999] bytes, 1500 vectors of 1000 floats need 1500000 that can be written",
        assertThrows(
                IllegalArgumentException.class,
                () -> Quantizer.int8(batch, bytes(1_499_999), bytes(6000), null))
            .getMessage());
    assertThrows(
        IllegalArgumentException.class,
        () -> Quantizer.int8(batch, bytes(1_500_000), bytes(5999), null));
    assertThrows(
        IllegalArgumentException.class,
        () -> Quantizer.int8(batch, bytes(1_500_000), bytes(6000), bytes(5999)));
    assertThrows(
        IllegalArgumentException.class, () -> Quantizer.bfloat16(batch, bytes(2_999_999), null));
    assertTrue(
        assertThrows(
                IllegalArgumentException.class,
                () -> Quantizer.bfloat16(batch, bytes(3_000_000).asReadOnly(), null))
            .getMessage()
            .contains("read-only"));
    assertThrows(
        NullPointerException.class, () -> Quantizer.int8(batch, bytes(1_500_000), null, null));
  }
}
