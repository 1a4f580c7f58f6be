// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.move;

import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.Placement;
import dev.nearfield.internal.event.FallbackReporter;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.turn.Change;
import dev.nearfield.internal.turn.IndexHome;
import dev.nearfield.internal.turn.Scratch;
import dev.nearfield.internal.turn.Threads;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Moves of an index: those that were asked for, and those that a full device makes necessary, with
 * the inserts that wait for them. While it is {@link #busy()} the index does nothing else. In a
 * turn, except where a method says otherwise.
 */
public final class Relocation {
  /** Where requests count that wait here. */
  public interface Places {
    void hold();

    void letGo();
  }

  private final Elsewhere elsewhere;
  private final FallbackReporter reporter;
  private final Places places;
  private final Runnable wake;
  private final BooleanSupplier movable;

  private final ArrayDeque<MoveJob> asked = new ArrayDeque<>();
  private @Nullable MoveJob job; // of the move under way; null when it is due to a full device
  private @Nullable IndexMove move;

  private @Nullable DeviceOutOfMemoryException full; // what began the search for room
  private boolean looking;
  private volatile @Nullable Object found; // its answer: a Destination, or why there is none
  private final List<Change<?>> parked = new ArrayList<>();
  private boolean insertParked;

  /** {@code movable}: whether the index can be read as a whole now. */
  public Relocation(
      Elsewhere elsewhere,
      FallbackReporter reporter,
      Places places,
      Runnable wake,
      BooleanSupplier movable) {
    this.elsewhere = elsewhere;
    this.reporter = reporter;
    this.places = places;
    this.wake = wake;
    this.movable = movable;
  }

  public boolean busy() {
    return looking || move != null;
  }

  public void ask(MoveJob wanted) {
    asked.add(wanted);
  }

  /** Begins the next move that was asked for; answers whether there was one. */
  public boolean begin(IndexHome here, IndexState index) {
    MoveJob next = asked.peek();
    if (next == null) {
      return false;
    }
    if (next.to.placement().device().equals(here.placement().device())) {
      next.succeed(here.placement()); // a move asked for earlier has come here already
      asked.remove();
      return true;
    }
    IndexMove going = new IndexMove(index, here.seat(), next.to); // before anything is changed
    asked.remove();
    job = next;
    move = going;
    return true;
  }

  // ---- a full device

  /** Whether an insert that found no room is kept until there is more elsewhere. */
  public boolean takes(Change<?> insert, Placement here, DeviceOutOfMemoryException cause) {
    if (!look(here, cause)) {
      return false;
    }
    parked.add(insert);
    places.hold();
    return true;
  }

  /** The same for a large insert, which has put nothing on the device yet; it waits where it is. */
  public boolean takesInsert(Placement here, DeviceOutOfMemoryException cause) {
    if (!look(here, cause)) {
      return false;
    }
    insertParked = true;
    return true;
  }

  private boolean look(Placement here, DeviceOutOfMemoryException cause) {
    if (looking) {
      return true;
    }
    if (!elsewhere.hasRoomier(here)) {
      return false;
    }
    if (!movable.getAsBoolean()) {
      return true; // parked: it is tried again, and comes here again, once that has changed
    }
    looking = true;
    full = cause;
    Threads.startVirtual( // opening a device takes its time
        () -> {
          Object answer;
          try {
            answer = elsewhere.roomier(here);
          } catch (RuntimeException | Error e) {
            answer = e;
          }
          found = answer == null ? cause : answer;
          wake.run();
        });
    return true;
  }

  /** The inserts to try once more, or to fail when {@link #refusal()} is set. */
  public List<Change<?>> takeParked() {
    List<Change<?>> taken = List.copyOf(parked);
    parked.clear();
    taken.forEach(insert -> places.letGo());
    return taken;
  }

  /** Fails parked inserts whose callers do not wait any more. */
  public void endStopped() {
    for (int i = parked.size() - 1; i >= 0; i--) {
      Change<?> insert = parked.get(i);
      if (insert.cancelRequested()) {
        insert.fail(new CancellationException(insert.operation() + ": cancelled by the caller"));
        parked.remove(i);
        places.letGo();
      }
    }
  }

  /** Whether large inserts wait, too; to be asked once. */
  public boolean takeInsertParked() {
    boolean was = insertParked;
    insertParked = false;
    return was;
  }

  /** Whether there is something to resume now. */
  public boolean hasParked() {
    return (insertParked || !parked.isEmpty()) && movable.getAsBoolean();
  }

  /** Why there is no room elsewhere either; null when there is. */
  @Nullable
  public Throwable refusal() {
    return full;
  }

  // ---- steps

  /**
   * Goes on, when it is this thread's turn. Answers true when the vectors are all at the
   * destination of {@link #move()}.
   *
   * @param stop why the index can go nowhere any more, if it cannot
   */
  public boolean step(IndexHome here, IndexState index, @Nullable Throwable stop, Scratch scratch) {
    if (looking) {
      Object answer = found;
      if (answer == null) {
        return false;
      }
      if (answer instanceof Elsewhere.Destination to) {
        move = new IndexMove(index, here.seat(), to); // first: it may find no memory
      }
      looking = false;
      found = null;
      if (answer instanceof Throwable none && answer != full && full != null) {
        full.addSuppressed(none);
      }
    }
    IndexMove going = move;
    if (going == null) {
      return false;
    }
    switch (going.phase()) {
      case READ -> {
        if (stop == null) {
          going.read(scratch);
        } else {
          going.abort(stop);
        }
      }
      case WRITE -> {
        if (stop != null) {
          going.stop(stop);
        }
      }
      case DROP -> {}
      case DONE -> {
        return going.target().claimSlots();
      }
      case FAILED -> failed(going);
    }
    return false;
  }

  /** Whether all vectors are at the destination, and some of their handles yet to follow. */
  public boolean claiming() {
    return move != null && move.phase() == IndexMove.Phase.DONE;
  }

  private void failed(IndexMove going) {
    MoveJob wanted = job;
    if (wanted != null) {
      wanted.fail(going.failure()); // and gives the destination up; first, as it may find no memory
      move = null;
      job = null;
      return;
    }
    move = null;
    going.to().giveUp();
    if (full != null) {
      full.addSuppressed(going.failure());
    }
  }

  public IndexMove move() {
    return Objects.requireNonNull(move);
  }

  /**
   * Ends the move to the destination of {@link #move()}, which is {@code now}, and answers what
   * tells of it: to be run once the index is there, when this object belongs to another thread.
   */
  public Runnable settled(Placement now) {
    MoveJob wanted = job;
    DeviceOutOfMemoryException cause = full;
    move = null;
    job = null;
    full = null;
    return () -> {
      now.fallback()
          .ifPresent(
              reason ->
                  reporter.fellBack(
                      wanted == null ? "add" : "retryAcceleration", now, reason, cause));
      if (wanted != null) {
        wanted.arrived(now);
      }
    };
  }

  public void forgetRefusal() {
    full = null;
  }

  /** Fails everything that waits. Not to be called while {@link #busy()}. */
  public void failAll(Throwable cause) {
    asked.forEach(waiting -> waiting.fail(cause));
    asked.clear();
    parked.forEach(waiting -> waiting.fail(cause));
    parked.forEach(waiting -> places.letGo());
    parked.clear();
    insertParked = false;
    full = null;
  }
}
