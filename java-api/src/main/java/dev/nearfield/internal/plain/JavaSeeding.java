// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.Metric;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.IntToDoubleFunction;
import org.jspecify.annotations.Nullable;

/** k-means|| as in native/common/seeding.cpp, with other random numbers. */
final class JavaSeeding {
  static final int ROUNDS = 5;
  private static final int MOST_ROUNDS = 80;

  private final JavaPoints points;
  private final int clusters;
  private final SplittableRandom random;
  private final float[] ranks; // to the nearest candidate
  private final int[] nearest;
  private int[] candidates = new int[16]; // rows
  private int count;
  private int fresh; // the first candidate of this round
  private int round;
  private int next; // row
  private @Nullable JavaCentroids centroids; // candidates of this round

  // k-means++
  private float[] rows = {};
  private double[] weights = {};
  private double[] least = {};
  private final float[] seeds;
  private int drawn;
  private boolean reducing;

  JavaSeeding(JavaPoints points, int clusters, long seed) {
    this.points = points;
    this.clusters = clusters;
    this.random = new SplittableRandom(seed);
    this.ranks = new float[points.count()];
    Arrays.fill(ranks, Float.MAX_VALUE);
    this.nearest = new int[points.count()];
    this.seeds = new float[Math.multiplyExact(clusters, points.dim())];
  }

  /** The centroids, once there is nothing left to do. */
  float @Nullable [] seeds() {
    return drawn == clusters ? seeds : null;
  }

  /** One row of a round, or one centroid; answers the multiply-adds that took. */
  long advance() {
    if (reducing) {
      reduce();
      return (long) count * points.dim();
    }
    JavaCentroids now = centroids;
    if (now == null) {
      now = begin();
      centroids = now;
    }
    int best = now.nearest(points.rows()[next]);
    if (now.rank() < ranks[next]) {
      ranks[next] = now.rank();
      nearest[next] = fresh + best;
    }
    if (++next == points.count()) {
      endRound();
    }
    return (long) now.count() * points.dim();
  }

  /** Whether the last step passed a row. */
  boolean passesRows() {
    return !reducing;
  }

  private JavaCentroids begin() {
    if (count == 0) {
      add(Math.max(0, draw(points.count(), this::weight)));
    }
    int dim = points.dim();
    float[] values = new float[(count - fresh) * dim];
    for (int i = fresh; i < count; i++) {
      System.arraycopy(points.rows()[candidates[i]], 0, values, (i - fresh) * dim, dim);
    }
    return new JavaCentroids(points.metric(), dim, values);
  }

  private void add(int row) {
    if (count == candidates.length) {
      candidates = Arrays.copyOf(candidates, 2 * count);
    }
    candidates[count++] = row;
  }

  private double weight(int row) {
    return points.weights()[row];
  }

  private double cost(int row) {
    return points.weights()[row] * points.cost(ranks[row]);
  }

  private void endRound() {
    centroids = null;
    next = 0;
    fresh = count;
    double left = 0;
    for (int i = 0; i < points.count(); i++) {
      left += cost(i);
    }
    int places = places();
    boolean enough = round >= ROUNDS || clusters == 1;
    if (left > 0 && round < MOST_ROUNDS && !(enough && places >= clusters)) {
      drawCandidates(left);
      return;
    }
    if (places < clusters && left == 0) {
      throw fewPlaces(clusters, places);
    }
    beginReduce();
  }

  static IllegalArgumentException fewPlaces(int clusters, int places) {
    return new IllegalArgumentException(
        "kmeans: clusters [%d], the vectors lie in [%d] different places"
            .formatted(clusters, places));
  }

  private int places() {
    boolean[] met = new boolean[count];
    int places = 0;
    for (int i = 0; i < points.count(); i++) {
      if (weight(i) > 0 && !met[nearest[i]]) {
        met[nearest[i]] = true;
        places++;
      }
    }
    return places;
  }

  private void drawCandidates(double left) {
    round++;
    double wanted = Math.max(1, clusters / 2.0);
    for (int i = 0; i < points.count(); i++) {
      if (random.nextDouble() * left < wanted * cost(i)) {
        add(i);
      }
    }
    if (count == fresh) {
      add(draw(points.count(), this::cost));
    }
  }

  private void beginReduce() {
    reducing = true;
    int dim = points.dim();
    rows = new float[Math.multiplyExact(count, dim)];
    weights = new double[count];
    least = new double[count];
    for (int i = 0; i < count; i++) {
      System.arraycopy(points.rows()[candidates[i]], 0, rows, i * dim, dim);
      least[i] = 1;
    }
    for (int i = 0; i < points.count(); i++) {
      weights[nearest[i]] += weight(i);
    }
  }

  private void reduce() {
    int dim = points.dim();
    int row = Math.max(0, draw(count, i -> weights[i] * least[i]));
    System.arraycopy(rows, row * dim, seeds, drawn * dim, dim);
    for (int i = 0; i < count; i++) {
      double of =
          points.cost(JavaKernels.rank(Metric.L2_SQUARED, rows, row * dim, rows, i * dim, dim, 0));
      least[i] = drawn == 0 ? of : Math.min(least[i], of);
    }
    drawn++;
  }

  /** By chance in proportion to the shares; -1 where all are 0. */
  private int draw(int count, IntToDoubleFunction share) {
    double sum = 0;
    for (int i = 0; i < count; i++) {
      sum += share.applyAsDouble(i);
    }
    double wanted = random.nextDouble() * sum;
    double passed = 0;
    int found = -1;
    for (int i = 0; i < count && passed <= wanted; i++) {
      double here = share.applyAsDouble(i);
      if (here > 0) {
        found = i;
      }
      passed += here;
    }
    return found;
  }
}
