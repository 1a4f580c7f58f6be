// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.Metric;
import dev.nearfield.internal.engine.Engine;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * What the builder decided.
 *
 * @param budgetBytes on the device, 0 for what it has
 * @param maxBatch queries of one device call
 * @param deadRatio share of dead rows from which compaction starts by itself; 1 or more: never
 * @param timeout of calls that bring none; null: none
 */
public record IndexConfig(
    int dim,
    Metric metric,
    double poincareMaxNorm,
    long expectedVectors,
    long budgetBytes,
    int maxBatch,
    long maxLingerNanos,
    int mailboxCapacity,
    long mailboxWaitNanos,
    double deadRatio,
    @Nullable Duration timeout) {

  /** As this, where the budget was too small: bound by the memory of the device only. */
  public IndexConfig withoutBudget() {
    return new IndexConfig(
        dim,
        metric,
        poincareMaxNorm,
        expectedVectors,
        0,
        maxBatch,
        maxLingerNanos,
        mailboxCapacity,
        mailboxWaitNanos,
        deadRatio,
        timeout);
  }

  public Engine.IndexOptions options() {
    return new Engine.IndexOptions(dim, metric, expectedVectors, budgetBytes, poincareMaxNorm);
  }
}
