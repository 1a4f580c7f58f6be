// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.Metric;
import dev.nearfield.internal.engine.VectorCheck;

/** Centroids that rows are compared with, one after the other. */
final class JavaCentroids {
  private final Metric metric;
  private final int dim;
  private final float[] values;
  private final float[] sides;
  private float rank; // of the last answer

  JavaCentroids(Metric metric, int dim, float[] values) {
    this.metric = metric;
    this.dim = dim;
    this.values = values;
    this.sides = new float[values.length / dim];
    for (int c = 0; c < sides.length; c++) {
      sides[c] = JavaKernels.side(metric, VectorCheck.squaredNorm(values, c * dim, dim));
    }
  }

  int count() {
    return sides.length;
  }

  float[] values() {
    return values;
  }

  /** The nearest of a prepared row, the first of equally near ones. */
  int nearest(float[] row) {
    int best = 0;
    float least = Float.POSITIVE_INFINITY;
    for (int c = 0; c < sides.length; c++) {
      float of = JavaKernels.rank(metric, row, 0, values, c * dim, dim, sides[c]);
      if (of < least) {
        least = of;
        best = c;
      }
    }
    rank = least;
    return best;
  }

  float rank() {
    return rank;
  }
}
