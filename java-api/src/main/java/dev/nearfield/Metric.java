// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** How far apart two vectors are. For every metric a smaller distance is better. */
public enum Metric {
  /** Sum of squared differences. */
  L2_SQUARED,
  /** 1 - cosine of the angle, in [0, 2]; zero vectors are refused. */
  COSINE,
  /** The negated dot product; not a metric in the mathematical sense. */
  DOT,
  /**
   * Distance in the Poincaré ball of curvature -1; vectors on or outside the unit sphere are
   * refused.
   */
  POINCARE,
  /** Sum of absolute differences. */
  MANHATTAN;

  /**
   * A score where larger is better: 1 / (1 + d) for L2 squared, Poincaré and Manhattan, (2 - d) / 2
   * for cosine, and for dot with s = -d: 1 / (1 - s) when s is negative, else 1 + s. Falls strictly
   * as the distance grows, up to rounding.
   */
  public float score(float distance) {
    return switch (this) {
      case L2_SQUARED, POINCARE, MANHATTAN -> 1 / (1 + distance);
      case COSINE -> (2 - distance) / 2;
      case DOT -> distance > 0 ? 1 / (1 + distance) : 1 - distance;
    };
  }
}
