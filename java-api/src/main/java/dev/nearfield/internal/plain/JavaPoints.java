// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.Metric;

/**
 * The sample of a clustering, rows as queries are prepared. Under dot they are directions,
 * clustered as under cosine, each with its length times its weight; docs/numerics.md.
 */
record JavaPoints(Metric metric, int dim, float[][] rows, double[] weights) {
  JavaPoints(Metric metric, int dim, int count) {
    this(metric == Metric.DOT ? Metric.COSINE : metric, dim, new float[count][], new double[count]);
  }

  int count() {
    return rows.length;
  }

  /** A rank, or 0 where nothing but rounding lies between. */
  double cost(float rank) {
    return metric == Metric.COSINE && rank <= 0x1p-43 ? 0 : rank;
  }
}
