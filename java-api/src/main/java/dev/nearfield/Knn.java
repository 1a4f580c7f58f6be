// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.internal.index.KnnCall;
import java.util.Objects;

/**
 * Exact nearest neighbours of some vectors among others, without an index: for answers that are
 * needed once. Each call copies the dataset to the device; whoever searches the same vectors again
 * keeps them in an {@link AcceleratedVectorIndex}.
 *
 * <p>Calls come from any thread and wait for the device, which runs them in turn with its indexes.
 * Interrupting the caller stops the device, sets the interrupt flag again and throws {@link
 * java.util.concurrent.CancellationException}.
 */
public final class Knn {
  private Knn() {}

  /**
   * Searches on the device that the acceleration policy of {@link Accelerators} leads to. Falling
   * back is named in {@link Execution#fallback()}.
   *
   * @param k at least 1; more than the dataset holds is allowed
   * @throws IllegalArgumentException for k &lt; 1, dimensions that differ, or a vector that the
   *     metric does not allow; the message names the vector
   * @throws VectorIndexException when no device can do it
   */
  public static KnnResult search(Metric metric, VectorBatch dataset, VectorBatch queries, int k) {
    return KnnCall.search(metric, dataset, queries, k, null);
  }

  /**
   * Searches on this device, and fails rather than use another.
   *
   * @see #search(Metric, VectorBatch, VectorBatch, int)
   */
  public static KnnResult search(
      Device device, Metric metric, VectorBatch dataset, VectorBatch queries, int k) {
    return KnnCall.search(metric, dataset, queries, k, Objects.requireNonNull(device, "device"));
  }
}
