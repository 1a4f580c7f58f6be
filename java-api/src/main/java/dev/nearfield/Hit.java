// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/**
 * One answer of a search.
 *
 * @param distance smaller is better; see {@link Metric}
 * @param score larger is better: {@link Metric#score} of the distance
 */
public record Hit(VectorHandle handle, float distance, float score) {}
