// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/**
 * Which vectors an index accepts: the limits of native/common/metric.hpp, so that a caller's
 * mistake is thrown at the call and never reaches the device. Stateless but for its limits.
 */
final class VectorCheck {
  /** The limit of native/common/checks.hpp, kept by every backend. */
  static final int MAX_DIM = 1 << 16;

  /** Distances of vectors up to this norm stay finite in f32 in every order of additions. */
  static final double MAX_NORM = 0x1p62;

  /** Cosine: 1/|v| and v/|v| stay normal f32 numbers from here on. */
  static final double MIN_COSINE_NORM = 0x1p-62;

  static final double POINCARE_DEFAULT_MAX_NORM = 1 - 1e-5;
  static final double POINCARE_LARGEST_MAX_NORM = 1 - 1e-7;

  private final Metric metric;
  private final int dim;
  private final double maxNorm;

  /** {@code poincareMaxNorm} 0 means the default; other metrics ignore it. */
  VectorCheck(Metric metric, int dim, double poincareMaxNorm) {
    this.metric = metric;
    this.dim = dim;
    this.maxNorm =
        metric == Metric.POINCARE
            ? (poincareMaxNorm == 0 ? POINCARE_DEFAULT_MAX_NORM : poincareMaxNorm)
            : MAX_NORM;
  }

  /**
   * Squared norm in f64, in the order of the natives; every product of two floats is exact there.
   */
  static double squaredNorm(float[] x, int from, int dim) {
    double sum = 0;
    for (int i = from; i < from + dim; i++) {
      sum += (double) x[i] * x[i];
    }
    return sum;
  }

  /**
   * Checks vector {@code number} of a call, at {@code x[from]}, and answers its squared norm.
   *
   * @throws IllegalArgumentException naming the operation, the vector and the limit
   */
  double check(String operation, String what, long number, float[] x, int from) {
    double squared = squaredNorm(x, from, dim);
    if (!(squared
        <= Double.MAX_VALUE)) { // f32 squares cannot overflow f64: some element is not finite
      for (int i = 0; i < dim; i++) {
        if (!Float.isFinite(x[from + i])) {
          throw new IllegalArgumentException(
              "%s: %s [%d] has [%s] at dimension [%d], only finite numbers are allowed"
                  .formatted(operation, what, number, x[from + i], i));
        }
      }
    }
    double norm = Math.sqrt(squared);
    if (metric == Metric.COSINE && norm < MIN_COSINE_NORM) {
      throw new IllegalArgumentException(
          "%s: %s [%d] has norm [%s], COSINE needs at least %s"
              .formatted(operation, what, number, norm, MIN_COSINE_NORM));
    }
    if (norm > maxNorm) {
      throw new IllegalArgumentException(
          "%s: %s [%d] has norm [%s], %s allows at most %s"
              .formatted(operation, what, number, norm, metric, maxNorm));
    }
    return squared;
  }

  /**
   * Checks {@code count} vectors that stand one after the other from {@code x[0]}; the first has
   * that number.
   */
  void checkAll(String operation, String what, long first, float[] x, int count) {
    for (int i = 0; i < count; i++) {
      check(operation, what, first + i, x, i * dim);
    }
  }

  void checkDimension(String operation, int actual) {
    if (actual != dim) {
      throw new IllegalArgumentException(
          "%s: dimension [%d], this index holds vectors of %d".formatted(operation, actual, dim));
    }
  }
}
