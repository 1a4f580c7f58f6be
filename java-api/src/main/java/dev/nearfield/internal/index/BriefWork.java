// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.Scratch;
import java.util.List;

/**
 * Which requests a caller may do itself while nobody else wants the device, and how: its own one
 * and no other, so that nobody is caught in serving others. Brief is what ends before anyone would
 * tell it to stop: an interrupt is noticed when the step is over. Not for virtual threads: one that
 * waits for a lock in its turn leaves its carrier, and others may keep that for as long as they
 * like.
 */
final class BriefWork {
  /**
   * Floats that a step may touch: a millisecond of one CPU core, a few of plain Java; both are
   * below a turn, and beside them the 20 to 100 us of waking two threads stop to matter.
   */
  private static final double MAX_FLOATS = 1 << 22;

  /**
   * Multiply-adds that a step may spend on turning vectors into the axes of their codes, or back: a
   * millisecond of one CPU core, where each of their floats takes as many as there are dimensions.
   */
  private static final double MAX_PRODUCTS = 1 << 25;

  /** Vectors that a search of codes alone decodes for each query: its sample, and what it keeps. */
  private static final int DECODED = 512;

  private BriefWork() {}

  static boolean isBrief(Request<?> job, IndexState index, int maxBatch) {
    return switch (job) {
      case SearchJob search -> isBrief(search, index, maxBatch);
      case Jobs.Add add ->
          add.vectors.length <= MAX_FLOATS
              && (!index.options().coded()
                  || (double) add.vectors.length * index.dim() <= MAX_PRODUCTS);
      case Jobs.Remove remove ->
          remove.handles.length <= index.slots().step()
              && (double) remove.handles.length * index.dim() <= MAX_FLOATS;
      case Jobs.Replace replace -> true;
      case Jobs.Get get -> true;
      default -> false;
    };
  }

  private static boolean isBrief(SearchJob search, IndexState index, int maxBatch) {
    int k = SearchBatch.k(search, index);
    double entries = (double) SearchBatch.rows(search, index) + k;
    return Remasking.isReady(search, index)
        && search.queryCount() <= SearchBatch.queryLimit(maxBatch, k)
        && search.queryCount() * entries * index.dim() <= MAX_FLOATS
        && (!index.options().codesAlone()
            || (double) search.queryCount() * DECODED * index.dim() * index.dim() <= MAX_PRODUCTS);
  }

  /** Does a brief job that is in no mailbox. */
  static void serve(Request<?> job, IndexWork worker, SearchWork searches, Scratch scratch) {
    switch (job) {
      case SearchJob search -> {
        if (search.start()) {
          searches.brief(search, scratch);
        }
      }
      case Jobs.Add add -> worker.add(List.of(add), scratch);
      default -> worker.single(job, scratch);
    }
  }
}
