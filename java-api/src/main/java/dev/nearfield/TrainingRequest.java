// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * How lists are trained ({@link AcceleratedVectorIndex#train(TrainingRequest)}): a sample is
 * clustered by k-means, and every vector goes to the list of its nearest centroid. The same
 * vectors, request and device make the same lists. Immutable, and may be used many times.
 */
public final class TrainingRequest {
  /** As often as the centroids move where nothing is said. */
  public static final int DEFAULT_ITERATIONS = 10;

  /** Vectors of the sample for each list, where no sample is asked for. */
  public static final int SAMPLE_PER_LIST = 256;

  /**
   * How far a training is.
   *
   * @param done vectors that are in their lists; none while the sample is clustered
   * @param total that there are
   */
  public record Progress(long done, long total) {}

  /** Hears how far a training is. */
  @FunctionalInterface
  public interface ProgressListener {
    /**
     * Called after steps of the device, which goes on meanwhile, one call at a time, on {@link
     * AcceleratedVectorIndex.Builder#executor}. What it throws is logged.
     */
    void onProgress(Progress progress);
  }

  private final int lists;
  private final int iterations;
  private final int sample;
  private final long seed;
  private final @Nullable VectorBatch vectors;
  private final @Nullable ProgressListener listener;

  private TrainingRequest(Builder from) {
    this.lists = from.lists;
    this.iterations = from.iterations;
    this.sample = from.sample;
    this.seed = from.seed;
    this.vectors = from.vectors;
    this.listener = from.listener;
  }

  public static Builder builder() {
    return new Builder();
  }

  /** 0: as the {@link IndexSpec.Ivf} of the index says. */
  public int lists() {
    return lists;
  }

  public int iterations() {
    return iterations;
  }

  /** 0: {@value #SAMPLE_PER_LIST} for each list. */
  public int sample() {
    return sample;
  }

  public long seed() {
    return seed;
  }

  /** What the sample is taken from; empty: the vectors of the index. */
  public Optional<VectorBatch> vectors() {
    return Optional.ofNullable(vectors);
  }

  public Optional<ProgressListener> progress() {
    return Optional.ofNullable(listener);
  }

  /** Collects a request; not thread-safe. Of repeated calls to one method the last counts. */
  public static final class Builder {
    private int lists;
    private int iterations = DEFAULT_ITERATIONS;
    private int sample;
    private long seed;
    private @Nullable VectorBatch vectors;
    private @Nullable ProgressListener listener;

    private Builder() {}

    /**
     * How many lists there shall be, at most as many as there are vectors to train on; by default
     * what the {@link IndexSpec.Ivf} of the index says.
     *
     * @throws IllegalArgumentException unless it is in [1, {@value IndexSpec#MAX_LISTS}]
     */
    public Builder lists(int lists) {
      if (lists < 1 || lists > IndexSpec.MAX_LISTS) {
        throw new IllegalArgumentException(
            "TrainingRequest: lists [%d], it must lie in [1, %d]"
                .formatted(lists, IndexSpec.MAX_LISTS));
      }
      this.lists = lists;
      return this;
    }

    /**
     * How often the centroids move, at least 1; fewer times where no vector of the sample changes
     * its list any more. By default {@value #DEFAULT_ITERATIONS}.
     */
    public Builder iterations(int iterations) {
      if (iterations < 1) {
        throw new IllegalArgumentException(
            "TrainingRequest: iterations [" + iterations + "], at least 1 is needed");
      }
      this.iterations = iterations;
      return this;
    }

    /**
     * Vectors, drawn without replacement, that the clustering looks at; all where there are no
     * more. At least 2 and as many as there are lists; by default {@value #SAMPLE_PER_LIST} for
     * each list.
     */
    public Builder sample(int vectors) {
      if (vectors < 2) {
        throw new IllegalArgumentException(
            "TrainingRequest: sample [" + vectors + "], at least 2 vectors are needed");
      }
      this.sample = vectors;
      return this;
    }

    /** Of all that is drawn by chance; by default 0. */
    public Builder seed(long seed) {
      this.seed = seed;
      return this;
    }

    /**
     * Takes the sample from these instead of the vectors of the index, which may be empty then:
     * they are not added to it. Each call of {@code train} copies them.
     *
     * @throws IllegalArgumentException when there are fewer than 2
     */
    public Builder vectors(VectorBatch vectors) {
      if (vectors.size() < 2) {
        throw new IllegalArgumentException(
            "TrainingRequest: [%d] vectors, lists are trained on at least 2"
                .formatted(vectors.size()));
      }
      this.vectors = vectors;
      return this;
    }

    /** Tells how far the training is. */
    public Builder progress(ProgressListener listener) {
      this.listener = Objects.requireNonNull(listener, "listener");
      return this;
    }

    /**
     * Checks everything that does not depend on the index.
     *
     * @throws IllegalArgumentException for fewer vectors, or fewer in the sample, than lists
     */
    public TrainingRequest build() {
      int most = vectors == null ? Integer.MAX_VALUE : vectors.size();
      if (lists > most) {
        throw new IllegalArgumentException(
            "TrainingRequest: lists [%d], there are %d vectors to train them on"
                .formatted(lists, most));
      }
      if (sample != 0 && sample < lists) {
        throw new IllegalArgumentException(
            "TrainingRequest: sample [%d], at least as many as the %d lists are needed"
                .formatted(sample, lists));
      }
      return new TrainingRequest(this);
    }
  }
}
