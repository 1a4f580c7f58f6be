// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.DeviceLostException;
import dev.nearfield.Encoding;
import dev.nearfield.IndexClosedException;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.DeviceOwner;

/**
 * When the codes beside the vectors of an index are fitted to these, and when anew. Nobody waits
 * for it, and answers are the same without. In a turn.
 */
final class Trainer {
  private static final System.Logger LOG = System.getLogger(Trainer.class.getName());

  /** {@code nf_index_info.loosening} from which a new training pays. */
  private static final double LOOSE = 2;

  /**
   * Share of the vectors that must have come since the last training: a new one codes all of them
   * again, for the sake of these.
   */
  private static final double LEAST_SHARE = 0.125;

  /** More rows than any index is given: not trained yet. */
  private static final long NEVER = Long.MAX_VALUE;

  private final int from;
  private int liveFrom;
  private double looseFrom = LOOSE;
  private long trainedAt = NEVER; // rows that the index had been given at the last training
  private boolean running;
  private long position;
  private boolean told;

  /** {@code from}: vectors with which the first training begins. */
  Trainer(int from) {
    this.from = from;
    this.liveFrom = from;
  }

  /** Whether a training is under way: no compaction may begin. */
  boolean running() {
    return running;
  }

  /** Whether there is a step to do. Asks nobody, as it is asked again and again. */
  boolean wanted(IndexState index) {
    if (running) {
      return true;
    }
    if (index.encoding() != Encoding.INT8
        || index.options().listed() // whose codes are fitted with the lists
        || index.live() < liveFrom) {
      return false;
    }
    return trainedAt == NEVER
        || index.codes().loosening() >= looseFrom
            && index.given() - trainedAt >= LEAST_SHARE * index.live();
  }

  void step(IndexState index, IndexWork worker) {
    if (!running) {
      running = true;
      position = 0;
    }
    Object outcome = worker.trainStep(position, DeviceOwner.TURN_NANOS);
    if (outcome instanceof EngineIndex.TrainStep step) {
      position = step.position();
      if (step.done()) {
        running = false;
        trainedAt = index.given();
        liveFrom = from;
        looseFrom = LOOSE;
      }
    } else {
      running = false;
      failed(index, (Throwable) outcome);
    }
  }

  /** Not to be tried again at once: not before twice as much could be gained. */
  private void failed(IndexState index, Throwable cause) {
    if (trainedAt == NEVER) {
      liveFrom = (int) Math.min(Integer.MAX_VALUE, Math.max(from, 2L * index.live()));
    } else {
      looseFrom = 2 * Math.max(LOOSE, index.codes().loosening());
    }
    if (!told && !(cause instanceof IndexClosedException || cause instanceof DeviceLostException)) {
      told = true; // once: nothing but speed is lost
      LOG.log(
          System.Logger.Level.INFO,
          "fitting the codes of an index of {0} vectors failed, searches use them as they are: {1}",
          index.live(),
          cause.getMessage());
    }
  }

  /** The index has moved: its codes are made anew there, and fitted by a new training. */
  void moved() {
    running = false;
    trainedAt = NEVER;
    liveFrom = from;
    looseFrom = LOOSE;
  }
}
