// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.IndexSpec;
import dev.nearfield.TrainingReport;
import dev.nearfield.TrainingRequest;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.EngineIndex.TrainStep;
import dev.nearfield.internal.engine.EngineIndex.Training;
import dev.nearfield.internal.engine.FitSample;
import dev.nearfield.internal.turn.Completer;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/** A training of lists that a caller asks for. */
final class TrainJob extends ListJob<TrainingReport> {
  private final Training how;
  private final Completer completer;
  private final TrainingRequest.@Nullable ProgressListener listener;
  private final AtomicBoolean telling = new AtomicBoolean();
  private volatile TrainingRequest.@Nullable Progress progress;
  private volatile TrainingRequest.@Nullable Progress told;

  private TrainJob(
      @Nullable Duration timeout,
      Training how,
      Completer completer,
      TrainingRequest.@Nullable ProgressListener listener) {
    super("train", timeout);
    this.how = how;
    this.completer = completer;
    this.listener = listener;
  }

  /**
   * What a request asks of an index that was built so.
   *
   * @param data a copy of its vectors; null where it has none
   */
  static TrainJob of(
      @Nullable Duration timeout,
      TrainingRequest request,
      IndexSpec.Ivf spec,
      @Nullable FitSample data,
      Completer completer) {
    int lists = request.lists() != 0 ? request.lists() : spec.lists();
    int sample = request.sample();
    if (sample != 0 && sample < lists) {
      throw new IllegalArgumentException(
          "train: sample [%d], at least as many vectors as the %d lists are needed"
              .formatted(sample, lists));
    }
    Training how = new Training(data, lists, request.iterations(), sample, request.seed());
    return new TrainJob(timeout, how, completer, request.progress().orElse(null));
  }

  @Override
  void check(int live) {
    FitSample data = how.data();
    int from = data == null ? live : data.count();
    if (from < 2) {
      throw new IllegalArgumentException(
          "train: [%d] vectors, lists are trained on at least 2".formatted(from));
    }
    if (how.lists() > from) {
      throw new IllegalArgumentException(
          "train: lists [%d], there are %d vectors to train them on".formatted(how.lists(), from));
    }
  }

  @Override
  TrainStep step(EngineIndex rows, long position, long budgetNanos, Engine.CallControl control) {
    return rows.trainStep(how, position, budgetNanos, control);
  }

  @Override
  TrainingReport report(int lists, Duration took) {
    return new TrainingReport(lists, took);
  }

  /** The listener hears of the newest, one call at a time. */
  @Override
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
