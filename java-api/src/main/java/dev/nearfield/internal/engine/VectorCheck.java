// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import dev.nearfield.Encoding;
import dev.nearfield.Metric;

/**
 * Which vectors an index accepts: the limits of native/common/metric.hpp, so that a caller's
 * mistake is thrown at the call and never reaches the device. Stateless but for its limits.
 */
public final class VectorCheck {
  /** The limit of native/common/checks.hpp, kept by every backend. */
  public static final int MAX_DIM = 1 << 16;

  /** Distances of vectors up to this norm stay finite in f32 in every order of additions. */
  static final double MAX_NORM = 0x1p62;

  /** Cosine: 1/|v| and v/|v| stay normal f32 numbers from here on. */
  static final double MIN_COSINE_NORM = 0x1p-62;

  /**
   * A quarter of what the natives take as codes alone: what codes stand for may be longer than what
   * was given, and has to find a place where the index moves to.
   */
  static final double MAX_CODED_NORM = 0x1p48;

  /** One element of this gives a norm of {@link #MIN_COSINE_NORM} at least. */
  private static final int PLAINLY_LARGE = Float.floatToRawIntBits(0x1p-62f);

  static final double POINCARE_DEFAULT_MAX_NORM = 1 - 1e-5;
  public static final double POINCARE_LARGEST_MAX_NORM = 1 - 1e-7;

  private final Metric metric;
  private final int dim;
  private final double maxNorm;
  private final String limits; // whose the largest norm is

  /** {@code poincareMaxNorm} 0 means the default; other metrics ignore it. */
  public VectorCheck(Metric metric, int dim, double poincareMaxNorm) {
    this(
        metric,
        dim,
        metric == Metric.POINCARE
            ? (poincareMaxNorm == 0 ? POINCARE_DEFAULT_MAX_NORM : poincareMaxNorm)
            : MAX_NORM,
        metric.toString());
  }

  private VectorCheck(Metric metric, int dim, double maxNorm, String limits) {
    this.metric = metric;
    this.dim = dim;
    this.maxNorm = maxNorm;
    this.limits = limits;
  }

  /**
   * Of vectors that are to become codes and nothing else; cosine scales them to length 1 before.
   */
  public VectorCheck ofCodesAlone() {
    return metric == Metric.COSINE
        ? this
        : new VectorCheck(metric, dim, MAX_CODED_NORM, Encoding.INT8_ONLY.toString());
  }

  /**
   * Squared norm in f64, in the order of the natives; every product of two floats is exact there.
   */
  public static double squaredNorm(float[] x, int from, int dim) {
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    double s4 = 0;
    double s5 = 0;
    double s6 = 0;
    double s7 = 0;
    int i = from;
    int end = from + dim;
    for (; i + 8 <= end; i += 8) { // independent sums: one chain would wait for each addition
      s0 += square(x[i]);
      s1 += square(x[i + 1]);
      s2 += square(x[i + 2]);
      s3 += square(x[i + 3]);
      s4 += square(x[i + 4]);
      s5 += square(x[i + 5]);
      s6 += square(x[i + 6]);
      s7 += square(x[i + 7]);
    }
    int left = end - i;
    s0 += left > 0 ? square(x[i]) : 0;
    s1 += left > 1 ? square(x[i + 1]) : 0;
    s2 += left > 2 ? square(x[i + 2]) : 0;
    s3 += left > 3 ? square(x[i + 3]) : 0;
    s4 += left > 4 ? square(x[i + 4]) : 0;
    s5 += left > 5 ? square(x[i + 5]) : 0;
    s6 += left > 6 ? square(x[i + 6]) : 0;
    return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7));
  }

  private static double square(float x) {
    return (double) x * x;
  }

  /**
   * Checks vector {@code number} of a call, at {@code x[from]}, and answers its squared norm.
   *
   * @throws IllegalArgumentException naming the operation, the vector and the limit
   */
  public double check(String operation, String what, long number, float[] x, int from) {
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
              .formatted(operation, what, number, norm, limits, maxNorm));
    }
    return squared;
  }

  /**
   * Checks {@code count} vectors that stand one after the other from {@code x[0]}; the first has
   * that number.
   */
  public void checkAll(String operation, String what, long first, float[] x, int count) {
    for (int i = 0; i < count; i++) {
      check(operation, what, first + i, x, i * dim);
    }
  }

  /**
   * Whether {@code count} vectors, given as the bits of their floats, are fine at a glance; one
   * that is not may still be. Several times as fast as {@link #checkAll}: the loop over all of them
   * is one of integers, which the compiler vectorises.
   */
  public boolean plainlyFine(int[] bits, int count) {
    if (metric == Metric.POINCARE) {
      return false; // its limit needs the norm
    }
    int largest = 0;
    for (int i = 0;
        i < count * dim;
        i++) { // without the sign, floats are in the order of their bits
      largest = Math.max(largest, bits[i] & Integer.MAX_VALUE);
    }
    // Such elements give the largest norm at most: that over the root of 2^16 dimensions.
    boolean fine = largest <= Float.floatToRawIntBits((float) (maxNorm * 0x1p-8));
    for (int v = 0; fine && metric == Metric.COSINE && v < count; v++) {
      int i = v * dim;
      while (i < (v + 1) * dim && (bits[i] & Integer.MAX_VALUE) < PLAINLY_LARGE) {
        i++;
      }
      fine = i < (v + 1) * dim;
    }
    return fine;
  }

  public void checkDimension(String operation, int actual) {
    if (actual != dim) {
      throw new IllegalArgumentException(
          "%s: dimension [%d], this index holds vectors of %d".formatted(operation, actual, dim));
    }
  }
}
