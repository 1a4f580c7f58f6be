// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Knn over a mapped file of many blocks: all zeros but for a few rows. */
@Timeout(120)
class KnnFileTest {
  private static final int DIM = 64;
  private static final int ROWS = 2_000_000; // 512 MB

  /** In the first block, in the middle, at the ends of pieces of 32 MiB, and at the end. */
  private static final int[] NEEDLES = {3, 131_071, 131_072, 1_234_567, ROWS - 1};

  private static final Path STATUS = Path.of("/proc/self/status");

  private final Device device = EachBackend.device("cpu");
  private Arena arena;
  private MemorySegment rows;

  @BeforeEach
  void map(@TempDir Path folder) throws IOException {
    arena = Arena.ofShared();
    try (FileChannel channel =
        FileChannel.open(
            folder.resolve("rows"),
            StandardOpenOption.CREATE_NEW,
            StandardOpenOption.SPARSE,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE)) {
      rows = channel.map(FileChannel.MapMode.READ_WRITE, 0, (long) ROWS * DIM * Float.BYTES, arena);
    }
    for (int i = 0; i < NEEDLES.length; i++) {
      set(NEEDLES[i], 0, 10 - i);
    }
  }

  @AfterEach
  void unmap() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }

  private void set(int row, int dimension, float value) {
    rows.set(ValueLayout.JAVA_FLOAT, ((long) row * DIM + dimension) * Float.BYTES, value);
  }

  private VectorBatch dataset() {
    return VectorBatch.of(rows, ROWS, DIM, (long) DIM * Float.BYTES);
  }

  private static VectorBatch queries(int count) {
    float[][] queries = new float[count][DIM];
    for (float[] query : queries) {
      query[0] = 10;
    }
    return VectorBatch.of(queries);
  }

  @Test
  void findsRowsOfEveryBlockInFlatMemory() throws Exception {
    assumeTrue(Files.exists(STATUS), "memory is read from " + STATUS);
    Knn.search(device, Metric.L2_SQUARED, queries(1), queries(1), 1); // whatever is loaded once
    AtomicBoolean over = new AtomicBoolean();
    AtomicLong peak = new AtomicLong();
    long before = anonymousBytes();
    Thread watch =
        Thread.ofPlatform()
            .start(
                () -> {
                  while (!over.get()) {
                    peak.accumulateAndGet(anonymousBytes(), Math::max);
                    LockSupport.parkNanos(10_000_000); // its own garbage counts too
                  }
                });
    KnnResult result;
    try {
      result = Knn.search(device, Metric.L2_SQUARED, dataset(), queries(1), NEEDLES.length);
    } finally {
      over.set(true);
      watch.join();
    }
    assertEquals(
        IntStream.of(NEEDLES).boxed().toList(),
        IntStream.range(0, NEEDLES.length).mapToObj(i -> result.row(0, i)).toList());
    assertEquals(4, result.distance(0, 2));
    // Two pieces on their way and a block, of 32 MiB each, and as much again for the JVM.
    long grown = peak.get() - before;
    assertTrue(grown < 6L * 32 << 20, "the process grew by [" + grown + "] bytes");
  }

  /** Of the process, pages of files not counted. */
  private static long anonymousBytes() {
    try {
      List<String> lines = Files.readAllLines(STATUS);
      String line = lines.stream().filter(l -> l.startsWith("RssAnon:")).findFirst().orElseThrow();
      return Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aBadRowOfALaterBlockIsNamed() {
    set(1_500_000, 7, Float.NaN);
    set(ROWS - 2, 1, Float.POSITIVE_INFINITY);
    String message =
        assertThrows(
                IllegalArgumentException.class,
                () -> Knn.search(device, Metric.L2_SQUARED, dataset(), queries(1), 3))
            .getMessage();
    assertTrue(message.contains("row 1500000, dimension 7"), message);
  }

  /** And nothing looks at the file once the call has returned. */
  @Test
  void anInterruptOrATimeOutEndsItMidWay() throws Exception {
    VectorBatch many = queries(4000);
    Duration timeout = Duration.ofMillis(200);
    assertThrows(
        SearchTimeoutException.class,
        () -> Knn.search(device, Metric.L2_SQUARED, dataset(), many, 3, timeout));
    Thread caller = Thread.currentThread();
    Thread interrupter =
        Thread.ofPlatform()
            .start(
                () -> {
                  try {
                    Thread.sleep(200);
                  } catch (InterruptedException e) {
                    throw new AssertionError(e);
                  }
                  caller.interrupt();
                });
    assertThrows(
        CancellationException.class,
        () -> Knn.search(device, Metric.L2_SQUARED, dataset(), many, 3));
    assertTrue(Thread.interrupted());
    interrupter.join();
    arena.close();
  }
}
