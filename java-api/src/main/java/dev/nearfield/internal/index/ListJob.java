// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.EngineIndex.TrainStep;
import dev.nearfield.internal.turn.Change;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/** What is done to the lists of an index in steps. It may be stopped between and in them. */
abstract sealed class ListJob<T> extends Change<T> permits TrainJob, MaintainJob {
  ListJob(String operation, @Nullable Duration timeout) {
    super(operation, timeout);
  }

  /**
   * Refuses what cannot be done with so many vectors, whether or not there are lists here: before
   * the first step, and to say why one has failed when vectors were removed meanwhile.
   */
  void check(int live) {}

  /** The next step of it on a device that has lists. In a turn. */
  abstract TrainStep step(
      EngineIndex rows, long position, long budgetNanos, Engine.CallControl control);

  /** So far it is. In a turn. */
  void progress(long done, long total) {}

  /** It has been done, and there are so many lists. */
  final void succeed(int lists, Duration took) {
    succeed(report(lists, took));
  }

  abstract T report(int lists, Duration took);
}
