// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.util.List;

/**
 * What one query found.
 *
 * @param hits best first
 * @param device what searched, in words
 * @param searched definitions searched
 * @param millis of the search alone, without embedding the query
 */
record Answer(String query, List<Hit> hits, String device, int searched, double millis) {
  /**
   * @param distance 1 - cosine, smaller is better
   * @param score (2 - distance) / 2
   */
  record Hit(float distance, float score, Definition definition) {}
}
