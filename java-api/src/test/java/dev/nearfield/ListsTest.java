// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * An index of lists beside a flat one: the same answers wherever all lists are looked into, and on
 * devices that have no lists always.
 */
@Timeout(240)
class ListsTest {
  private static final int DIM = 24;
  private static final int LISTS = 24;

  private final Seed seed = new Seed("ListsTest");
  private final Embeddings data = new Embeddings(seed, DIM, 0);

  static Stream<BackendKind> backends() {
    return Stream.of(BackendKind.JAVA, BackendKind.CPU, BackendKind.WGPU, BackendKind.CUDA);
  }

  static Stream<Arguments> cases() {
    return backends()
        .flatMap(kind -> Stream.of(Metric.values()).map(metric -> Arguments.of(kind, metric)));
  }

  /** GPUs: where tests run they are software or emulated, mostly. */
  private static boolean isSlow(BackendKind kind) {
    return kind != BackendKind.JAVA && kind != BackendKind.CPU;
  }

  private static int rows(BackendKind kind) {
    return isSlow(kind) ? 300 : 1500;
  }

  /** So many that a training takes a while. */
  private static int many(BackendKind kind) {
    return isSlow(kind) ? 1000 : 15_000;
  }

  private static int queries(BackendKind kind) {
    return isSlow(kind) ? 4 : 20;
  }

  private static AcceleratedVectorIndex.Builder builder(BackendKind kind, Metric metric) {
    return TestBackend.require(kind).builder(DIM, metric, 512);
  }

  private static <T> T done(CompletableFuture<T> future) throws Exception {
    return future.get(120, TimeUnit.SECONDS);
  }

  private static TrainingRequest.Builder lists(int count) {
    return TrainingRequest.builder().lists(count);
  }

  /** Of the k nearest that the flat index has, the share that the other found. */
  private static double recall(SearchResult truth, SearchResult found) {
    int hits = 0;
    int wanted = 0;
    for (int q = 0; q < truth.queryCount(); q++) {
      Set<Float> distances = new HashSet<>();
      found.hits(q).forEach(hit -> distances.add(hit.distance()));
      wanted += truth.hitCount(q);
      hits += (int) truth.hits(q).stream().filter(h -> distances.contains(h.distance())).count();
    }
    return (double) hits / wanted;
  }

