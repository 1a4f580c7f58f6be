// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EmbeddingCacheTest {
  private static final int DIMENSION = 3;
  private static final int SIZE = 100;

  @TempDir Path folder;
  private Path file;

  @BeforeEach
  void nameFile() {
    file = folder.resolve("new folder").resolve("demo.embeddings");
  }

  private EmbeddingCache open(String key) throws IOException {
    return EmbeddingCache.open(
        file,
        key,
        DIMENSION,
        () -> SIZE,
        () -> {
          throw new AssertionError("nobody else is here");
        });
  }

  /** Three chunks of two definitions each. */
  private void fill() throws IOException {
    try (EmbeddingCache cache = open("key")) {
      assertEquals(0, cache.read(SIZE, (definitions, vectors) -> {}));
      for (int i = 0; i < 6; i += 2) {
        cache.append(Texts.definitions(SIZE).subList(i, i + 2), vectors(i, 2));
      }
    }
  }

  private static float[] vectors(int first, int count) {
    float[] vectors = new float[count * DIMENSION];
    for (int i = 0; i < vectors.length; i++) {
      vectors[i] = first * DIMENSION + i + 0.5f;
    }
    return vectors;
  }

  /** Reads up to the limit, checks what came, and answers how much it was. */
  private int read(EmbeddingCache cache, int limit) throws IOException {
    List<Definition> definitions = new ArrayList<>();
    List<float[]> vectors = new ArrayList<>();
    int count =
        cache.read(
            limit,
            (some, floats) -> {
              definitions.addAll(some);
              vectors.add(floats.toArray(ValueLayout.JAVA_FLOAT_UNALIGNED));
            });
    assertEquals(Texts.definitions(SIZE).subList(0, count), definitions);
    int floats = vectors.stream().mapToInt(v -> v.length).sum();
    float[] all = new float[floats];
    int at = 0;
    for (float[] some : vectors) {
      System.arraycopy(some, 0, all, at, some.length);
      at += some.length;
    }
    assertArrayEquals(vectors(0, count), all);
    return count;
  }

  @Test
  void keepsWhatWasAppended() throws IOException {
    fill();
    try (EmbeddingCache cache = open("key")) {
      assertEquals(SIZE, cache.dictionarySize());
      assertEquals(6, read(cache, SIZE));
    }
  }

  @Test
  void aSmallerLimitReadsLessAndALargerOneGrowsTheFile() throws IOException {
    fill();
    try (EmbeddingCache cache = open("key")) {
      assertEquals(3, read(cache, 3));
    }
    try (EmbeddingCache cache = open("key")) {
      assertEquals(6, read(cache, 7));
      cache.append(Texts.definitions(SIZE).subList(6, 7), vectors(6, 1));
    }
    try (EmbeddingCache cache = open("key")) {
      assertEquals(7, read(cache, SIZE));
    }
  }

  @Test
  void anotherKeyStartsAnew() throws IOException {
    fill();
    try (EmbeddingCache cache = open("kez")) {
      assertEquals(0, read(cache, SIZE));
    }
    try (EmbeddingCache cache = open("key")) {
      assertEquals(0, read(cache, SIZE));
    }
  }

  @Test
  void aForeignFileStartsAnew() throws IOException {
    Files.createDirectories(file.getParent());
    for (byte[] foreign :
        List.of(new byte[0], new byte[] {1}, "not a cache at all".getBytes(), filled(5000))) {
      Files.write(file, foreign);
      try (EmbeddingCache cache = open("key")) {
        assertEquals(0, read(cache, SIZE));
      }
      fill();
      try (EmbeddingCache cache = open("key")) {
        assertEquals(6, read(cache, SIZE));
      }
    }
  }

  private static byte[] filled(int length) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, (byte) 0xff);
    return bytes;
  }

  @Test
  void truncatedAnywhereItKeepsTheWholeChunks() throws IOException {
    fill();
    byte[] whole = Files.readAllBytes(file);
    int last = -1;
    for (int length = 0; length <= whole.length; length++) {
      Files.write(file, Arrays.copyOf(whole, length));
      try (EmbeddingCache cache = open("key")) {
        int count = read(cache, SIZE);
        assertTrue(count % 2 == 0 && count >= last, "length " + length + ": " + count);
        last = count;
        // What is appended now must not end up behind a damaged chunk.
        cache.append(Texts.definitions(SIZE).subList(count, count + 1), vectors(count, 1));
      }
      try (EmbeddingCache cache = open("key")) {
        assertEquals(last + 1, read(cache, SIZE), "length " + length);
      }
    }
    assertEquals(6, last);
  }

  @Test
  void aFlippedBitAnywhereIsFound() throws IOException {
    fill();
    byte[] whole = Files.readAllBytes(file);
    for (int bit = 0; bit < whole.length * 8; bit++) {
      byte[] damaged = whole.clone();
      damaged[bit / 8] ^= (byte) (1 << (bit % 8));
      Files.write(file, damaged);
      try (EmbeddingCache cache = open("key")) {
        assertTrue(read(cache, SIZE) < 6, "bit " + bit); // read() has compared every value
      }
    }
  }

  @Test
  void waitsForAnotherProcess() throws Exception {
    fill();
    Files.write(folder.resolve("Holder.java"), holder().getBytes());
    Process holder =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                folder.resolve("Holder.java").toString(),
                file.resolveSibling(file.getFileName() + ".lock").toString())
            .redirectErrorStream(true)
            .start();
    try {
      assertEquals('L', holder.getInputStream().read());
      CountDownLatch waiting = new CountDownLatch(1);
      Thread other =
          Thread.ofPlatform()
              .start(
                  () -> {
                    try (EmbeddingCache cache =
                        EmbeddingCache.open(
                            file, "key", DIMENSION, () -> SIZE, waiting::countDown)) {
                      assertEquals(6, read(cache, SIZE));
                    } catch (IOException e) {
                      throw new AssertionError(e);
                    }
                  });
      assertTrue(waiting.await(20, TimeUnit.SECONDS));
      assertTrue(other.isAlive());
      holder.getOutputStream().close(); // lets go
      other.join(20_000);
      assertEquals(Thread.State.TERMINATED, other.getState());
    } finally {
      holder.destroyForcibly();
    }
  }

  /** Holds the lock until its input ends. */
  private static String holder() {
    return """
        import java.nio.channels.*; import java.nio.file.*;
        class Holder {
          public static void main(String[] args) throws Exception {
            try (var channel = FileChannel.open(Path.of(args[0]), StandardOpenOption.WRITE)) {
              channel.lock();
              System.out.print('L');
              System.out.flush();
              System.in.read();
            }
          }
        }
        """;
  }
}
