// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.internal.index.KMeansJob;
import java.time.Duration;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Divides vectors into clusters around centroids, by k-means: {@code KMeans.of(Metric.L2_SQUARED,
 * vectors, 1024).seed(7).run()}. A random sample of the vectors is seeded by k-means|| and improved
 * by Lloyd's iterations; then every vector gets the number of its nearest centroid.
 *
 * <p>Under {@link Metric#L2_SQUARED} a centroid is the mean of its vectors, under {@link
 * Metric#COSINE} and {@link Metric#DOT} the direction of their sum, at length 1; other metrics have
 * no such thing. The same request and seed give the same numbers on the same device. No cluster of
 * the sample is empty: vectors that lie in fewer places than there are clusters are refused.
 *
 * <p>{@link #run} may be called from any thread and waits for the device, which works in short
 * turns with its indexes. Interrupting the caller stops the device, sets the interrupt flag again
 * and throws {@link java.util.concurrent.CancellationException}. The vectors and weights are copied
 * first and must stay as they are until then; host memory is needed for that copy, for another of
 * the sample, and for a byte a number and 200 a vector beside that.
 *
 * <p>An instance is a request that is being described, for one thread at a time; it can be run
 * again.
 */
public final class KMeans {
  /** As many iterations as are done where none are asked for. */
  public static final int DEFAULT_ITERATIONS = 10;

  /** Most clusters that every backend makes. */
  public static final int MAX_CLUSTERS = 65536;

  /** Vectors of the sample for each cluster, where no sample is asked for. */
  public static final int SAMPLE_PER_CLUSTER = 256;

  /**
   * How far a run is. Vectors count as often as they are passed: once to be checked, about six
   * times by the seeding, once by each iteration, and once for their labels.
   *
   * @param done vectors passed so far
   * @param total of all passes that are planned; fewer are done where nothing moves any more
   */
  public record Progress(long done, long total) {}

  /** Hears how far a run is. */
  @FunctionalInterface
  public interface ProgressListener {
    /**
     * Called on the thread that waits in {@link KMeans#run}, after turns of the device, which goes
     * on meanwhile; at last with all vectors passed. What it throws ends the run and is thrown
     * there.
     */
    void onProgress(Progress progress);
  }

  private final Metric metric;
  private final VectorBatch vectors;
  private final int clusters;
  private int iterations = DEFAULT_ITERATIONS;
  private long seed;
  private int sample;
  private boolean balanced;
  private float @Nullable [] weights;
  private @Nullable VectorBatch start;
  private @Nullable Duration timeout;
  private @Nullable Device device;
  private @Nullable ProgressListener listener;

  private KMeans(Metric metric, VectorBatch vectors, int clusters) {
    this.metric = metric;
    this.vectors = vectors;
    this.clusters = clusters;
  }

  /**
   * Describes a clustering of {@code vectors} into {@code clusters} clusters.
   *
   * @param clusters from 1 to as many as there are vectors, at most {@value #MAX_CLUSTERS}
   * @throws IllegalArgumentException for another number of clusters, and for a metric other than
   *     L2_SQUARED, COSINE and DOT
   */
  public static KMeans of(Metric metric, VectorBatch vectors, int clusters) {
    Objects.requireNonNull(metric, "metric");
    if (metric == Metric.POINCARE || metric == Metric.MANHATTAN) {
      throw new IllegalArgumentException(
          "KMeans.of: metric ["
              + metric
              + "], clusters have means under L2_SQUARED, COSINE and DOT");
    }
    int most = Math.min(MAX_CLUSTERS, vectors.size());
    if (clusters < 1 || clusters > most) {
      throw new IllegalArgumentException(
          "KMeans.of: clusters [%d], it must be from 1 to %d for %d vectors"
              .formatted(clusters, most, vectors.size()));
    }
    return new KMeans(metric, vectors, clusters);
  }

  /**
   * How often the centroids move, at least 1; fewer times where no vector changes its cluster any
   * more. {@value #DEFAULT_ITERATIONS} unless set.
   */
  public KMeans iterations(int iterations) {
    if (iterations < 1) {
      throw new IllegalArgumentException(
          "KMeans.iterations: [" + iterations + "], at least 1 is needed");
    }
    this.iterations = iterations;
    return this;
  }

  /** Of all that is drawn by chance; 0 unless set. */
  public KMeans seed(long seed) {
    this.seed = seed;
    return this;
  }

  /**
   * Vectors, drawn without replacement, that seeding and iterations look at; all where there are no
   * more. {@value #SAMPLE_PER_CLUSTER} for each cluster unless set.
   *
   * @throws IllegalArgumentException for fewer than there are clusters
   */
  public KMeans sample(int vectors) {
    if (vectors < clusters) {
      throw new IllegalArgumentException(
          "KMeans.sample: [%d] vectors, at least as many as the %d clusters are needed"
              .formatted(vectors, clusters));
    }
    this.sample = vectors;
    return this;
  }

  /**
   * What each vector counts, finite and at least 0; 1 unless set. One of weight 0 gets a label and
   * has no other part.
   *
   * @throws IllegalArgumentException unless there is such a weight for each vector
   */
  public KMeans weights(float[] weights) {
    if (weights.length != vectors.size()) {
      throw new IllegalArgumentException(
          "KMeans.weights: [%d] weights for %d vectors".formatted(weights.length, vectors.size()));
    }
    float[] own = weights.clone();
    for (int i = 0; i < own.length; i++) {
      if (!(own[i] >= 0 && own[i] <= Float.MAX_VALUE)) {
        throw new IllegalArgumentException(
            "KMeans.weights: weight [%d] is [%s], it must be finite and at least 0"
                .formatted(i, own[i]));
      }
    }
    this.weights = own;
    return this;
  }

  /**
   * Begins with these centroids instead of seeding.
   *
   * @throws IllegalArgumentException unless they are as many as the clusters, of the vectors'
   *     dimension; whether the metric allows them is looked at by {@link #run}
   */
  public KMeans start(VectorBatch centroids) {
    if (centroids.size() != clusters || centroids.dimension() != vectors.dimension()) {
      throw new IllegalArgumentException(
          "KMeans.start: [%d] centroids of dimension [%d], %d of %d are needed"
              .formatted(centroids.size(), centroids.dimension(), clusters, vectors.dimension()));
    }
    this.start = centroids;
    return this;
  }

  /**
   * Whether clusters are to be of similar weight: then iterations go on, up to twice as many and
   * 16, until none of the sample weighs more than twice the mean. Vectors of one place stay
   * together, whatever they weigh.
   */
  public KMeans balanced(boolean balanced) {
    this.balanced = balanced;
    return this;
  }

  /** Ends the run after a time, which must be positive and includes waiting for the device. */
  public KMeans timeout(Duration timeout) {
    if (timeout.isNegative() || timeout.isZero()) {
      throw new IllegalArgumentException(
          "KMeans.timeout: [" + timeout + "], a time-out must be positive");
    }
    this.timeout = timeout;
    return this;
  }

  /** Runs on this device, and fails rather than use another. */
  public KMeans device(Device device) {
    this.device = Objects.requireNonNull(device, "device");
    return this;
  }

  /** Tells how far the run is. */
  public KMeans progress(ProgressListener listener) {
    this.listener = Objects.requireNonNull(listener, "listener");
    return this;
  }

  /**
   * Runs it, on the device that the acceleration policy of {@link Accelerators} leads to unless one
   * was named.
   *
   * @throws IllegalArgumentException for a vector or start that the metric does not allow, which
   *     the message names; for vectors in fewer places than there are clusters; and where fewer
   *     vectors of the sample than clusters have a weight above 0
   * @throws SearchTimeoutException when it was not finished in time; the device has been stopped
   *     then
   * @throws VectorIndexException when no device can do it
   */
  public KMeansResult run() {
    return new KMeansJob(
            metric, vectors, clusters, iterations, sample, seed, balanced, weights, start, listener)
        .run(device, timeout);
  }
}
