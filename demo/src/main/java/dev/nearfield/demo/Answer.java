// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.util.List;
import java.util.Optional;

/**
 * What one query found.
 *
 * @param hits best first
 * @param device what searched, in words
 * @param searched definitions searched
 * @param millis of the search alone, without embedding the query
 * @param lists empty where there are none, and all definitions were searched
 */
record Answer(
    String query,
    List<Hit> hits,
    String device,
    int searched,
    double millis,
    Optional<Lists> lists) {
  /**
   * @param distance 1 - cosine, smaller is better
   * @param score (2 - distance) / 2
   */
  record Hit(float distance, float score, Definition definition) {}

  /**
   * How far the search looked.
   *
   * @param scanned lists, of {@code all} there are
   * @param recallEstimate the library's estimate of the share of the nearest that the hits hold
   * @param recall that share, measured against an exact search
   */
  record Lists(int scanned, int all, double recallEstimate, double recall) {}
}
