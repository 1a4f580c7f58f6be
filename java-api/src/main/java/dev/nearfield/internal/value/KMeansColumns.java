// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.Execution;
import dev.nearfield.KMeansResult;
import dev.nearfield.VectorBatch;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;

/** The one implementation of {@link KMeansResult}; owns its arrays. */
public record KMeansColumns(
    int dimension, float[] values, int[] labels, double inertia, Execution execution)
    implements KMeansResult {
  @Override
  public int clusterCount() {
    return values.length / dimension;
  }

  @Override
  public float[] centroid(int cluster) {
    int from = Objects.checkIndex(cluster, clusterCount()) * dimension;
    return Arrays.copyOfRange(values, from, from + dimension);
  }

  @Override
  public VectorBatch centroids() {
    return VectorBatch.of(
        MemorySegment.ofArray(values).asReadOnly(),
        clusterCount(),
        dimension,
        (long) dimension * Float.BYTES);
  }

  @Override
  public int vectorCount() {
    return labels.length;
  }

  @Override
  public int label(int vector) {
    return labels[Objects.checkIndex(vector, labels.length)];
  }

  @Override
  public boolean equals(Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }

  @Override
  public String toString() {
    return "KMeansResult of %d clusters of %d vectors, inertia %s, by %s"
        .formatted(clusterCount(), labels.length, inertia, execution.device());
  }
}
