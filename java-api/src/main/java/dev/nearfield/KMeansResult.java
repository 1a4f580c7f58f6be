// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/**
 * Centroids, and which vector belongs to which. Immutable. Methods throw {@link
 * IndexOutOfBoundsException} for a cluster or vector that does not exist.
 */
public interface KMeansResult {
  int clusterCount();

  int dimension();

  /** A copy of the centroid; of {@link Metric#COSINE} and {@link Metric#DOT} its length is 1. */
  float[] centroid(int cluster);

  /** All centroids, by their numbers: to search them, or to begin with them again. */
  VectorBatch centroids();

  int vectorCount();

  /**
   * The nearest centroid of a vector, of equally near ones the first: what {@link Knn} answers for
   * k = 1 with the centroids as dataset.
   */
  int label(int vector);

  /**
   * The sum of the distances of all vectors to their centroids, each times its weight. Of {@link
   * Metric#DOT} distances are mostly negative.
   */
  double inertia();

  /** One query for each vector, all of them certified. */
  Execution execution();
}