  /** Whatever looks into all lists answers as the flat index; answers how many lists there are. */
  private int compare(
      AcceleratedVectorIndex flat, AcceleratedVectorIndex listed, float[][] queries, String when) {
    int lists = listed.stats().lists();
    SearchResult truth = flat.search(Embeddings.request(queries).build());
    SearchResult exact = listed.search(Embeddings.request(queries).exact(true).build());
    data.assertSame(truth, exact, when + ", exact");
    SearchResult all =
        listed.search(Embeddings.request(queries).probes(Math.max(1, lists)).build());
    data.assertSame(truth, all, when + ", all lists");
    for (int q = 0; q < queries.length; q++) {
      assertEquals(lists, exact.listsScanned(q), when);
      assertEquals(lists, all.listsScanned(q), when);
      assertEquals(0, truth.listsScanned(q), when);
      assertEquals(1, truth.recallEstimate(q), when);
      assertEquals(1, exact.recallEstimate(q), when);
      assertTrue(all.certified(q), when);
    }
    // Nothing that a shorter reach finds is nearer, and it finds k as long as there are k.
    for (SearchRequest.Builder some :
        List.of(
            Embeddings.request(queries),
            Embeddings.request(queries).probes(1),
            Embeddings.request(queries).targetRecall(0.5))) {
      SearchResult found = listed.search(some.build());
      for (int q = 0; q < queries.length; q++) {
        assertEquals(truth.hitCount(q), found.hitCount(q), when);
        assertTrue(found.distance(q, 0) >= truth.distance(q, 0), when);
        assertTrue(found.listsScanned(q) <= lists, when);
        assertEquals(lists == 0, found.listsScanned(q) == 0, when);
        float recall = found.recallEstimate(q);
        assertTrue(recall > 0 && recall <= 1 && (lists > 0 || recall == 1), when + ": " + recall);
      }
    }
    return lists;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void answersAreThoseOfAFlatIndexWhereAllListsAreLookedInto(BackendKind kind, Metric metric)
      throws Exception {
    float[][] queries = data.vectors(1, queries(kind), metric);
    float[][] rows = data.vectors(2, rows(kind), metric);
    try (AcceleratedVectorIndex flat = builder(kind, metric).build();
        AcceleratedVectorIndex listed = builder(kind, metric).spec(IndexSpec.ivf(LISTS)).build()) {
      boolean served = listed.placement().listed();
      assertFalse(flat.placement().listed());
      if (kind == BackendKind.JAVA || kind == BackendKind.CPU) {
        assertEquals(kind == BackendKind.CPU && metric != Metric.MANHATTAN, served, "lists");
      }
      VectorHandles handles = listed.addAll(VectorBatch.of(rows));
      VectorHandles same = flat.addAll(VectorBatch.of(rows));
      assertEquals(0, compare(flat, listed, queries, "untrained"));

      TrainingReport report = done(listed.train());
      assertEquals(served ? LISTS : 0, report.lists());
      assertEquals(report.lists(), compare(flat, listed, queries, "trained"));
      IndexStats stats = listed.stats();
      assertEquals(served, stats.trained());
      assertEquals(served ? 1 : 0, stats.trainings() - (served ? 0 : flat.stats().trainings()));
      assertTrue(stats.smallestList() <= stats.largestList(), stats.toString());
      assertTrue(!served || stats.largestList() > rows(kind) / LISTS, stats.toString());

      for (int i = 0; i < rows(kind); i += 3) {
        assertTrue(listed.remove(handles.get(i)));
        flat.remove(same.get(i));
        float[] other = rows[(i + 7) % rows(kind)];
        assertTrue(listed.replace(handles.get(i + 1), other).isPresent());
        flat.replace(same.get(i + 1), other);
      }
      float[][] more = data.vectors(3, rows(kind), metric);
      listed.addAll(VectorBatch.of(more));
      flat.addAll(VectorBatch.of(more));
      compare(flat, listed, queries, "changed");
      done(listed.compact());
      done(flat.compact());
      compare(flat, listed, queries, "compacted");
      assertEquals(0, listed.stats().deleted());
      assertEquals(served ? 7 : 0, done(listed.train(lists(7).seed(3).build())).lists());
      compare(flat, listed, queries, "trained again");
      for (int i = 2; i < rows(kind); i += 3) { // removals and compactions have left these alone
        assertEquals(
            rows[i][0], listed.get(handles.get(i)).orElseThrow().vector()[0], "" + handles.get(i));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void moreProbesFindMore(BackendKind kind) throws Exception {
    for (Encoding encoding : List.of(Encoding.F32, Encoding.AUTO)) {
      int count = isSlow(kind) ? 25 : 100;
      float[][] queries = data.vectors(1, count, Metric.L2_SQUARED);
      try (AcceleratedVectorIndex flat = builder(kind, Metric.L2_SQUARED).build();
          AcceleratedVectorIndex listed =
              builder(kind, Metric.L2_SQUARED).spec(new IndexSpec.Ivf(LISTS, encoding)).build()) {
        VectorBatch rows = VectorBatch.of(data.vectors(2, rows(kind), Metric.L2_SQUARED));
        flat.addAll(rows);
        listed.addAll(rows);
        done(listed.train());
        SearchResult truth = flat.search(Embeddings.request(queries).build());
        double before = 0;
        for (int probes = 1; probes <= LISTS; probes += isSlow(kind) && probes < 18 ? 5 : 1) {
          SearchResult found = listed.search(Embeddings.request(queries).probes(probes).build());
          double recall = recall(truth, found);
          assertTrue(recall >= before, probes + " probes: " + recall + ", before " + before);
          assertTrue(
              !listed.placement().listed() || found.listsScanned(0) >= probes, probes + " probes");
          before = recall;
        }
        assertEquals(1, before, seed.toString());
        // A mean of 1,000 shares, 250 of a slow device: its standard error is 0.01 and less, 0.02
        // and
        // less, an estimate's bias a few of the first.
        for (double target : new double[] {.5, .8, .95}) {
          SearchResult found =
              listed.search(Embeddings.request(queries).targetRecall(target).build());
          double recall = recall(truth, found);
          assertTrue(
              recall > target - (isSlow(kind) ? .12 : .08),
              target + " wanted, " + recall + ", " + seed);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void aFilterGoesOnUntilThereAreEnough(BackendKind kind) throws Exception {
    try (AcceleratedVectorIndex listed =
        builder(kind, Metric.DOT).spec(IndexSpec.ivf(LISTS)).build()) {
      VectorHandles handles =
          listed.addAll(VectorBatch.of(data.vectors(2, rows(kind), Metric.DOT)));
      done(listed.train());
      List<VectorHandle> few = new ArrayList<>();
      for (int i = 0; i < rows(kind); i += rows(kind) / 12) {
        few.add(handles.get(i));
      }
      SearchResult found =
          listed.search(
              Embeddings.request(data.vectors(1, queries(kind), Metric.DOT))
                  .probes(1)
                  .filter(HandleSet.of(few))
                  .build());
      for (int q = 0; q < queries(kind); q++) {
        assertEquals(Embeddings.K, found.hitCount(q));
        assertTrue(few.containsAll(found.hits(q).stream().map(Hit::handle).toList()));
      }
    }
  }

  /** Trained on other vectors, the index need not have any. */
  @ParameterizedTest
  @MethodSource("backends")
  void mayBeTrainedBeforeItHasVectors(BackendKind kind) throws Exception {
    float[][] queries = data.vectors(1, queries(kind), Metric.COSINE);
    VectorBatch sample = VectorBatch.of(data.vectors(4, 600, Metric.COSINE));
    List<TrainingRequest.Progress> heard = new ArrayList<>();
    try (AcceleratedVectorIndex flat = builder(kind, Metric.COSINE).build();
        AcceleratedVectorIndex listed =
            builder(kind, Metric.COSINE).spec(IndexSpec.ivf(0)).build()) {
      TrainingReport report = done(listed.train(lists(9).vectors(sample).build()));
      boolean served = listed.placement().listed();
      assertEquals(served ? 9 : 0, report.lists());
      VectorBatch rows = VectorBatch.of(data.vectors(2, rows(kind), Metric.COSINE));
      assertEquals(0, listed.search(Embeddings.request(queries).build()).hitCount(0));
      flat.addAll(rows);
      listed.addAll(rows);
      compare(flat, listed, queries, "trained before");
      done(
          listed.train(
              TrainingRequest.builder()
                  .progress(
                      progress -> {
                        synchronized (heard) {
                          heard.add(progress);
                        }
                      })
                  .build()));
      // As many lists as the root of the vectors, since nobody said how many.
      assertEquals(served ? Math.round(Math.sqrt(rows(kind))) : 0, listed.stats().lists());
      compare(flat, listed, queries, "trained again");
    }
    synchronized (heard) {
      assertFalse(heard.isEmpty());
      for (int i = 0; i < heard.size(); i++) {
        assertEquals(rows(kind), heard.get(i).total());
        assertTrue(i == 0 || heard.get(i).done() >= heard.get(i - 1).done(), heard.toString());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void searchesGoOnWhileItIsTrained(BackendKind kind) throws Exception {
    float[][] queries = data.vectors(1, queries(kind), Metric.L2_SQUARED);
    try (AcceleratedVectorIndex flat = builder(kind, Metric.L2_SQUARED).build();
        AcceleratedVectorIndex listed =
            builder(kind, Metric.L2_SQUARED).spec(IndexSpec.ivf(40)).build()) {
      VectorBatch rows = VectorBatch.of(data.vectors(2, many(kind), Metric.L2_SQUARED));
      flat.addAll(rows);
      listed.addAll(rows);
      SearchResult truth = flat.search(Embeddings.request(queries).build());
      CompletableFuture<TrainingReport> training =
          listed.train(TrainingRequest.builder().iterations(isSlow(kind) ? 8 : 30).build());
      int searched = 0;
      do {
        SearchResult found = listed.search(Embeddings.request(queries).build());
        if (found.listsScanned(0) == 0) {
          data.assertSame(truth, found, "search " + searched);
        }
        listed.remove(listed.add(data.vectors(5, 1, Metric.L2_SQUARED)[0]));
        searched++;
      } while (!training.isDone());
      assertEquals(listed.placement().listed() ? 40 : 0, training.get().lists());
      compare(flat, listed, queries, "after " + searched + " searches");
    }
  }

  /** Half-way: nothing is left of it, and the next one is as good as any. */
  @ParameterizedTest
  @MethodSource("backends")
  void aTrainingMayBeCancelled(BackendKind kind) throws Exception {
    float[][] queries = data.vectors(1, queries(kind), Metric.L2_SQUARED);
    try (AcceleratedVectorIndex flat = builder(kind, Metric.L2_SQUARED).build();
        AcceleratedVectorIndex listed =
            builder(kind, Metric.L2_SQUARED).spec(new IndexSpec.Ivf(40, Encoding.F32)).build()) {
      VectorBatch rows = VectorBatch.of(data.vectors(2, many(kind), Metric.L2_SQUARED));
      flat.addAll(rows);
      listed.addAll(rows);
      CompletableFuture<Void> begun = new CompletableFuture<>();
      CompletableFuture<TrainingReport> training =
          listed.train(
              TrainingRequest.builder()
                  .iterations(1000)
                  .progress(
                      progress -> {
                        if (progress.done() > 0) {
                          begun.complete(null);
                        }
                      })
                  .build());
      done(begun);
      training.cancel(false);
      compare(flat, listed, queries, "cancelled");
      assertEquals(
          listed.placement().listed() ? 5 : 0, done(listed.train(lists(5).build())).lists());
      compare(flat, listed, queries, "trained then");
    }
  }

  /** Its lists are a second copy of the vectors until it is done. */
  @ParameterizedTest
  @MethodSource("backends")
  void aTrainingWithoutRoomHarmsNothing(BackendKind kind) throws Exception {
    float[][] queries = data.vectors(1, queries(kind), Metric.L2_SQUARED);
    VectorBatch rows = VectorBatch.of(data.vectors(2, many(kind), Metric.L2_SQUARED));
    IndexSpec spec = new IndexSpec.Ivf(LISTS, Encoding.F32);
    long budget;
    try (AcceleratedVectorIndex tight =
        builder(kind, Metric.L2_SQUARED).spec(spec).deviceMemoryBudget(1).build()) {
      long needed =
          assertThrows(DeviceOutOfMemoryException.class, () -> tight.addAll(rows)).requested();
      budget = needed * 3 / 2;
    }
    try (AcceleratedVectorIndex flat = builder(kind, Metric.L2_SQUARED).build();
        AcceleratedVectorIndex listed =
            builder(kind, Metric.L2_SQUARED).spec(spec).deviceMemoryBudget(budget).build()) {
      flat.addAll(rows);
      listed.addAll(rows);
      if (listed.placement().listed()) {
        DeviceOutOfMemoryException e =
            (DeviceOutOfMemoryException)
                assertThrows(ExecutionException.class, () -> done(listed.train())).getCause();
        assertTrue(e.getMessage().contains("its lists"), e.getMessage());
        assertTrue(e.requested() > budget / 2, e.requested() + " of " + budget);
        assertEquals(budget, e.total());
      } else {
        done(listed.train());
      }
      assertEquals(0, compare(flat, listed, queries, "without room"));
    }
  }

  /** Vectors about one of those there are: its list outgrows the others. */
  private float[][] crowd(float[][] rows, int count) {
    float[][] near = new float[count][DIM];
    for (int i = 0; i < count; i++) {
      for (int j = 0; j < DIM; j++) {
        near[i][j] = 0.9f * rows[3][j] + 0.1f * rows[i % rows.length][j];
      }
    }
    return near;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void listsAreKeptEven(BackendKind kind, Metric metric) throws Exception {
    float[][] queries = data.vectors(1, queries(kind), metric);
    float[][] rows = data.vectors(2, rows(kind), metric);
    try (AcceleratedVectorIndex flat = builder(kind, metric).build();
        AcceleratedVectorIndex listed = builder(kind, metric).spec(IndexSpec.ivf(LISTS)).build()) {
      boolean served = listed.placement().listed();
      refused("maintain: this index is flat", flat::maintain);
      assertEquals(0, done(listed.maintain()).split(), "untrained");
      flat.addAll(VectorBatch.of(rows));
      listed.addAll(VectorBatch.of(rows));
      done(listed.train());
      assertEquals(0, listed.stats().drift());
      float[][] many = crowd(rows, 2 * rows(kind));
      VectorHandles same = flat.addAll(VectorBatch.of(many));
      VectorHandles handles = listed.addAll(VectorBatch.of(many));
      compare(flat, listed, queries, "grown");
      MaintenanceReport report = done(listed.maintain());
      assertEquals(served, report.split() > 0 && report.moved() > 0, report.toString());
      assertTrue(report.took().isPositive());
      int lists = compare(flat, listed, queries, "split");
      assertEquals(served, lists > LISTS);
      assertTrue(listed.stats().largestList() * lists <= 5L * 3 * rows(kind), "" + listed.stats());

      List<VectorHandle> gone = new ArrayList<>();
      List<VectorHandle> goneToo = new ArrayList<>();
      for (int i = 0; i < many.length; i++) {
        gone.add(handles.get(i));
        goneToo.add(same.get(i));
      }
      listed.removeAll(VectorHandles.of(gone));
      flat.removeAll(VectorHandles.of(goneToo));
      report = done(listed.maintain());
      assertEquals(served, report.merged() > 0, report.toString());
      compare(flat, listed, queries, "merged");
      done(listed.compact());
      done(flat.compact());
      compare(flat, listed, queries, "compacted");
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void searchesAndChangesGoOnWhileItIsMaintained(BackendKind kind) throws Exception {
    float[][] queries = data.vectors(1, queries(kind), Metric.L2_SQUARED);
    float[][] rows = data.vectors(2, many(kind), Metric.L2_SQUARED);
    try (AcceleratedVectorIndex flat = builder(kind, Metric.L2_SQUARED).build();
        AcceleratedVectorIndex listed =
            builder(kind, Metric.L2_SQUARED).spec(IndexSpec.ivf(40)).build()) {
      flat.addAll(VectorBatch.of(rows));
      listed.addAll(VectorBatch.of(rows));
      done(listed.train());
      VectorBatch crowd = VectorBatch.of(crowd(rows, many(kind)));
      flat.addAll(crowd);
      listed.addAll(crowd);
      SearchResult truth = flat.search(Embeddings.request(queries).build());
      CompletableFuture<MaintenanceReport> cancelled = listed.maintain();
      listed.search(Embeddings.request(queries).build());
      cancelled.cancel(false);
      CompletableFuture<MaintenanceReport> maintenance = listed.maintain();
      int searched = 0;
      do {
        data.assertSame(
            truth,
            listed.search(Embeddings.request(queries).exact(true).build()),
            "search " + searched);
        listed.remove(listed.add(data.vectors(5, 1, Metric.L2_SQUARED)[0]));
        searched++;
      } while (!maintenance.isDone());
      assertEquals(listed.placement().listed(), maintenance.get().split() > 0);
      compare(flat, listed, queries, "after " + searched + " searches");
    }
  }

  private static void refused(Class<? extends Throwable> type, String message, Executable call) {
    Throwable thrown = assertThrows(Throwable.class, call);
    Throwable cause =
        thrown instanceof ExecutionException || thrown instanceof CompletionException
            ? thrown.getCause()
            : thrown;
    assertInstanceOf(type, cause);
    assertTrue(
        cause.getMessage() != null && cause.getMessage().contains(message),
        "" + cause.getMessage());
  }

  private static void refused(String message, Executable call) {
    refused(IllegalArgumentException.class, message, call);
  }

  @ParameterizedTest
  @MethodSource("backends")
  void mistakesAreNamedAndHarmNothing(BackendKind kind) throws Exception {
    float[][] queries = data.vectors(1, 3, Metric.L2_SQUARED);
    TestBackend.require(kind);
    refused("lists [-1]", () -> IndexSpec.ivf(-1));
    refused("lists [65537]", () -> IndexSpec.ivf(65_537));
    refused("lists [0]", () -> lists(0));
    refused("iterations [0]", () -> TrainingRequest.builder().iterations(0));
    refused("sample [1]", () -> TrainingRequest.builder().sample(1));
    refused("sample [8]", () -> lists(9).sample(8).build());
    refused(
        "[1] vectors", () -> TrainingRequest.builder().vectors(VectorBatch.of(new float[1][DIM])));
    refused("lists [3]", () -> lists(3).vectors(VectorBatch.of(new float[2][DIM])).build());
    refused("probes [0]", () -> SearchRequest.builder().probes(0));
    for (double target : new double[] {0, -.1, 1.0001, Double.NaN}) {
      refused("targetRecall", () -> SearchRequest.builder().targetRecall(target));
    }
    refused(
        "only one of them", () -> Embeddings.request(queries).probes(1).targetRecall(.5).build());
    refused(
        "INT8_ONLY",
        () ->
            builder(kind, Metric.L2_SQUARED)
                .spec(IndexSpec.ivf(4))
                .encoding(Encoding.INT8_ONLY)
                .build());
    refused(
        "must have the same encoding",
        () ->
            builder(kind, Metric.L2_SQUARED)
                .spec(new IndexSpec.Ivf(4, Encoding.F32))
                .encoding(Encoding.INT8)
                .build());
    try (AcceleratedVectorIndex flat = builder(kind, Metric.L2_SQUARED).build();
        AcceleratedVectorIndex listed =
            builder(kind, Metric.L2_SQUARED).spec(IndexSpec.ivf(4)).build()) {
      refused("this index is flat", flat::train);
      VectorHandle only = listed.add(new float[DIM]);
      refused("[1] vectors", () -> done(listed.train(lists(1).build())));
      listed.remove(only);
      refused("[0] vectors", () -> done(listed.train()));
      float[][] rows = data.vectors(2, 100, Metric.L2_SQUARED);
      flat.addAll(VectorBatch.of(rows));
      listed.addAll(VectorBatch.of(rows));
      refused("lists [101]", () -> done(listed.train(lists(101).build())));
      refused("sample [3]", () -> listed.train(TrainingRequest.builder().sample(3).build()));
      float[][] bad = data.vectors(3, 10, Metric.L2_SQUARED);
      bad[7][5] = Float.NaN;
      refused(
          "vector [7] has [NaN] at dimension [5]",
          () -> listed.train(TrainingRequest.builder().vectors(VectorBatch.of(bad)).build()));
      refused(
          "dimension [2]",
          () ->
              listed.train(
                  TrainingRequest.builder().vectors(VectorBatch.of(new float[9][2])).build()));
      assertEquals(0, compare(flat, listed, queries, "refused"));
      boolean served = listed.placement().listed();
      if (served) { // places that lists need; without lists there is nothing to do
        refused(
            IllegalArgumentException.class,
            "",
            () -> done(listed.train(lists(5).vectors(VectorBatch.of(new float[9][DIM])).build())));
      }
      done(listed.train());
      if (served) {
        refused(
            "probes [5], the index has 4 lists",
            () -> listed.search(Embeddings.request(queries).probes(5).build()));
      } else {
        listed.search(Embeddings.request(queries).probes(5).build());
      }
      assertEquals(served ? 4 : 0, compare(flat, listed, queries, "trained"));
    }
  }

  @ParameterizedTest
  @MethodSource("backends")
  void theEncodingMayBeSaidByEither(BackendKind kind) {
    if (kind == BackendKind.JAVA) {
      return; // it keeps 32-bit floats only
    }
    AcceleratedVectorIndex.Builder builder = builder(kind, Metric.DOT).spec(IndexSpec.ivf(4));
    for (AcceleratedVectorIndex.Builder same :
        List.of(
            builder.encoding(Encoding.F32),
            builder(kind, Metric.DOT).encoding(Encoding.F32).spec(IndexSpec.ivf(4)),
            builder(kind, Metric.DOT)
                .encoding(Encoding.AUTO)
                .spec(new IndexSpec.Ivf(4, Encoding.F32)))) {
      try (AcceleratedVectorIndex index = same.build()) {
        assertEquals(Encoding.F32, index.placement().encoding());
        assertTrue(kind != BackendKind.CPU || index.placement().listed());
      }
    }
  }

  /** A training begins with what is there; removed before its rows are chosen, they are too few. */
  @ParameterizedTest
  @MethodSource("backends")
  void vectorsRemovedWhileATrainingBegins(BackendKind kind) throws Exception {
    float[][] vectors = data.vectors(9, 4, Metric.COSINE);
    try (AcceleratedVectorIndex index =
        builder(kind, Metric.COSINE).spec(new IndexSpec.Ivf(0, Encoding.AUTO)).build()) {
      for (int round = 0; round < (isSlow(kind) ? 5 : 200); round++) {
        VectorHandles handles = index.addAll(VectorBatch.of(vectors));
        CompletableFuture<TrainingReport> training = index.train();
        assertEquals(vectors.length, index.removeAll(handles));
        try {
          done(training);
        } catch (ExecutionException e) {
          assertInstanceOf(IllegalArgumentException.class, e.getCause(), seed.toString());
          assertEquals(
              "train: [0] vectors, lists are trained on at least 2", e.getCause().getMessage());
        }
        assertEquals(0, index.stats().live());
      }
    }
  }
}
