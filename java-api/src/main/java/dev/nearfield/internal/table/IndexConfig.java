// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import dev.nearfield.BackendUnavailableException;
import dev.nearfield.Encoding;
import dev.nearfield.IndexSpec;
import dev.nearfield.Metric;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.FitSample;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * What the builder decided.
 *
 * @param sample of {@link Encoding#INT8_ONLY}: what the codes are fitted to; null: they are not
 * @param codedFrom vectors from which codes pay: with fewer promised {@link Encoding#AUTO} makes
 *     none, and with that many they are fitted
 * @param budgetBytes on the device, 0 for what it has
 * @param maxBatch queries of one device call
 * @param deadRatio share of dead rows from which compaction starts by itself; 1 or more: never
 * @param timeout of calls that bring none; null: none
 */
public record IndexConfig(
    int dim,
    Metric metric,
    IndexSpec spec,
    @Nullable FitSample sample,
    int codedFrom,
    double poincareMaxNorm,
    long expectedVectors,
    long budgetBytes,
    int maxBatch,
    long maxLingerNanos,
    int mailboxCapacity,
    long mailboxWaitNanos,
    double deadRatio,
    @Nullable Duration timeout) {
  /**
   * From where on codes pay. One query by codes, beside floats, on one core of a Zen 4: as long at
   * 4,096 vectors (1.06 to 1.11 times as fast at 128 dimensions, 0.95 at 768), 1.3 to 1.6 times as
   * fast at 8,000 to 10,000.
   */
  public static final int CODED_FROM = 10_000;

  public Encoding encoding() {
    return spec.encoding();
  }

  /** As this, where the budget was too small: bound by the memory of the device only. */
  public IndexConfig withoutBudget() {
    return new IndexConfig(
        dim,
        metric,
        spec,
        sample,
        codedFrom,
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

  /**
   * For an index on that device, flat where that has no lists. In a turn.
   *
   * @throws BackendUnavailableException when it cannot have the codes that were asked for
   */
  public Engine.IndexOptions options(Engine engine) {
    return switch (encoding()) {
      case F32 -> options(engine, Encoding.F32);
      case INT8 -> {
        if (!engine.supportsCodes(metric)) {
          throw unavailable(engine, "AUTO uses codes where there are any");
        }
        yield options(engine, Encoding.INT8);
      }
      case INT8_ONLY -> {
        if (!engine.supportsCodesAlone(metric)) {
          throw unavailable(engine, "AUTO keeps vectors of 32-bit floats there");
        }
        yield options(engine, Encoding.INT8_ONLY);
      }
      case AUTO -> {
        Engine.IndexOptions coded = options(engine, Encoding.INT8);
        yield engine.supportsCodes(metric) && codesPay(engine, coded)
            ? coded
            : options(engine, Encoding.F32);
      }
    };
  }

  private Engine.IndexOptions options(Engine engine, Encoding kept) {
    int lists =
        spec instanceof IndexSpec.Ivf ivf && engine.supportsLists(metric)
            ? ivf.lists()
            : Engine.IndexOptions.FLAT;
    return new Engine.IndexOptions(
        dim, metric, expectedVectors, budgetBytes, poincareMaxNorm, kept, lists);
  }

  private BackendUnavailableException unavailable(Engine engine, String instead) {
    return BackendUnavailableException.unsupported(
        "build: encoding [%s] is not to be had on %s with %s; %s"
            .formatted(encoding(), engine.device(), metric, instead));
  }

  private boolean codesPay(Engine engine, Engine.IndexOptions coded) {
    if (expectedVectors == 0) { // unknown
      return true;
    }
    if (expectedVectors < codedFrom) {
      return false;
    }
    long needed = engine.estimate(coded).peakBytes();
    long free = engine.freeBytes();
    return (budgetBytes == 0 || needed <= budgetBytes) && (free < 0 || needed <= free);
  }
}
