// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Seed;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.Engine.QuantizeCall;
import dev.nearfield.internal.plain.JavaEngine;
import java.lang.foreign.MemorySegment;
import java.math.BigDecimal;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Codes by the definition of nf_quantize, with the same bytes from each engine. */
class QuantizeTest {
  static List<Engine> engines() {
    return List.of(new JavaEngine(), EngineTest.open("cpu"));
  }

  record Quantized(byte[] bytes, short[] words, float[] scales, float[] errors) {}

  private static Quantized quantize(Engine engine, float[] rows, int dim, boolean int8) {
    int count = rows.length / dim;
    Quantized out =
        new Quantized(
            new byte[rows.length], new short[rows.length], new float[count], new float[count]);
    engine.quantize(
        new QuantizeCall(
            MemorySegment.ofArray(rows),
            count,
            dim,
            int8,
            int8 ? MemorySegment.ofArray(out.bytes) : MemorySegment.ofArray(out.words),
            int8 ? MemorySegment.ofArray(out.scales) : null,
            MemorySegment.ofArray(out.errors)),
        CallControl.NONE);
    return out;
  }

  /** Rows of every size a float has, and such that tie between two codes. */
  private static float[] rows(Random random, int count, int dim) {
    float[] rows = new float[count * dim];
    for (int i = 0; i < count; i++) {
      float size = Math.scalb(1f, random.nextInt(-149, 50)); // 2^62 is the longest
      int kind = random.nextInt(4);
      for (int d = 0; d < dim; d++) {
        rows[i * dim + d] =
            switch (kind) {
              case 0 -> (float) random.nextGaussian() * size;
              case 1 -> (random.nextInt(255) - 127) * size / 2;
              case 2 -> random.nextInt(3) == 0 ? size : 0;
              default -> 0;
            };
      }
    }
    return rows;
  }

  @ParameterizedTest
  @MethodSource("engines")
  void codesAreThoseOfTheDefinitionAndErrorsBound(Engine engine) {
    Seed seed = new Seed("QuantizeTest#codesAreThoseOfTheDefinitionAndErrorsBound");
    try (engine) {
      for (int dim : new int[] {1, 2, 7, 33, 384}) {
        float[] rows = rows(seed.random(dim), 200, dim);
        Quantized int8 = quantize(engine, rows, dim, true);
        Quantized bf16 = quantize(engine, rows, dim, false);
        for (int i = 0; i < 200; i++) {
          String where = "dim " + dim + ", row " + i + ", " + seed;
          float largest = 0;
          for (int d = 0; d < dim; d++) {
            largest = Math.max(largest, Math.abs(rows[i * dim + d]));
          }
          float scale = Math.max(largest / 127, 0x1p-100f);
          assertEquals(scale, int8.scales[i], where);
          float reciprocal = 1 / scale;
          float[] decoded = new float[dim];
          float[] halves = new float[dim];
          for (int d = 0; d < dim; d++) {
            float x = rows[i * dim + d];
            int code = (int) Math.max(-127, Math.min(127, Math.rint(x * reciprocal)));
            assertEquals(code, int8.bytes[i * dim + d], where);
            decoded[d] = int8.bytes[i * dim + d] * scale;
            halves[d] = Float.intBitsToFloat(bf16.words[i * dim + d] << 16);
            assertTrue(isNearest(x, halves[d]), x + " became " + halves[d] + ", " + where);
          }
          checkError(rows, i * dim, decoded, int8.errors[i], where);
          checkError(rows, i * dim, halves, bf16.errors[i], where);
        }
      }
    }
  }

  /** bfloat16 has 8 bits: the nearest is no farther than the two beside it, or is even. */
  private static boolean isNearest(float x, float half) {
    int bits = Float.floatToRawIntBits(half);
    double here = Math.abs((double) x - half);
    double above = Math.abs((double) x - Float.intBitsToFloat(bits + 0x10000));
    double below =
        bits << 1 == 0 ? here : Math.abs((double) x - Float.intBitsToFloat(bits - 0x10000));
    boolean even = (bits >>> 16 & 1) == 0;
    return here < Math.min(above, below) || here <= Math.min(above, below) && even;
  }

  /** In exact arithmetic: never below the true length, and above by little more than roundings. */
  private static void checkError(float[] rows, int at, float[] decoded, float error, String where) {
    BigDecimal sum = BigDecimal.ZERO;
    for (int d = 0; d < decoded.length; d++) {
      BigDecimal off = new BigDecimal(rows[at + d]).subtract(new BigDecimal(decoded[d]));
      sum = sum.add(off.multiply(off));
    }
    BigDecimal told = new BigDecimal(error);
    assertTrue(told.multiply(told).compareTo(sum) >= 0, error + " is too small, " + where);
    if (sum.signum() == 0) {
      assertEquals(0, error, where);
    } else {
      // One step of a float, and the roundings of a sum in f64 that a bound must allow for.
      BigDecimal most = new BigDecimal(Math.nextDown(error) * (1 - 1e-9));
      assertTrue(most.multiply(most).compareTo(sum) <= 0, error + " is too large, " + where);
    }
  }

  @ParameterizedTest
  @MethodSource("engines")
  void everyEngineGivesTheSameBytes(Engine engine) {
    Seed seed = new Seed("QuantizeTest#everyEngineGivesTheSameBytes");
    try (engine) {
      for (int dim : new int[] {1, 3, 16, 100, 1024}) {
        float[] rows = rows(seed.random(dim), 100, dim);
        for (boolean int8 : new boolean[] {true, false}) {
          Quantized plain = quantize(new JavaEngine(), rows, dim, int8);
          Quantized other = quantize(engine, rows, dim, int8);
          String where = "dim " + dim + ", int8 " + int8 + ", " + seed;
          assertArrayEquals(plain.bytes, other.bytes, where);
          assertArrayEquals(plain.words, other.words, where);
          assertArrayEquals(plain.scales, other.scales, where);
          assertArrayEquals(plain.errors, other.errors, where);
        }
      }
    }
  }
}
