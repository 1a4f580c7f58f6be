// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** Distances in 64 bits by their definition, and how far a 32-bit result may be from them. */
final class Oracle64 {
  /** Half a unit in the last place of 1.0f: the most that one rounding moves a result. */
  private static final double EPS = 0x1p-24;

  private Oracle64() {}

  record Bounded(double distance, double error) {}

  /**
   * The error is derived for any order of the additions: a sum of n terms passes each term through
   * at most n - 1 additions, the term itself through at most 3 roundings (difference, square or
   * product, conversion), so it is off by at most (n + 3) EPS of the sum of magnitudes; one more
   * EPS covers that (1 + EPS)^n is a little more than 1 + n EPS for the n here.
   */
  static Bounded distance(Metric metric, float[] q, float[] v) {
    double relative = (q.length + 4) * EPS;
    double qq = 0;
    double vv = 0;
    for (int i = 0; i < q.length; i++) {
      qq += (double) q[i] * q[i];
      vv += (double) v[i] * v[i];
    }
    double sum = 0;
    double magnitude = 0;
    for (int i = 0; i < q.length; i++) {
      double term =
          switch (metric) {
            case L2_SQUARED, POINCARE -> square((double) q[i] - v[i]);
            case COSINE -> 0.5 * square(q[i] / Math.sqrt(qq) - v[i] / Math.sqrt(vv));
            case DOT -> -(double) q[i] * v[i];
            case MANHATTAN -> Math.abs((double) q[i] - v[i]);
          };
      sum += term;
      magnitude += Math.abs(term);
    }
    return switch (metric) {
      case L2_SQUARED, DOT, MANHATTAN -> bounded(sum, relative * magnitude);
      case COSINE -> cosine(sum, relative);
      case POINCARE -> poincare(sum / ((1 - qq) * (1 - vv)), relative);
    };
  }

  /**
   * Each normalised coordinate carries the rounding of the inverse norm and of the product, 2 EPS
   * of itself. Both unit vectors together: e = |error| is at most 4 EPS. A squared difference s = 2
   * d of vectors moved by e changes by at most 2 sqrt(s) e + e^2.
   */
  private static Bounded cosine(double distance, double relative) {
    double e = 4 * EPS;
    double moved = 0.5 * (2 * Math.sqrt(2 * distance) * e + e * e);
    return bounded(distance, moved + relative * (distance + moved));
  }

  /**
   * delta carries {@code relative}, and 3 EPS from alpha, its product and the last conversion. 2
   * asinh(sqrt(x)) has the derivative sqrt(x) / sqrt(1 + x) with respect to ln x.
   */
  private static Bounded poincare(double delta, double relative) {
    double distance = 2 * asinh(Math.sqrt(delta));
    double slope = Math.sqrt(delta / (1 + delta));
    return bounded(distance, slope * (relative + 3 * EPS) * 1.01 + distance * EPS);
  }

  /** Sums below the smallest normal float may be flushed to zero or rounded to a multiple of it. */
  private static Bounded bounded(double distance, double error) {
    return new Bounded(distance, error + Float.MIN_NORMAL);
  }

  private static double asinh(double x) {
    return Math.log1p(x + x * x / (1 + Math.sqrt(1 + x * x)));
  }

  private static double square(double x) {
    return x * x;
  }
}
