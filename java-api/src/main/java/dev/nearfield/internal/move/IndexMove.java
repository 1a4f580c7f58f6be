// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.move;

import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.table.LiveRows;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Scratch;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Carries the vectors of an index to another device, by turns: a chunk is read on the old owner
 * thread, added on the new one, and so on; no vector is on the host longer than that. The index
 * serves nothing else meanwhile, so nothing changes under it. Dead rows stay behind. Codes are made
 * anew there, of an index that keeps nothing else from what they stand for; what they were fitted
 * to at the build they are fitted to before. Lists go along once all vectors are there, in one
 * call, where the destination has such.
 */
public final class IndexMove implements DeviceOwner.Turn {
  enum Phase {
    /** The old owner is to read the next chunk. */
    READ,
    /** The new owner is to make the index, the first time, and to add it. */
    WRITE,
    /** The new owner is to drop what it has. */
    DROP,
    /** All vectors are there. */
    DONE,
    /** The new owner holds nothing; the index is where it was. */
    FAILED
  }

  private final IndexState from;
  private final SlotTable slots;
  private final DeviceOwner.Seat oldSeat;
  private final DeviceOwner.Seat newSeat;
  private final Elsewhere.Destination to;
  private final LiveRows chunk;
  private volatile Phase phase = Phase.READ; // who may touch the rest
  private int nextRow;
  private EngineIndex.@Nullable Lists lists; // with the last chunk
  private @Nullable Engine engine;
  private @Nullable IndexState target;
  private @Nullable Throwable failure;
  private volatile @Nullable Throwable stop; // why nobody wants the move any more

  IndexMove(IndexState from, DeviceOwner.Seat oldSeat, Elsewhere.Destination to) {
    this.from = from;
    this.slots = from.slots();
    this.oldSeat = oldSeat;
    this.to = to;
    this.newSeat = to.owner().seat(this);
    this.chunk = new LiveRows(slots.chunkRows(from.dim()), from.dim());
  }

  Phase phase() {
    return phase;
  }

  public Elsewhere.Destination to() {
    return to;
  }

  /** The engine and the filled index at the destination, once {@link Phase#DONE}. */
  public Engine engine() {
    return Objects.requireNonNull(engine);
  }

  public IndexState target() {
    return Objects.requireNonNull(target);
  }

  /** Once {@link Phase#FAILED}. */
  Throwable failure() {
    return Objects.requireNonNull(failure);
  }

  // ---- on the old owner thread, in phase READ

  void read(Scratch scratch) {
    try {
      nextRow = from.readLive(nextRow, chunk, scratch);
      if (nextRow == from.rowCount()) {
        lists = from.readLists();
      }
      phase = Phase.WRITE;
    } catch (RuntimeException | Error e) {
      failure = e;
      phase = Phase.DROP;
    }
    newSeat.ready();
  }

  void abort(Throwable cause) {
    failure = cause;
    phase = Phase.DROP;
    newSeat.ready();
  }

  /** In phase WRITE: what takes several turns there ends with the next. */
  void stop(Throwable cause) {
    stop = cause;
  }

  // ---- on the new owner thread

  @Override
  public long run(Engine engine, Scratch scratch, long untilNanos) {
    if (phase == Phase.WRITE) {
      try {
        IndexState there = target == null ? make(engine) : target;
        Throwable cause = stop;
        if (cause != null) {
          failure = cause;
          drop();
        } else if (there.fitStep(Math.max(1, untilNanos - System.nanoTime()), CallControl.NONE)) {
          there.adopt(chunk, scratch);
          EngineIndex.Lists known = lists;
          if (known != null && there.options().listed()) {
            there.writeLists(known);
          }
          phase = nextRow == from.rowCount() ? Phase.DONE : Phase.READ;
        } else {
          return DeviceOwner.AGAIN;
        }
      } catch (RuntimeException | Error e) {
        failure = e;
        drop();
      }
      oldSeat.ready();
    } else if (phase == Phase.DROP) {
      drop();
      oldSeat.ready();
    }
    return DeviceOwner.IDLE;
  }

  private IndexState make(Engine engine) {
    this.engine = engine;
    IndexState made = IndexState.of(engine, to.config(), slots);
    target = made;
    made.checkRoom("move", from.live());
    return made;
  }

  private void drop() {
    IndexState half = target;
    target = null;
    if (half != null) {
      try {
        half.close();
      } catch (RuntimeException | Error e) {
        failure().addSuppressed(e);
      }
    }
    phase = Phase.FAILED;
  }
}
