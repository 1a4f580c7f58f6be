// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.MaintenanceReport;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.EngineIndex.MaintainStep;
import dev.nearfield.internal.engine.EngineIndex.TrainStep;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * A maintenance of lists that a caller asks for: one after the other until nothing is left to do,
 * since new lists may draw rows from those nearby and grow too large in their turn.
 */
final class MaintainJob extends ListJob<MaintenanceReport> {
  /** Lists of random vectors came to rest with the third; an end to it for any others. */
  private static final int MOST_ROUNDS = 8;

  private int rounds;
  private long split;
  private long merged;
  private long moved;

  MaintainJob(@Nullable Duration timeout) {
    super("maintain", timeout);
  }

  @Override
  TrainStep step(EngineIndex rows, long position, long budgetNanos, Engine.CallControl control) {
    MaintainStep step = rows.maintainStep(position, budgetNanos, control);
    if (!step.done()) {
      return new TrainStep(step.position(), false);
    }
    split += step.split();
    merged += step.merged();
    moved += step.moved();
    boolean rests = step.split() == 0 && step.merged() == 0 || ++rounds == MOST_ROUNDS;
    return rests ? new TrainStep(step.position(), true) : new TrainStep(0, false);
  }

  @Override
  MaintenanceReport report(int lists, Duration took) {
    return new MaintenanceReport(split, merged, moved, took);
  }
}
