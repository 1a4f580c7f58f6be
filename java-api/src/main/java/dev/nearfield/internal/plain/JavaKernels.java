// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.Metric;

/**
 * The canonical final form of every metric in plain Java: four partial sums by dimension mod 4,
 * each a chain of fused multiply-adds in ascending order, then (s0+s2)+(s1+s3); docs/numerics.md.
 * Ranks are what searches compare, smaller is better, never -0.
 */
final class JavaKernels {
  private JavaKernels() {}

  /**
   * What is kept beside a row, from its squared norm: the inverse norm for cosine, 1/(1-|v|^2) for
   * Poincaré, else unused.
   */
  static float side(Metric metric, double squaredNorm) {
    return switch (metric) {
      case COSINE -> (float) (1 / Math.sqrt(squaredNorm));
      case POINCARE -> (float) (1 / (1 - squaredNorm));
      case L2_SQUARED, DOT, MANHATTAN -> 0;
    };
  }

  /** Scales a query in place as the final form needs it. */
  static void prepareQuery(Metric metric, double squaredNorm, float[] query, int from, int dim) {
    if (metric == Metric.COSINE) {
      float scale = side(metric, squaredNorm);
      for (int i = from; i < from + dim; i++) {
        query[i] *= scale;
      }
    }
  }

  static float rank(Metric metric, float[] q, int qi, float[] v, int vi, int dim, float side) {
    return switch (metric) {
      case L2_SQUARED -> squaredDistance(q, qi, v, vi, dim);
      case COSINE -> 0.5f * cosine(q, qi, v, vi, dim, side);
      case DOT -> -dot(q, qi, v, vi, dim) + 0.0f;
      case POINCARE -> squaredDistance(q, qi, v, vi, dim) * side;
      case MANHATTAN -> manhattan(q, qi, v, vi, dim);
    };
  }

  /** Poincaré: 2 asinh(sqrt(rank / (1 - |q|^2))) in f64; elsewhere the rank is the distance. */
  static float distance(Metric metric, float rank, double querySquaredNorm) {
    if (metric != Metric.POINCARE) {
      return rank;
    }
    double x = Math.sqrt(rank / (1 - querySquaredNorm));
    // asinh without cancellation near 0: log1p(x + x^2 / (1 + sqrt(1 + x^2)))
    return (float) (2 * Math.log1p(x + x * x / (1 + Math.sqrt(1 + x * x))));
  }

  private static float squaredDistance(float[] q, int qi, float[] v, int vi, int dim) {
    float s0 = 0;
    float s1 = 0;
    float s2 = 0;
    float s3 = 0;
    int i = 0;
    for (; i + 4 <= dim; i += 4) {
      float d0 = q[qi + i] - v[vi + i];
      float d1 = q[qi + i + 1] - v[vi + i + 1];
      float d2 = q[qi + i + 2] - v[vi + i + 2];
      float d3 = q[qi + i + 3] - v[vi + i + 3];
      s0 = Math.fma(d0, d0, s0);
      s1 = Math.fma(d1, d1, s1);
      s2 = Math.fma(d2, d2, s2);
      s3 = Math.fma(d3, d3, s3);
    }
    if (i < dim) {
      float d = q[qi + i] - v[vi + i];
      s0 = Math.fma(d, d, s0);
    }
    if (i + 1 < dim) {
      float d = q[qi + i + 1] - v[vi + i + 1];
      s1 = Math.fma(d, d, s1);
    }
    if (i + 2 < dim) {
      float d = q[qi + i + 2] - v[vi + i + 2];
      s2 = Math.fma(d, d, s2);
    }
    return (s0 + s2) + (s1 + s3);
  }

  private static float cosine(float[] q, int qi, float[] v, int vi, int dim, float inverse) {
    float s0 = 0;
    float s1 = 0;
    float s2 = 0;
    float s3 = 0;
    int i = 0;
    for (; i + 4 <= dim; i += 4) {
      float d0 = q[qi + i] - v[vi + i] * inverse;
      float d1 = q[qi + i + 1] - v[vi + i + 1] * inverse;
      float d2 = q[qi + i + 2] - v[vi + i + 2] * inverse;
      float d3 = q[qi + i + 3] - v[vi + i + 3] * inverse;
      s0 = Math.fma(d0, d0, s0);
      s1 = Math.fma(d1, d1, s1);
      s2 = Math.fma(d2, d2, s2);
      s3 = Math.fma(d3, d3, s3);
    }
    if (i < dim) {
      float d = q[qi + i] - v[vi + i] * inverse;
      s0 = Math.fma(d, d, s0);
    }
    if (i + 1 < dim) {
      float d = q[qi + i + 1] - v[vi + i + 1] * inverse;
      s1 = Math.fma(d, d, s1);
    }
    if (i + 2 < dim) {
      float d = q[qi + i + 2] - v[vi + i + 2] * inverse;
      s2 = Math.fma(d, d, s2);
    }
    return (s0 + s2) + (s1 + s3);
  }

  private static float dot(float[] q, int qi, float[] v, int vi, int dim) {
    float s0 = 0;
    float s1 = 0;
    float s2 = 0;
    float s3 = 0;
    int i = 0;
    for (; i + 4 <= dim; i += 4) {
      s0 = Math.fma(q[qi + i], v[vi + i], s0);
      s1 = Math.fma(q[qi + i + 1], v[vi + i + 1], s1);
      s2 = Math.fma(q[qi + i + 2], v[vi + i + 2], s2);
      s3 = Math.fma(q[qi + i + 3], v[vi + i + 3], s3);
    }
    if (i < dim) {
      s0 = Math.fma(q[qi + i], v[vi + i], s0);
    }
    if (i + 1 < dim) {
      s1 = Math.fma(q[qi + i + 1], v[vi + i + 1], s1);
    }
    if (i + 2 < dim) {
      s2 = Math.fma(q[qi + i + 2], v[vi + i + 2], s2);
    }
    return (s0 + s2) + (s1 + s3);
  }

  private static float manhattan(float[] q, int qi, float[] v, int vi, int dim) {
    float s0 = 0;
    float s1 = 0;
    float s2 = 0;
    float s3 = 0;
    int i = 0;
    for (; i + 4 <= dim; i += 4) {
      s0 += Math.abs(q[qi + i] - v[vi + i]);
      s1 += Math.abs(q[qi + i + 1] - v[vi + i + 1]);
      s2 += Math.abs(q[qi + i + 2] - v[vi + i + 2]);
      s3 += Math.abs(q[qi + i + 3] - v[vi + i + 3]);
    }
    if (i < dim) {
      s0 += Math.abs(q[qi + i] - v[vi + i]);
    }
    if (i + 1 < dim) {
      s1 += Math.abs(q[qi + i + 1] - v[vi + i + 1]);
    }
    if (i + 2 < dim) {
      s2 += Math.abs(q[qi + i + 2] - v[vi + i + 2]);
    }
    return (s0 + s2) + (s1 + s3);
  }
}
