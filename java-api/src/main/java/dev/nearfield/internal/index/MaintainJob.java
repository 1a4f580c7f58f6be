// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.MaintenanceReport;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.EngineIndex.MaintainStep;
import dev.nearfield.internal.engine.EngineIndex.TrainStep;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/** A maintenance of lists that a caller asks for. */
final class MaintainJob extends ListJob<MaintenanceReport> {
  private MaintainStep last = new MaintainStep(0, true, 0, 0, 0); // where there are no lists

  MaintainJob(@Nullable Duration timeout) {
    super("maintain", timeout);
  }

  @Override
  TrainStep step(EngineIndex rows, long position, long budgetNanos, Engine.CallControl control) {
    last = rows.maintainStep(position, budgetNanos, control);
    return new TrainStep(last.position(), last.done());
  }

  @Override
  MaintenanceReport report(int lists, Duration took) {
    return new MaintenanceReport(last.split(), last.merged(), last.moved(), took);
  }
}
