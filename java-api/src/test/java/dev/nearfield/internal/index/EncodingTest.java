// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendUnavailableException;
import dev.nearfield.Encoding;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorBatch;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.plain.JavaEngine;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which index has codes, and which searches by codes go together. */
@Timeout(60)
class EncodingTest {
  private final FakeEngine engine = new FakeEngine();

  private Encoding built(boolean codes, Metric metric, Encoding asked, long expected, long budget) {
    engine.codes = codes;
    IndexBuilder builder =
        new IndexBuilder(32, metric).engine(engine).encoding(asked).expectedVectors(expected);
    if (budget > 0) {
      builder.deviceMemoryBudget(budget);
    }
    try (AcceleratedVectorIndex index = builder.build()) {
      assertEquals(index.placement().encoding(), index.stats().encoding());
      return index.placement().encoding();
    }
  }

  @Test
  void autoTakesCodesWhereTheyPay() {
    for (Metric metric : Metric.values()) {
      boolean possible = metric != Metric.MANHATTAN;
      assertEquals(
          possible ? Encoding.INT8 : Encoding.F32, built(true, metric, Encoding.AUTO, 0, 0));
      assertEquals(Encoding.F32, built(false, metric, Encoding.AUTO, 0, 0));
      assertEquals(Encoding.F32, built(true, metric, Encoding.F32, 0, 0));
    }
    assertEquals(Encoding.F32, built(true, Metric.DOT, Encoding.AUTO, 9_999, 0));
    assertEquals(Encoding.INT8, built(true, Metric.DOT, Encoding.AUTO, 10_000, 0));
    assertEquals(Encoding.INT8, built(true, Metric.DOT, Encoding.INT8, 1, 0));
  }

  @Test
  void autoGoesWithoutWhatDoesNotFit() {
    long rows =
        new JavaEngine()
            .estimate(new Engine.IndexOptions(32, Metric.DOT, 10_000, 0, 0))
            .peakBytes();
    assertEquals(Encoding.F32, built(true, Metric.DOT, Encoding.AUTO, 10_000, rows * 5 / 4 - 1));
    assertEquals(Encoding.INT8, built(true, Metric.DOT, Encoding.AUTO, 10_000, rows * 5 / 4));
    engine.freeBytes = rows * 5 / 4 - 1;
    assertEquals(Encoding.F32, built(true, Metric.DOT, Encoding.AUTO, 10_000, 0));
    engine.freeBytes = -1; // it cannot say
    assertEquals(Encoding.INT8, built(true, Metric.DOT, Encoding.AUTO, 10_000, 0));
  }

  @Test
  void int8IsRefusedWhereThereIsNone() {
    BackendUnavailableException none =
        assertThrows(
            BackendUnavailableException.class,
            () -> built(false, Metric.COSINE, Encoding.INT8, 0, 0));
    assertEquals(
        "build: encoding [INT8] is not to be had on "
            + engine.device()
            + " with COSINE; AUTO uses codes where there are any",
        none.getMessage());
    IllegalArgumentException never =
        assertThrows(
            IllegalArgumentException.class,
            () -> built(true, Metric.MANHATTAN, Encoding.INT8, 0, 0));
    assertTrue(never.getMessage().startsWith("build: encoding [INT8] with metric MANHATTAN"));
    assertThrows(NullPointerException.class, () -> new IndexBuilder(1, Metric.DOT).encoding(null));
  }

  @ParameterizedTest
  @ValueSource(
      doubles = {
        Double.NaN,
        -1,
        -Double.MIN_VALUE,
        Double.MIN_VALUE,
        .5,
        .9999999999,
        Double.POSITIVE_INFINITY,
        Double.NEGATIVE_INFINITY,
        1e39
      })
  void aBoundThatIsNoneIsRefused(double factor) {
    SearchRequest.Builder builder = SearchRequest.builder();
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> builder.maxOversample(factor));
    assertTrue(e.getMessage().contains("[" + factor + "]"), e.getMessage());
    assertEquals(0, builder.query(new float[1]).topK(1).build().maxOversample());
  }

  private static SearchRequest.Builder near(int k) {
    return SearchRequest.builder().query(new float[1]).topK(k);
  }

  /** The searches that went together, as k and the bound of each call, after one that occupies. */
  private List<String> calls(boolean codes, SearchRequest... requests) throws Exception {
    engine.codes = codes;
    try (AcceleratedVectorIndex index =
        new IndexBuilder(1, Metric.L2_SQUARED).engine(engine).batching(64, Duration.ZERO).build()) {
      index.addAll(VectorBatch.of(new float[100][1]));
      engine.hold("search");
      CompletableFuture<SearchResult> first = index.searchAsync(near(1).build());
      engine.awaitHeld();
      List<CompletableFuture<SearchResult>> waiting = new ArrayList<>();
      for (SearchRequest request : requests) {
        waiting.add(index.searchAsync(request));
      }
      engine.open();
      first.get(20, TimeUnit.SECONDS);
      for (int i = 0; i < requests.length; i++) {
        SearchResult result = waiting.get(i).get(20, TimeUnit.SECONDS);
        boolean exact = requests[i].exact() || requests[i].maxOversample() == 0;
        assertEquals(!codes || exact, result.certified(0), "search " + i);
        assertEquals(!codes || exact, result.execution().certified(0));
      }
    }
    List<Engine.SearchCall> made = engine.searches.subList(1, engine.searches.size());
    return made.stream()
        .map(c -> c.batch() + " of " + c.k() + " " + c.maxOversample() + " " + c.exact())
        .toList();
  }

  private static final SearchRequest[] MIXED = {
    near(5).build(),
    near(5).maxOversample(2).build(),
    near(7).build(),
    near(5).maxOversample(3).build(),
    near(7).maxOversample(2).build(),
    near(5).maxOversample(2).build(),
    near(3).exact(true).build(),
    near(5).maxOversample(2).exact(true).build()
  };

  @Test
  void boundedSearchesOfOneKindGoTogether() throws Exception {
    assertEquals(
        List.of(
            "2 of 7 0.0 false",
            "2 of 5 2.0 false",
            "1 of 5 3.0 false",
            "1 of 7 2.0 false",
            "2 of 5 0.0 true"),
        calls(true, MIXED));
  }

  @Test
  void withoutCodesAllGoTogether() throws Exception {
    assertEquals(List.of("8 of 7 0.0 false"), calls(false, MIXED));
  }

  /** Each k has the same rows to look at as it would have in real numbers. */
  @Test
  void aBoundIsNotRoundedUp() throws Exception {
    for (double factor : new double[] {1, 1.1, 1.2, 1.3, 1.7, 2.1, 3.3, Math.nextUp(1.0), 1e38}) {
      FakeEngine fresh = new FakeEngine();
      fresh.codes = true;
      try (AcceleratedVectorIndex index =
          new IndexBuilder(1, Metric.L2_SQUARED).engine(fresh).build()) {
        index.add(new float[1]);
        index.search(near(1).maxOversample(factor).build());
      }
      float bound = fresh.searches.getFirst().maxOversample();
      assertTrue(bound >= 1 && bound <= factor, factor + " became " + bound);
      for (int k = 10; k <= 1000 && factor < 10; k += 10) {
        long tenths = Math.round(factor * 10) * k;
        assertEquals(
            Math.ceilDiv(tenths, 10), (long) Math.ceil((double) bound * k), factor + " x " + k);
      }
    }
    assertFalse(near(1).build().maxOversample() != 0);
  }
}
