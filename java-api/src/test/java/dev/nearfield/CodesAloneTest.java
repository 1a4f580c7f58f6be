// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.nearfield.internal.index.IndexBuilder;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * An index of codes alone answers as one of floats that holds what it gives back, to the last bit,
 * on every backend that has such indexes.
 */
@Timeout(120)
class CodesAloneTest {
  private static final int DIM = 40;
  private static final int ROWS = 3000;
  private static final int QUERIES = 12;

  static Stream<Arguments> cases() {
    return Embeddings.backends()
        .flatMap(
            kind ->
                Stream.of(Metric.L2_SQUARED, Metric.COSINE, Metric.DOT)
                    .flatMap(
                        metric ->
                            Stream.of(false, true)
                                .map(fitted -> Arguments.of(kind, metric, fitted))));
  }

  private final Seed seed = new Seed("CodesAloneTest");
  private final Embeddings data = new Embeddings(seed, DIM, 2);

  private static AcceleratedVectorIndex floats(TestBackend backend, Metric metric) {
    return backend.builder(DIM, metric, 512).encoding(Encoding.F32).build();
  }

  /** Skips the test, with the reason, on a backend that has no such index yet. */
  static AcceleratedVectorIndex built(BackendKind kind, AcceleratedVectorIndex.Builder builder) {
    try {
      return builder.encoding(Encoding.INT8_ONLY).build();
    } catch (BackendUnavailableException e) {
      String message = "ABSENT codes alone on " + kind.id() + ": " + e.getMessage();
      System.out.println(message);
      return kind == BackendKind.CPU ? fail(message, e) : abort(message);
    }
  }

  static float[] given(AcceleratedVectorIndex index, VectorHandle handle) {
    return index.get(handle).orElseThrow().vector();
  }

  /** An index of codes, and one of floats with the same vectors in the same order. */
  private final class Pair {
    final AcceleratedVectorIndex codes;
    final AcceleratedVectorIndex floats;
    final List<VectorHandle> coded = new ArrayList<>();
    final List<VectorHandle> same = new ArrayList<>();

    Pair(AcceleratedVectorIndex codes, AcceleratedVectorIndex floats) {
      this.codes = codes;
      this.floats = floats;
    }

    void add(float[][] vectors) {
      VectorHandles added = codes.addAll(VectorBatch.of(vectors));
      float[][] back = new float[vectors.length][];
      for (int i = 0; i < back.length; i++) {
        back[i] = given(codes, added.get(i));
        coded.add(added.get(i));
      }
      VectorHandles mirrored = floats.addAll(VectorBatch.of(back));
      for (int i = 0; i < back.length; i++) {
        same.add(mirrored.get(i));
      }
    }

    void remove(int i) {
      assertTrue(codes.remove(coded.get(i)) && floats.remove(same.get(i)));
    }

    void replace(int i, float[] by) {
      coded.set(i, codes.replace(coded.get(i), by).orElseThrow());
      same.set(i, floats.replace(same.get(i), given(codes, coded.get(i))).orElseThrow());
    }

    void compare(float[][] queries, String when) {
      compare(Embeddings.request(queries), when);
      compare(Embeddings.request(queries).topK(ROWS / 2), when + ", many");
      for (float[] query : queries) {
        compare(Embeddings.request(query), when + ", alone");
        compare(Embeddings.request(query).maxOversample(1e6), when + ", a bound beyond all rows");
        SearchResult capped = codes.search(Embeddings.request(query).maxOversample(1).build());
        assertEquals(Math.min(Embeddings.K, coded.size()), capped.hitCount(0));
        assertFalse(capped.certified(0));
      }
    }

