// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendKind;
import dev.nearfield.Device;
import dev.nearfield.Execution;
import dev.nearfield.Hit;
import dev.nearfield.IndexSpec;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.TrainingReport;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandles;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.CompletionException;

/** The definitions under the handles of their vectors. Not thread-safe. */
final class DefinitionIndex implements AutoCloseable {
  private final int dimension;
  private final OptionalDouble recall;
  private final AcceleratedVectorIndex index;
  private final Map<Long, Definition> definitions = new HashMap<>();
  private int lists;

  /**
   * @param backend empty: the best one present
   * @param recall that searches of lists aim at; empty: the library's own default
   */
  DefinitionIndex(
      int dimension, Optional<BackendKind> backend, IndexSpec spec, OptionalDouble recall) {
    this.dimension = dimension;
    this.recall = recall;
    AcceleratedVectorIndex.Builder builder =
        AcceleratedVectorIndex.builder(dimension, Metric.COSINE).spec(spec);
    backend.ifPresent(builder::backend);
    this.index = builder.build();
  }

  /** {@code vectors}: row-major floats in native byte order; copied. */
  void add(List<Definition> added, MemorySegment vectors) {
    VectorHandles handles =
        index.addAll(
            VectorBatch.of(vectors, added.size(), dimension, (long) dimension * Float.BYTES));
    for (int i = 0; i < added.size(); i++) {
      definitions.put(handles.bits(i), added.get(i));
    }
  }

  /** Of an index with lists: puts into them what was added. On some devices there are none. */
  TrainingReport train() {
    try {
      TrainingReport report = index.train().join();
      lists = report.lists();
      return report;
    } catch (CompletionException e) {
      throw new IllegalStateException(e.getCause().getMessage(), e);
    }
  }

  /** What computes, in words. */
  String device() {
    return device(index.placement().device());
  }

  Answer search(String query, float[] vector, int k) {
    SearchRequest.Builder request = SearchRequest.builder().query(vector).topK(k);
    recall.ifPresent(request::targetRecall);
    SearchRequest timed = request.build();
    long start = System.nanoTime();
    SearchResult result = index.search(timed);
    double millis = (System.nanoTime() - start) / 1e6;
    return new Answer(
        query,
        result.hits(0).stream().map(this::hit).toList(),
        device(result.execution()),
        definitions.size(),
        millis,
        lists == 0 ? Optional.empty() : Optional.of(lists(result, request)));
  }

  private Answer.Lists lists(SearchResult found, SearchRequest.Builder request) {
    SearchResult exact = index.search(request.exact(true).build());
    return new Answer.Lists(
        found.listsScanned(0), lists, found.recallEstimate(0), recall(found, exact));
  }

  /** Of equally near definitions either is right. */
  private static double recall(SearchResult found, SearchResult exact) {
    int wanted = exact.hitCount(0);
    float worst = exact.distance(0, wanted - 1);
    long right = found.hits(0).stream().filter(hit -> hit.distance() <= worst).count();
    return (double) right / wanted;
  }

  private Answer.Hit hit(Hit hit) {
    return new Answer.Hit(hit.distance(), hit.score(), definitions.get(hit.handle().bits()));
  }

  private static String device(Execution execution) {
    String name = device(execution.device());
    return execution.fallback().map(reason -> name + ", fallback: " + reason).orElse(name);
  }

  private static String device(Device device) {
    return device.id() + " " + device.name();
  }

  @Override
  public void close() {
    index.close();
  }
}
