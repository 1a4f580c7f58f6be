// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.Metric;
import java.util.Arrays;
import java.util.Comparator;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Lloyd's iterations as in native/common/lloyd.cpp, with other random numbers. */
final class JavaLloyd {
  /** Moves beyond those asked for, while a cluster is empty. */
  private static final int REPAIRS = 16;

  /** Of the mean weight, that a cluster of a balanced clustering may have. */
  private static final double MOST_SHARE = 2;

  private final JavaPoints points;
  private final int iterations;
  private final boolean balanced;
  private final SplittableRandom random;
  private final int clusters;
  private final int dim;
  private JavaCentroids centroids;
  private final int[] labels;
  private final float[] ranks;
  private final double[] sums;
  private final double[] masses;
  private final double[] costs;
  private final int[] members; // of a weight above 0
  private double total;
  private int next;
  private int changed;
  private int moves;
  private boolean labelled;
  private boolean done;

  JavaLloyd(JavaPoints points, int iterations, boolean balanced, long seed, float[] start) {
    this.points = points;
    this.iterations = iterations;
    this.balanced = balanced;
    this.random = new SplittableRandom(~seed);
    this.dim = points.dim();
    this.clusters = start.length / dim;
    this.centroids = new JavaCentroids(points.metric(), dim, start);
    this.labels = new int[points.count()];
    this.ranks = new float[points.count()];
    this.sums = new double[start.length];
    this.masses = new double[clusters];
    this.costs = new double[clusters];
    this.members = new int[clusters];
    for (double weight : points.weights()) {
      total += weight;
    }
  }

  boolean done() {
    return done;
  }

  JavaCentroids centroids() {
    return centroids;
  }

  int[] labels() {
    return labels;
  }

  double inertia() {
    double sum = 0;
    for (int i = 0; i < labels.length; i++) {
      sum += points.weights()[i] * ranks[i];
    }
    return sum;
  }

  /** One row of a pass. */
  void advance() {
    int i = next++;
    int label = centroids.nearest(points.rows()[i]);
    ranks[i] = centroids.rank();
    if (!labelled || label != labels[i]) {
      changed++;
    }
    labels[i] = label;
    costs[label] += cost(i);
    count(i, label, 1);
    if (next == labels.length) {
      endPass();
    }
  }

  private double cost(int i) {
    return points.weights()[i] * points.cost(ranks[i]);
  }

  private void count(int i, int cluster, int sign) {
    double weight = points.weights()[i];
    masses[cluster] += sign * weight;
    members[cluster] += weight > 0 ? sign : 0;
    for (int d = 0; d < dim; d++) {
      sums[cluster * dim + d] += sign * weight * points.rows()[i][d];
    }
  }

  private void endPass() {
    boolean settled = labelled && changed == 0;
    labelled = true;
    boolean shortOfRows = IntStream.of(members).anyMatch(n -> n == 0);
    boolean heavy = balanced && IntStream.range(0, clusters).anyMatch(this::isHeavy);
    int most = iterations + (shortOfRows || heavy ? REPAIRS : 0) + (heavy ? iterations : 0);
    if (moves >= most || settled && !shortOfRows && !heavy) {
      done = true;
      return;
    }
    if (shortOfRows) {
      repair();
    }
    float[] moved = centroids.values().clone();
    for (int c = 0; c < clusters; c++) {
      move(c, moved);
    }
    if (heavy) {
      rebalance(moved);
    }
    centroids = new JavaCentroids(points.metric(), dim, moved);
    moves++;
    next = 0;
    changed = 0;
    Arrays.fill(sums, 0);
    Arrays.fill(masses, 0);
    Arrays.fill(costs, 0);
    Arrays.fill(members, 0);
  }

  private boolean isHeavy(int cluster) {
    return masses[cluster] > MOST_SHARE * total / clusters && costs[cluster] > 0;
  }

  private void move(int cluster, float[] to) {
    int at = cluster * dim;
    if (masses[cluster] <= 0) {
      return;
    }
    double by = masses[cluster];
    if (points.metric() != Metric.L2_SQUARED) {
      double squared = 0;
      for (int d = 0; d < dim; d++) {
        squared += sums[at + d] * sums[at + d];
      }
      by = Math.sqrt(squared);
      if (by <= masses[cluster] * 0x1p-20) {
        return; // rows that cancel out: every direction is as good
      }
    }
    for (int d = 0; d < dim; d++) {
      to[at + d] = (float) (sums[at + d] / by);
    }
  }

  /** Each empty cluster gets a row of that of most cost; what is left there counts half. */
  private void repair() {
    double[] left = costs.clone();
    for (int empty = 0; empty < clusters; empty++) {
      if (members[empty] != 0) {
        continue;
      }
      int row = -1;
      while (row < 0) {
        int donor = -1;
        for (int c = 0; c < clusters; c++) {
          if (members[c] > 1 && left[c] > 0 && (donor < 0 || left[c] > left[donor])) {
            donor = c;
          }
        }
        if (donor < 0) {
          int places = (int) IntStream.of(members).filter(n -> n != 0).count();
          throw JavaSeeding.fewPlaces(clusters, places);
        }
        row = draw(donor);
        left[donor] = row < 0 ? 0 : left[donor] / 2;
      }
      count(row, labels[row], -1);
      labels[row] = empty;
      count(row, empty, 1);
    }
  }

  /** A row of the cluster, in proportion to its cost; -1 where none has any. */
  private int draw(int cluster) {
    double sum = 0;
    for (int i = 0; i < labels.length; i++) {
      sum += labels[i] == cluster ? cost(i) : 0;
    }
    double wanted = random.nextDouble() * sum;
    double passed = 0;
    int found = -1;
    for (int i = 0; i < labels.length && passed <= wanted; i++) {
      double here = labels[i] == cluster ? cost(i) : 0;
      if (here > 0) {
        found = i;
      }
      passed += here;
    }
    return found;
  }

  /** The lightest clusters are given up for a second centroid within the heaviest. */
  private void rebalance(float[] to) {
    int[] order =
        IntStream.range(0, clusters)
            .boxed()
            .sorted(Comparator.comparingDouble(c -> masses[c]))
            .mapToInt(c -> c)
            .toArray();
    int light = 0;
    for (int i = clusters - 1; i > light && masses[order[i]] > total / clusters; i--) {
      int row = isHeavy(order[i]) ? draw(order[i]) : -1;
      if (row < 0) {
        continue;
      }
      if (masses[order[light]] > total / clusters) {
        return;
      }
      split(order[i], row, order[light++], to);
    }
  }

  private void split(int heavy, int row, int cluster, float[] to) {
    double[] at = new double[dim];
    double squared = 0;
    for (int d = 0; d < dim; d++) {
      double centre = to[heavy * dim + d];
      at[d] = centre + (points.rows()[row][d] - centre) / 8;
      squared += at[d] * at[d];
    }
    double norm = points.metric() == Metric.L2_SQUARED ? 1 : Math.sqrt(squared);
    for (int d = 0; d < dim; d++) {
      to[cluster * dim + d] = (float) (at[d] / norm);
    }
  }
}
