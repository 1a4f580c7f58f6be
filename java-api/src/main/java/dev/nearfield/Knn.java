// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.internal.index.KnnJob;
import java.time.Duration;
import java.util.Objects;

/**
 * Exact nearest neighbours of some vectors among others, without an index: for answers that are
 * needed once. Each call copies the dataset to the device, in pieces, and the device keeps no more
 * of it than it needs: ground truth for a mapped file of many gigabytes is one call, with the
 * memory of a small one. Whoever searches the same vectors again keeps them in an {@link
 * AcceleratedVectorIndex}.
 *
 * <p>Calls come from any thread and wait for the device, which works on them in short turns with
 * its indexes. Interrupting the caller stops the device, sets the interrupt flag again and throws
 * {@link java.util.concurrent.CancellationException}. The vectors must stay as they are until the
 * call returns.
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
    return KnnJob.search(metric, dataset, queries, k, null, null);
  }

  /**
   * The same within a time, which must be positive and includes waiting for the device.
   *
   * @throws SearchTimeoutException when it was not finished; the device has been stopped then
   * @see #search(Metric, VectorBatch, VectorBatch, int)
   */
  public static KnnResult search(
      Metric metric, VectorBatch dataset, VectorBatch queries, int k, Duration timeout) {
    return KnnJob.search(
        metric, dataset, queries, k, null, Objects.requireNonNull(timeout, "timeout"));
  }

  /**
   * Searches on this device, and fails rather than use another.
   *
   * @see #search(Metric, VectorBatch, VectorBatch, int)
   */
  public static KnnResult search(
      Device device, Metric metric, VectorBatch dataset, VectorBatch queries, int k) {
    return KnnJob.search(
        metric, dataset, queries, k, Objects.requireNonNull(device, "device"), null);
  }

  /**
   * The same within a time.
   *
   * @see #search(Metric, VectorBatch, VectorBatch, int, Duration)
   */
  public static KnnResult search(
      Device device,
      Metric metric,
      VectorBatch dataset,
      VectorBatch queries,
      int k,
      Duration timeout) {
    return KnnJob.search(
        metric,
        dataset,
        queries,
        k,
        Objects.requireNonNull(device, "device"),
        Objects.requireNonNull(timeout, "timeout"));
  }
}
