// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.internal.move.Relocation;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.IndexHome;
import dev.nearfield.internal.turn.Scratch;
import org.jspecify.annotations.Nullable;

/**
 * What takes an index many steps: large inserts and removals, compactions, trainings, the
 * beginnings of moves. Kinds take turns, and between any two steps requests are served. A hidden
 * row is dead to the device and to a move, so while an insert has rows there no compaction, no
 * training and no move begins. In a turn.
 */
final class LongWork {
  private static final int KINDS = 3;

  private final Compactor compactor;
  private final Trainer trainer;
  private final ListTrainer listTrainer;
  private final Relocation relocation;
  private final Inserts inserts;
  private final Removals removals = new Removals();
  private int kind;

  LongWork(Compactor compactor, Trainer trainer, ListTrainer listTrainer, Relocation relocation) {
    this.compactor = compactor;
    this.trainer = trainer;
    this.listTrainer = listTrainer;
    this.relocation = relocation;
    this.inserts = new Inserts(relocation);
  }

  void add(InsertJob insert) {
    inserts.add(insert);
  }

  void add(Jobs.Remove removal) {
    removals.add(removal);
  }

  /** Whether no insert and no removal is under way. */
  boolean isEmpty() {
    return inserts.isEmpty() && removals.isEmpty();
  }

  /** Whether an insert has rows on the device that would stay behind in a move. */
  boolean hasHiddenRows() {
    return inserts.begun();
  }

  /** Whether the index must not be searched before the next step. */
  boolean isExclusive() {
    return inserts.publishing();
  }

  /** A step of whatever is next; answers whether there was any. */
  boolean step(IndexHome here, IndexState index, IndexWork worker, Scratch scratch) {
    if (inserts.publishing()) {
      return inserts.step(index, worker);
    }
    for (int i = 0; i < KINDS; i++) {
      kind = (kind + 1) % KINDS;
      boolean worked =
          switch (kind) {
            case 0 -> inserts.step(index, worker);
            case 1 -> removals.step(index, worker, scratch);
            default -> rearrange(here, index, worker, scratch);
          };
      if (worked) {
        return true;
      }
    }
    return false;
  }

  /** What concerns all rows, one after the other: whichever has begun goes on to its end. */
  private boolean rearrange(IndexHome here, IndexState index, IndexWork worker, Scratch scratch) {
    listTrainer.endStopped();
    if (index.renumbering()) {
      index.renumberStep();
      if (!index.renumbering()) {
        worker.publish();
      }
      return true;
    }
    if (index.compacting()) {
      compactor.step(index, worker, scratch);
      return true;
    }
    boolean hidden = inserts.begun();
    if (!hidden && relocation.begin(here, index)) {
      return true; // a training under way need not end: what comes of it stays behind
    }
    if (!trainer.running() && !listTrainer.running()) {
      if (hidden) {
        return false;
      }
      if (compactor.wanted(index)) {
        compactor.step(index, worker, scratch);
        return true;
      }
    }
    if (listTrainer.wanted()) {
      listTrainer.step(index, worker);
      return true;
    }
    if (!trainer.wanted(index)) {
      return false;
    }
    trainer.step(index, worker);
    return true;
  }

  /** Inserts that waited for room go on, or fail of {@code refusal}. */
  void resumeInserts(@Nullable Throwable refusal, IndexState index, IndexWork worker) {
    inserts.resume(refusal, index, worker);
  }

  void failAll(Throwable cause) {
    inserts.failAll(cause);
    removals.failAll(cause);
    compactor.failAll(cause);
    listTrainer.failAll(cause);
  }
}
