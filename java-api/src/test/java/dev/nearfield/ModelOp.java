// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * One operation of a model-based test. Vectors in the index are named by a number that is taken
 * modulo the count of those there, so that a sequence still means something when operations are
 * dropped.
 */
public sealed interface ModelOp {
  record Add(float[] vector) implements ModelOp {}

  record AddAll(float[][] vectors) implements ModelOp {}

  record Remove(int pick) implements ModelOp {}

  /** Live ones from a pick on, twice each, with some that are stale. */
  record RemoveAll(int pick, int count) implements ModelOp {}

  /** Those that a filter as in {@link Search} lets pass. */
  record RemoveIf(int keep) implements ModelOp {}

  record Replace(int pick, float[] vector) implements ModelOp {}

  record Get(int pick) implements ModelOp {}

  /** Remove, replace and get of a vector that was removed or replaced before. */
  record UseStale(int pick, float[] vector) implements ModelOp {}

  enum FilterKind {
    NONE,
    HANDLES,
    PREDICATE,
    BOTH
  }

  /**
   * @param keep a filter lets vector i pass when {@code hash(i) % 100 < keep}
   * @param nearest null: unlimited; else the limit lies between the distances of the first query's
   *     neighbours number {@code nearest} and the next
   */
  record Search(
      float[][] queries,
      int k,
      FilterKind filter,
      int keep,
      boolean limited,
      int nearest,
      Reach reach)
      implements ModelOp {}

  /** Which lists a search is to look into; without lists each is the same. */
  enum Reach {
    UNSAID,
    ONE,
    TARGET,
    ALL,
    EXACT
  }

  /**
   * @param lists 0: as many as suit the vectors
   * @param waits whether it is done before the next operation; else that meets it in its middle
   */
  record Train(int lists, boolean waits) implements ModelOp {}

  /**
   * @param waits as of {@link Train}
   */
  record Maintain(boolean waits) implements ModelOp {}

  record Compact() implements ModelOp {}

  record Stats() implements ModelOp {}

  /** A sequence for a flat index of that dimension and metric. */
  static List<ModelOp> sequence(Random random, Metric metric, int dim, int length) {
    return sequence(random, metric, dim, length, false);
  }

  /** {@code trains}: for one of lists. */
  static List<ModelOp> sequence(Random random, Metric metric, int dim, int length, boolean trains) {
    Vectors vectors = new Vectors(random, metric, dim);
    List<ModelOp> ops = new ArrayList<>();
    for (int i = 0; i < length; i++) {
      ops.add(trains && random.nextInt(8) == 0 ? training(random) : next(random, vectors));
    }
    return ops;
  }

  private static ModelOp training(Random random) {
    boolean waits = random.nextBoolean();
    if (random.nextBoolean()) {
      return new Maintain(waits);
    }
    return new Train(waits && random.nextBoolean() ? 1 + random.nextInt(12) : 0, waits);
  }

  private static ModelOp next(Random random, Vectors vectors) {
    int pick = random.nextInt(1 << 20);
    return switch (random.nextInt(20)) {
      case 0, 1, 2 -> new Add(vectors.next());
      case 3, 4 -> new AddAll(vectors.next(1 + random.nextInt(random.nextBoolean() ? 5 : 90)));
      case 5, 6, 7 -> new Remove(pick);
      case 8 ->
          random.nextBoolean()
              ? new RemoveAll(pick, 1 + random.nextInt(30))
              : new RemoveIf(random.nextInt(60));
      case 9, 10 -> new Replace(pick, vectors.next());
      case 11 -> new Get(pick);
      case 12 -> new UseStale(pick, vectors.next());
      case 13 -> new Compact();
      case 14 -> new Stats();
      default ->
          new Search(
              vectors.next(random.nextInt(4) == 0 ? 40 : 1 + random.nextInt(3)),
              1 + random.nextInt(random.nextInt(5) == 0 ? 300 : 12),
              FilterKind.values()[random.nextInt(FilterKind.values().length)],
              random.nextInt(4) == 0 ? random.nextInt(2) * 100 : random.nextInt(101),
              random.nextInt(4) == 0,
              random.nextInt(10),
              Reach.values()[random.nextInt(Reach.values().length)]);
    };
  }

  /** Valid vectors for a metric, every fourth a repetition: ties are where orders go wrong. */
  final class Vectors {
    private final Random random;
    private final Metric metric;
    private final int dim;
    private final List<float[]> seen = new ArrayList<>();

    Vectors(Random random, Metric metric, int dim) {
      this.random = random;
      this.metric = metric;
      this.dim = dim;
    }

    float[][] next(int count) {
      float[][] vectors = new float[count][];
      Arrays.setAll(vectors, i -> next());
      return vectors;
    }

    float[] next() {
      if (!seen.isEmpty() && random.nextInt(4) == 0) {
        return seen.get(random.nextInt(seen.size())).clone();
      }
      float[] vector = new float[dim];
      double norm = 0;
      for (int i = 0; i < dim; i++) {
        vector[i] = (float) random.nextGaussian();
        norm += vector[i] * vector[i];
      }
      if (metric == Metric.POINCARE) {
        // Radii up to 0.9999, inside the default limit of 1 - 1e-5 with room for rounding.
        double radius = 1 - Math.pow(10, -4 * random.nextDouble());
        for (int i = 0; i < dim; i++) {
          vector[i] *= (float) (radius / Math.sqrt(norm));
        }
      }
      seen.add(vector);
      return vector.clone();
    }
  }
}
