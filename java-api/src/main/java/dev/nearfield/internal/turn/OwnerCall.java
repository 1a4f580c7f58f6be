// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import dev.nearfield.internal.engine.Engine;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * One task for an engine, in turn with the indexes of its device; its caller waits and may give up,
 * as for every {@link Request}.
 */
public final class OwnerCall<T> extends Request<T> implements DeviceOwner.Turn {
  /**
   * What to do. The segments it uses must stay alive until it has run, even when the caller has
   * given up by then.
   */
  public interface Task<T> {
    public T run(Engine engine, Scratch scratch, Engine.CallControl control);
  }

  private final DeviceOwner owner;
  private final Task<T> task;

  private OwnerCall(DeviceOwner owner, String operation, @Nullable Duration timeout, Task<T> task) {
    super(operation, timeout);
    this.owner = owner;
    this.task = task;
  }

  /**
   * Runs the task on the owner thread and waits for it until the time-out. When it is interrupted
   * or timed out the device is told to stop, and this returns only when it has: the task's memory
   * may be freed then.
   */
  public static <T> T run(
      DeviceOwner owner, String operation, @Nullable Duration timeout, Task<T> task) {
    OwnerCall<T> call = new OwnerCall<>(owner, operation, timeout, task);
    StackRoom.require();
    owner.seat(call).ready();
    return call.await();
  }

  @Override
  protected boolean abandonable() {
    return false;
  }

  @Override
  public long run(Engine engine, Scratch scratch, long untilNanos) {
    CancelWord cancel = owner.cancelWord();
    try {
      CancelWord.Batch batch = cancel.arm();
      if (start(batch)) {
        batch.gathered();
        Engine.CallControl control = Engine.CallControl.within(remainingNanos(), cancel.segment());
        succeed(task.run(engine, scratch, control));
      }
    } catch (RuntimeException | Error e) {
      fail(e);
    } finally {
      cancel.disarm();
    }
    return DeviceOwner.IDLE;
  }
}
