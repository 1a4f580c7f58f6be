// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.internal.device.DeviceChoice;
import dev.nearfield.internal.device.Settings;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Knn against a loop in float64. */
class KnnTest {
  /** Repeat a failure with -Dnearfield.test.seed=N. */
  private static final long SEED = Long.getLong("nearfield.test.seed", System.nanoTime());

  private record Shape(int rows, int dim, int queries, int k) {}

  static Stream<Arguments> cases() {
    List<Shape> shapes =
        List.of(
            new Shape(1, 1, 1, 1),
            new Shape(33, 7, 3, 33),
            new Shape(1000, 129, 40, 10),
            new Shape(500, 32, 2, 600));
    return Stream.of("cpu", "java", "wgpu")
        .flatMap(
            backend ->
                Arrays.stream(Metric.values())
                    .flatMap(m -> shapes.stream().map(s -> Arguments.of(backend, m, s))));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void agreesWithFloat64(String backend, Metric metric, Shape shape) {
    Device device = EachBackend.device(backend);
    Random random = new Random(SEED);
    float[][] dataset = vectors(random, metric, shape.rows, shape.dim);
    float[][] queries = vectors(random, metric, shape.queries, shape.dim);
    KnnResult result =
        Knn.search(device, metric, VectorBatch.of(dataset), VectorBatch.of(queries), shape.k);
    assertEquals(shape.queries, result.queryCount());
    assertEquals(device, result.execution().device());
    assertEquals(Optional.empty(), result.execution().fallback());
    for (int q = 0; q < shape.queries; q++) {
      check(result, q, metric, dataset, queries[q], Math.min(shape.k, shape.rows));
    }
  }

  private static void check(
      KnnResult result, int q, Metric metric, float[][] dataset, float[] query, int expected) {
    String where = "query " + q + ", rerun with -Dnearfield.test.seed=" + SEED;
    assertEquals(expected, result.hitCount(q), where);
    double[] sorted =
        Arrays.stream(dataset).mapToDouble(row -> distance(metric, query, row)).sorted().toArray();
    for (int i = 0; i < expected; i++) {
      int row = result.row(q, i);
      double exact = distance(metric, query, dataset[row]);
      double error = errorBound(metric, query, dataset[row], exact);
      float got = result.distance(q, i);
      assertEquals(exact, got, error, where + ", row " + row);
      // Two distances are compared, each off by at most the bound.
      assertEquals(sorted[i], exact, 2 * error, where + ", rank " + i);
      assertEquals(metric.score(got), result.score(q, i));
      if (i > 0) {
        float before = result.distance(q, i - 1);
        assertTrue(before < got || before == got && result.row(q, i - 1) < row, where);
      }
    }
    assertEquals(
        expected,
        IntStream.range(0, expected).map(i -> result.row(q, i)).distinct().count(),
        where);
  }

  private static double distance(Metric metric, float[] q, float[] v) {
    double l2 = 0;
    double dot = 0;
    double l1 = 0;
    double qq = 0;
    double vv = 0;
    for (int i = 0; i < q.length; i++) {
      double difference = (double) q[i] - v[i];
      l2 += difference * difference;
      l1 += Math.abs(difference);
      dot += (double) q[i] * v[i];
      qq += (double) q[i] * q[i];
      vv += (double) v[i] * v[i];
    }
    return switch (metric) {
      case L2_SQUARED -> l2;
      case COSINE -> 1 - dot / Math.sqrt(qq * vv);
      case DOT -> -dot;
      case MANHATTAN -> l1;
      case POINCARE -> {
        double delta = l2 / ((1 - qq) * (1 - vv));
        double t = Math.sqrt(delta);
        yield 2 * Math.log(t + Math.sqrt(delta + 1)); // asinh
      }
    };
  }

  /**
   * At most dim/4 additions follow each other, then two more, the difference, the factor and the
   * final rounding: (dim/4 + 8) roundings of 2^-24 each, relative to the sum of magnitudes. That is
   * the distance itself where all terms are positive, sum |q v| for dot, and for cosine 1/2 (|q| +
   * |v|)^2 = 2 of the normalised vectors. asinh is concave with asinh(0) = 0, so it does not
   * enlarge a relative error. WebGPU divides and takes roots less exactly, within the same 8.
   */
  private static double errorBound(Metric metric, float[] q, float[] v, double exact) {
    double magnitude = exact;
    if (metric == Metric.COSINE) {
      magnitude = 2;
    } else if (metric == Metric.DOT) {
      magnitude = 0;
      for (int i = 0; i < q.length; i++) {
        magnitude += Math.abs((double) q[i] * v[i]);
      }
    }
    return (q.length / 4 + 8) * 0x1p-24 * magnitude;
  }

  private static float[][] vectors(Random random, Metric metric, int rows, int dim) {
    float[][] vectors = new float[rows][dim];
    for (float[] vector : vectors) {
      double squared = 0;
      for (int i = 0; i < dim; i++) {
        vector[i] = (float) random.nextGaussian();
        squared += (double) vector[i] * vector[i];
      }
      if (metric == Metric.POINCARE) {
        float scale = (float) (0.99 * random.nextDouble() / Math.sqrt(squared));
        for (int i = 0; i < dim; i++) {
          vector[i] *= scale;
        }
      }
    }
    return vectors;
  }

  @ParameterizedTest
  @ValueSource(strings = {"cpu", "java", "wgpu"})
  void mistakesAreNamed(String backend) {
    Device device = EachBackend.device(backend);
    VectorBatch two = VectorBatch.of(new float[][] {{1, 2}, {3, 4}});
    assertMistake("k [0]", () -> Knn.search(device, Metric.DOT, two, two, 0));
    VectorBatch three = VectorBatch.of(new float[][] {{1, 2, 3}});
    assertMistake("dimension [3]", () -> Knn.search(device, Metric.DOT, two, three, 1));
    VectorBatch nan = VectorBatch.of(new float[][] {{1, 2}, {1, Float.NaN}});
    assertMistake("NaN", () -> Knn.search(device, Metric.DOT, nan, two, 1), "nan");
    assertMistake("NaN", () -> Knn.search(device, Metric.DOT, two, nan, 1), "nan");
    VectorBatch zero = VectorBatch.of(new float[][] {{0, 0}});
    assertMistake("norm", () -> Knn.search(device, Metric.COSINE, zero, two, 1));
    VectorBatch outside = VectorBatch.of(new float[][] {{1, 0}});
    assertMistake("norm", () -> Knn.search(device, Metric.POINCARE, outside, outside, 1));
  }

  private static void assertMistake(String part, Runnable action, String... alternatives) {
    String message = assertThrows(IllegalArgumentException.class, action::run).getMessage();
    assertTrue(
        message.contains(part) || Arrays.stream(alternatives).anyMatch(message::contains), message);
  }

  @Test
  void theChoiceOfADeviceIsNamed() {
    VectorBatch one = VectorBatch.of(new float[][] {{1, 2}});
    KnnResult result = Knn.search(Metric.L2_SQUARED, one, one, 5);
    Device chosen = DeviceChoice.of(Settings.acceleration()).device();
    assertEquals(chosen, result.execution().device());
    boolean gpu = chosen.backend().compareTo(BackendKind.CPU) < 0;
    assertEquals(!gpu, result.execution().fallback().isPresent());
    assertEquals(1, result.hitCount(0));
    assertThrows(IndexOutOfBoundsException.class, () -> result.row(0, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> result.row(1, 0));
  }

  @Test
  void tooManyResultsAreRefusedBeforeAnythingIsAllocated() {
    VectorBatch many =
        VectorBatch.of(MemorySegment.ofArray(new float[50_000]), 50_000, 1, Float.BYTES);
    assertMistake("[50000] queries", () -> Knn.search(Metric.DOT, many, many, 50_000));
  }

  @Test
  void interruptStopsIt() {
    float[] values = new float[4_000_000];
    Arrays.fill(values, 1);
    VectorBatch batch = VectorBatch.of(MemorySegment.ofArray(values), 40_000, 100, 400);
    Device device = EachBackend.device("java"); // the slowest, so that the interrupt comes first
    Thread.currentThread().interrupt();
    try {
      assertThrows(
          CancellationException.class, () -> Knn.search(device, Metric.DOT, batch, batch, 10));
      assertTrue(Thread.currentThread().isInterrupted());
    } finally {
      Thread.interrupted();
    }
  }

  /** Offsets beyond 32 bits, and no more of the file in memory than its rows. */
  @Test
  void searchesAMappedFileLargerThanAnArray(@TempDir Path folder) throws Exception {
    long stride = 3L << 30;
    Path file = folder.resolve("rows");
    try (FileChannel channel =
            FileChannel.open(
                file,
                StandardOpenOption.CREATE_NEW,
                StandardOpenOption.SPARSE,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE);
        Arena arena = Arena.ofShared()) {
      MemorySegment mapped =
          channel.map(FileChannel.MapMode.READ_WRITE, 0, 2 * stride + 4 * Float.BYTES, arena);
      for (int i = 0; i < 3; i++) {
        mapped.set(ValueLayout.JAVA_FLOAT, i * stride + Float.BYTES, i + 1);
      }
      KnnResult result =
          Knn.search(
              Metric.L2_SQUARED,
              VectorBatch.of(mapped, 3, 4, stride),
              VectorBatch.of(new float[][] {{0, 4, 0, 0}}),
              3);
      assertEquals(List.of(2, 1, 0), List.of(result.row(0, 0), result.row(0, 1), result.row(0, 2)));
      assertEquals(9, result.distance(0, 2));
    }
  }
}
