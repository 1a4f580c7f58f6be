// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.Metric;

/** The sample of a clustering, rows as queries are prepared; native/common/points.hpp. */
record JavaPoints(Metric metric, int dim, float[][] rows, float[] weights, float[] norms) {
  JavaPoints(Metric metric, int dim, int count) {
    this(metric, dim, new float[count][], new float[count], new float[count]);
  }

  int count() {
    return rows.length;
  }

  /** |x| under dot, else 1. */
  double norm(int i) {
    return metric == Metric.DOT ? norms[i] : 1;
  }

  /**
   * How far a row of this rank is from the best that a centroid can do for it: 0 where nothing but
   * rounding lies between.
   */
  double cost(int i, float rank) {
    return cost(metric, dim, norm(i), rank);
  }

  static double cost(Metric metric, int dim, double norm, float rank) {
    return switch (metric) {
      case COSINE -> rank <= 0x1p-43 ? 0 : rank;
      case DOT -> {
        double left = norm + rank;
        yield left <= norm * ((dim + 3) / 4 + 8) * 0x1p-23 ? 0 : left;
      }
      default -> rank;
    };
  }

  /** Row i as a centroid: under dot its direction. */
  void copyAsCentroid(int i, float[] to, int at) {
    double norm = norm(i);
    for (int d = 0; d < dim; d++) {
      to[at + d] = norm > 0 ? (float) (rows[i][d] / norm) : rows[i][d];
    }
  }
}
