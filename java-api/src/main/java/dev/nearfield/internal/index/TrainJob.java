// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.TrainingReport;
import dev.nearfield.TrainingRequest;
import dev.nearfield.internal.engine.EngineIndex.Training;
import dev.nearfield.internal.turn.Change;
import dev.nearfield.internal.turn.Completer;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/** A training of lists that a caller asks for. It may be stopped between and in its steps. */
final class TrainJob extends Change<TrainingReport> {
  final Training how;
  private final Completer completer;
  private final TrainingRequest.@Nullable ProgressListener listener;
  private final AtomicBoolean telling = new AtomicBoolean();
  private volatile TrainingRequest.@Nullable Progress progress;
  private volatile TrainingRequest.@Nullable Progress told;

  TrainJob(
      @Nullable Duration timeout,
      Training how,
      Completer completer,
      TrainingRequest.@Nullable ProgressListener listener) {
    super("train", timeout);
    this.how = how;
    this.completer = completer;
    this.listener = listener;
  }

  /** So far it is. The listener hears of the newest, one call at a time. In a turn. */
  void progress(long done, long total) {
    if (listener != null) {
      progress = new TrainingRequest.Progress(done, total);
      tellLater();
    }
  }

  private void tellLater() {
    if (progress != told && telling.compareAndSet(false, true)) {
      completer.run(this::tell);
    }
  }

  private void tell() {
    TrainingRequest.Progress now = progress;
    told = now;
    try {
      if (listener != null && now != null) {
        listener.onProgress(now);
      }
    } finally {
      telling.set(false);
      tellLater(); // what has come meanwhile
    }
  }
}
