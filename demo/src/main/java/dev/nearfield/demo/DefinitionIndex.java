// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendKind;
import dev.nearfield.Device;
import dev.nearfield.Execution;
import dev.nearfield.Hit;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandles;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The definitions under the handles of their vectors. Not thread-safe. */
final class DefinitionIndex implements AutoCloseable {
  private final int dimension;
  private final AcceleratedVectorIndex index;
  private final Map<Long, Definition> definitions = new HashMap<>();

  /**
   * @param backend empty: the best one present
   */
  DefinitionIndex(int dimension, Optional<BackendKind> backend) {
    this.dimension = dimension;
    AcceleratedVectorIndex.Builder builder =
        AcceleratedVectorIndex.builder(dimension, Metric.COSINE);
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

  Answer search(String query, float[] vector, int k) {
    SearchRequest request = SearchRequest.builder().query(vector).topK(k).build();
    long start = System.nanoTime();
    SearchResult result = index.search(request);
    double millis = (System.nanoTime() - start) / 1e6;
    return new Answer(
        query,
        result.hits(0).stream().map(this::hit).toList(),
        device(result.execution()),
        definitions.size(),
        millis);
  }

  private Answer.Hit hit(Hit hit) {
    return new Answer.Hit(hit.distance(), hit.score(), definitions.get(hit.handle().bits()));
  }

  private static String device(Execution execution) {
    Device device = execution.device();
    String name = device.id() + " " + device.name();
    return execution.fallback().map(reason -> name + ", fallback: " + reason).orElse(name);
  }

  @Override
  public void close() {
    index.close();
  }
}
