// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** The definitions to search and their vectors: from the cache as far as it goes, then embedded. */
final class Corpus {
  /** A third of a second of work on two cores: the most that an interruption loses. */
  static final int CHUNK = 256;

  private final Supplier<List<Definition>> dictionary;
  private final Supplier<Embedder> embedder;
  private final PrintStream messages;
  private final boolean terminal;

  /**
   * @param dictionary asked only when the cache does not hold enough; likewise {@code embedder}
   * @param messages progress and warnings
   * @param terminal whether a line of {@code messages} can be redrawn
   */
  Corpus(
      Supplier<List<Definition>> dictionary,
      Supplier<Embedder> embedder,
      PrintStream messages,
      boolean terminal) {
    this.dictionary = dictionary;
    this.embedder = embedder;
    this.messages = messages;
    this.terminal = terminal;
  }

  /**
   * Hands the first {@code limit} definitions of the dictionary to {@code sink}, in order.
   *
   * @param cache null: nothing is kept; one that fails is done without
   */
  void load(int limit, @Nullable EmbeddingCache cache, EmbeddingCache.Sink sink)
      throws IOException, InterruptedException {
    int done = 0;
    if (cache != null) {
      int wanted = Math.min(limit, cache.dictionarySize());
      done = cache.read(wanted, sink);
      if (done == wanted) {
        return;
      }
    }
    List<Definition> all = dictionary.get();
    embed(all.subList(done, Math.min(limit, all.size())), done, cache, sink);
  }

  private void embed(
      List<Definition> missing, int done, @Nullable EmbeddingCache cache, EmbeddingCache.Sink sink)
      throws InterruptedException {
    int total = done + missing.size();
    Embedder model = embedder.get();
    Progress progress = new Progress(messages, terminal, System::nanoTime, done, total);
    ExecutorService threads =
        Executors.newFixedThreadPool(
            Runtime.getRuntime().availableProcessors(),
            Thread.ofPlatform().daemon().name("embed-", 0).factory());
    try {
      for (int from = 0; from < missing.size(); from += CHUNK) {
        List<Definition> chunk = missing.subList(from, Math.min(from + CHUNK, missing.size()));
        float[] vectors = embed(chunk, model, threads);
        if (cache != null) {
          cache = append(cache, chunk, vectors);
        }
        sink.accept(chunk, MemorySegment.ofArray(vectors));
        progress.update(done + from + chunk.size());
      }
    } finally {
      threads.shutdownNow();
      progress.close();
    }
  }

  private static float[] embed(List<Definition> chunk, Embedder model, ExecutorService threads)
      throws InterruptedException {
    List<Callable<float[]>> tasks =
        chunk.stream().<Callable<float[]>>map(one -> () -> model.vector(one.text())).toList();
    List<Future<float[]>> vectors = threads.invokeAll(tasks);
    int dimension = model.dimension();
    float[] rows = new float[chunk.size() * dimension];
    for (int i = 0; i < chunk.size(); i++) {
      try {
        System.arraycopy(vectors.get(i).get(), 0, rows, i * dimension, dimension);
      } catch (ExecutionException e) {
        throw new IllegalStateException(
            "demo: embedding '%s' failed: %s".formatted(chunk.get(i).text(), e.getCause()), e);
      }
    }
    return rows;
  }

  /** The cache for the next chunk: none once it has failed, a full disk say. */
  private @Nullable EmbeddingCache append(
      EmbeddingCache cache, List<Definition> chunk, float[] vectors) {
    try {
      cache.append(chunk, vectors);
      return cache;
    } catch (IOException e) {
      messages.println("demo: embeddings are no longer kept on disk: " + e);
      return null;
    }
  }
}
