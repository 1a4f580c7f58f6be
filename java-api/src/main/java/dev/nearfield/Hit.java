// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** One answer of a search. Immutable. */
public interface Hit {
  VectorHandle handle();

  /** Smaller is better; see {@link Metric}. */
  float distance();

  /** Larger is better: {@link Metric#score} of the distance. */
  float score();
}