    private void compare(SearchRequest.Builder builder, String when) {
      SearchRequest request = builder.build();
      SearchResult expected = floats.search(request);
      SearchResult got = codes.search(request);
      data.assertSame(expected, got, when);
      for (int q = 0; q < request.queryCount(); q++) {
        String where = when + ", query " + q + ", " + seed;
        assertFalse(got.certified(q) || got.execution().certified(q), where);
        assertEquals(
            expected.hits(q).stream().map(hit -> same.indexOf(hit.handle())).limit(3).toList(),
            got.hits(q).stream().map(hit -> coded.indexOf(hit.handle())).limit(3).toList(),
            where);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void answersAreThoseOfWhatIsGivenBack(BackendKind kind, Metric metric, boolean fitted)
      throws Exception {
    TestBackend backend = TestBackend.require(kind);
    AcceleratedVectorIndex.Builder builder = backend.builder(DIM, metric, 512);
    if (fitted) {
      builder.codesFittedTo(VectorBatch.of(data.vectors(1, 1000, metric)));
    }
    float[][] queries = data.vectors(2, QUERIES, metric);
    try (AcceleratedVectorIndex codes = built(kind, builder);
        AcceleratedVectorIndex floats = floats(backend, metric)) {
      assertEquals(Encoding.INT8_ONLY, codes.placement().encoding());
      Pair pair = new Pair(codes, floats);
      pair.compare(queries, "empty");
      float[][] first = data.vectors(3, ROWS, metric);
      pair.add(first);
      pair.add(data.vectors(4, 100, metric));
      pair.compare(queries, "added");
      for (int i = 0; i < ROWS; i += 2) {
        pair.remove(i);
        if (i % 6 == 0) {
          pair.replace(i + 1, first[(i + 7) % ROWS]);
        }
      }
      pair.compare(queries, "after removals");
      float[] before = given(codes, pair.coded.get(1));
      codes.compact().get();
      floats.compact().get();
      assertArrayEquals(before, given(codes, pair.coded.get(1)));
      pair.compare(queries, "after a compaction");
      pair.add(data.vectors(5, 100, metric));
      pair.compare(queries, "added again");

      IndexStats stats = codes.stats();
      assertEquals(Encoding.INT8_ONLY, stats.encoding());
      assertEquals(0, stats.certified());
      assertEquals(fitted ? 1 : 0, stats.trainings(), "never by itself, with [40] vectors or more");
      assertTrue(stats.codeBytes() > 0 && stats.codeBytes() <= stats.deviceBytes(), "" + stats);
    }
  }

  static double length(float[] vector, float[] from) {
    double squared = 0;
    for (int d = 0; d < vector.length; d++) {
      squared += Math.pow((double) vector[d] - from[d], 2);
    }
    return Math.sqrt(squared);
  }

  private static float[] kept(Metric metric, float[] vector) {
    float[] kept = vector.clone();
    double norm = metric == Metric.COSINE ? length(vector, new float[DIM]) : 1;
    for (int d = 0; d < DIM; d++) {
      kept[d] /= (float) norm;
    }
    return kept;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void whatIsGivenBackIsNear(BackendKind kind, Metric metric, boolean fitted) {
    TestBackend backend = TestBackend.require(kind);
    float[][] vectors = data.vectors(6, 200, metric);
    float[][] sample = data.vectors(1, 1000, metric);
    AcceleratedVectorIndex.Builder builder = backend.builder(DIM, metric);
    float[] mean = new float[DIM];
    if (fitted) {
      builder.codesFittedTo(VectorBatch.of(sample));
      for (float[] row : sample) {
        for (int d = 0; d < DIM; d++) {
          mean[d] += kept(metric, row)[d] / sample.length;
        }
      }
    }
    try (AcceleratedVectorIndex codes = built(kind, builder)) {
      VectorHandles handles = codes.addAll(VectorBatch.of(vectors));
      double worst = 0;
      for (int i = 0; i < vectors.length; i++) {
        float[] wanted = kept(metric, vectors[i]);
        float largest = 0; // of the elements that are coded: turned, none exceeds the length
        for (float x : wanted) {
          largest = fitted ? (float) length(wanted, mean) : Math.max(largest, Math.abs(x));
        }
        // A code is half a step off at most, and a step is the largest element / 127, rounded up to
        // 8 bits.
        double step = largest / 127 * (1 + 0x1p-7);
        double error = length(wanted, given(codes, handles.get(i)));
        assertTrue(error > 0, "not rounded, " + seed);
        worst = Math.max(worst, error / (step / 2 * Math.sqrt(DIM)));
      }
      // What floats round on the way, some 2^-20 of a vector, is 2^-13 of a step.
      assertTrue(worst <= 1.001, worst + " of the bound, " + seed);
    }
  }

  @Test
  void plainJavaHasNone() {
    AcceleratedVectorIndex.Builder alone =
        TestBackend.require(BackendKind.JAVA)
            .builder(2, Metric.DOT)
            .encoding(Encoding.INT8_ONLY)
            .codesFittedTo(VectorBatch.of(new float[][] {{1, 2}, {3, 4}}));
    assertTrue(
        assertThrows(BackendUnavailableException.class, alone::build)
            .getMessage()
            .startsWith("build: encoding [INT8_ONLY] is not to be had on java:0"));
  }

  /** The CPU has them, whatever the device before it lacks. */
  @Test
  void thePolicyFindsADevice() {
    AcceleratedVectorIndex.Builder builder =
        AcceleratedVectorIndex.builder(2, Metric.DOT).encoding(Encoding.INT8_ONLY);
    try (AcceleratedVectorIndex index = builder.build()) {
      assertEquals(Encoding.INT8_ONLY, index.placement().encoding());
      VectorHandle only = index.add(new float[] {1, 2});
      assertEquals(
          only,
          index.search(Embeddings.request(new float[] {1, 1}).build()).hits(0).get(0).handle());
    }
  }

  /** In the middle of a fit of a second or more. */
  @Test
  void aBuildIsCancelled() throws Exception {
    TestBackend backend = TestBackend.require(BackendKind.CPU);
    int dim = 1024;
    float[][] sample = new float[4096][dim];
    Random random = seed.random(8);
    for (float[] row : sample) {
      for (int d = 0; d < dim; d++) {
        row[d] = (float) random.nextGaussian() / (1 + d);
      }
    }
    IndexBuilder builder =
        ((IndexBuilder) backend.builder(dim, Metric.L2_SQUARED))
            .encoding(Encoding.INT8_ONLY)
            .codesFittedTo(VectorBatch.of(sample));
    List<Throwable> thrown = new ArrayList<>();
    Thread caller =
        Thread.ofVirtual()
            .start(
                () -> {
                  try {
                    builder.build().close();
                  } catch (Throwable e) {
                    thrown.add(e);
                  }
                });
    try (AcceleratedVectorIndex other = floats(backend, Metric.DOT)) { // on the same device
      VectorHandle handle = other.addAsync(data.vectors(9, 1, Metric.DOT)[0]).get();
      assertTrue(caller.isAlive(), "the fit took no longer than an insert");
      assertTrue(other.get(handle).isPresent());
      caller.interrupt();
      caller.join();
      assertEquals(1, thrown.size(), "an interrupted build made an index");
      assertEquals(CancellationException.class, thrown.get(0).getClass());
      assertTrue(other.remove(handle));
    }
  }
}
