// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Metric;
import dev.nearfield.Seed;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class VectorCheckTest {
  private static final float[] HARD = {
    0,
    -0f,
    1,
    -1,
    Float.NaN,
    Float.POSITIVE_INFINITY,
    Float.NEGATIVE_INFINITY,
    Float.MAX_VALUE,
    -Float.MAX_VALUE,
    0x1p54f,
    Math.nextUp(0x1p54f),
    -0x1p62f,
    0x1p-62f,
    Math.nextDown(0x1p-62f),
    -Float.MIN_VALUE
  };

  private static int[] bits(float[] values) {
    int[] bits = new int[values.length];
    Arrays.setAll(bits, i -> Float.floatToRawIntBits(values[i]));
    return bits;
  }

  /** What is fine at a glance is fine, whatever is in it. */
  @ParameterizedTest
  @EnumSource(Metric.class)
  void theGlanceNeverPassesWhatTheCheckRefuses(Metric metric) {
    Seed seed = new Seed("VectorCheckTest#theGlanceNeverPassesWhatTheCheckRefuses");
    Random random = seed.random(metric.ordinal());
    int passed = 0;
    for (int round = 0; round < 3000; round++) {
      int dim = 1 + random.nextInt(20);
      int count = 1 + random.nextInt(4);
      VectorCheck rows = new VectorCheck(metric, dim, 0);
      VectorCheck check =
          random.nextBoolean() || metric == Metric.POINCARE ? rows : rows.ofCodesAlone();
      float[] values = new float[dim * count];
      float scale = (float) Math.scalb(1.0, random.nextInt(-70, 70));
      for (int i = 0; i < values.length; i++) {
        values[i] =
            random.nextInt(60) == 0
                ? HARD[random.nextInt(HARD.length)]
                : random.nextInt(4) == 0 ? 0 : (float) random.nextGaussian() * scale;
      }
      if (check.plainlyFine(bits(values), count)) {
        passed++;
        assertDoesNotThrow(
            () -> check.checkAll("test", "vector", 0, values, count),
            () -> Arrays.toString(values) + ", " + seed);
      }
    }
    assertEquals(metric != Metric.POINCARE, passed > 0);
  }

  @ParameterizedTest
  @EnumSource(
      value = Metric.class,
      names = {"L2_SQUARED", "COSINE", "DOT", "MANHATTAN"})
  void ordinaryVectorsPassAtAGlance(Metric metric) {
    VectorCheck check = new VectorCheck(metric, 3, 0);
    assertTrue(check.plainlyFine(bits(new float[] {0, -1, 0.5f, 1e15f, 0, 0}), 2));
    assertEquals(
        metric != Metric.COSINE,
        check.plainlyFine(bits(new float[] {1, 1, 1, 0, 0, 0}), 2),
        "a zero vector");
    assertFalse(check.plainlyFine(bits(new float[] {1, Float.NaN, 1}), 1));
  }

  /** Cosine keeps the direction only. */
  @Test
  void codesAloneStandForNothingLonger() {
    float[] longest = {0x1p48f, 0};
    float[] longer = {0x1p48f, 0x1p38f};
    for (Metric metric : List.of(Metric.L2_SQUARED, Metric.DOT)) {
      VectorCheck check = new VectorCheck(metric, 2, 0).ofCodesAlone();
      check.check("test", "vector", 0, longest, 0);
      assertEquals(
          "test: vector [7] has norm ["
              + Math.sqrt(0x1p96 + 0x1p76)
              + "], INT8_ONLY allows at most "
              + 0x1p48,
          assertThrows(
                  IllegalArgumentException.class, () -> check.check("test", "vector", 7, longer, 0))
              .getMessage());
      assertFalse(check.plainlyFine(bits(longer), 1));
    }
    new VectorCheck(Metric.COSINE, 2, 0).ofCodesAlone().check("test", "vector", 0, longer, 0);
  }
}
