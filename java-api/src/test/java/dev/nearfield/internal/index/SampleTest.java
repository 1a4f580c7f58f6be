// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Encoding;
import dev.nearfield.Metric;
import dev.nearfield.VectorBatch;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.engine.FitSample;
import dev.nearfield.internal.engine.VectorCheck;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a sample that codes are fitted to may be, and what is taken of it. */
@Timeout(60)
class SampleTest {
  private static final int DIM = 2;

  private static FitSample sample(VectorBatch from) {
    VectorCheck check = new VectorCheck(Metric.L2_SQUARED, from.dimension(), 0);
    return FitSample.of("test", from, check);
  }

  private static String refused(Metric metric, float[]... sample) {
    IndexBuilder builder = new IndexBuilder(DIM, metric);
    return assertThrows(
            IllegalArgumentException.class, () -> builder.codesFittedTo(VectorBatch.of(sample)))
        .getMessage();
  }

  @Test
  void aSampleIsCheckedAtOnce() {
    float[] fine = {1, 2};
    assertEquals(
        "codesFittedTo: dimension [3], this index holds vectors of 2",
        refused(Metric.DOT, new float[3], new float[3]));
    assertEquals(
        "codesFittedTo: [1] vectors, codes are fitted to at least 2", refused(Metric.DOT, fine));
    assertEquals(
        "codesFittedTo: vector [1] has [NaN] at dimension [1], only finite numbers are allowed",
        refused(Metric.DOT, fine, new float[] {1, Float.NaN}));
    assertTrue(refused(Metric.COSINE, fine, new float[2]).contains("vector [1] has norm [0.0]"));
    assertTrue(refused(Metric.DOT, fine, new float[] {0x1p51f, 0}).contains("INT8_ONLY allows"));
    assertThrows(
        NullPointerException.class, () -> new IndexBuilder(DIM, Metric.DOT).codesFittedTo(null));
  }

  @Test
  void aSampleIsCopied() {
    float[][] mine = {{1, 2}, {3, 4}};
    FakeEngine engine = BuildingTest.alone();
    IndexBuilder builder =
        new IndexBuilder(DIM, Metric.L2_SQUARED)
            .engine(engine)
            .encoding(Encoding.INT8_ONLY)
            .codesFittedTo(VectorBatch.of(mine));
    mine[1][1] = 7;
    builder.build().close();
    FitSample given = engine.fittedTo.getFirst();
    assertEquals(2, given.count());
    assertEquals(4, given.vectors().getAtIndex(ValueLayout.JAVA_FLOAT, 3));
    assertTrue(given.vectors().isNative() && given.vectors().isReadOnly());
  }

  /** Of many vectors some are taken, from everywhere and in their order. */
  @ParameterizedTest
  @ValueSource(ints = {2, 4095, 4096, 4097, 100_000})
  void asManyAreTakenAsAFitLooksAt(int count) {
    float[][] vectors = new float[count][1];
    for (int i = 0; i < count; i++) {
      vectors[i][0] = i;
    }
    FitSample sample = sample(VectorBatch.of(vectors));
    assertEquals(Math.min(count, 4096), sample.count());
    float[] taken = sample.vectors().toArray(ValueLayout.JAVA_FLOAT);
    double stratum = (double) count / taken.length;
    for (int i = 0; i < taken.length; i++) {
      assertEquals((i + .5) * stratum, taken[i] + .5, stratum / 2 + 1, "row " + i);
      assertTrue(i == 0 || taken[i] > taken[i - 1], "row " + i);
    }
  }
}
