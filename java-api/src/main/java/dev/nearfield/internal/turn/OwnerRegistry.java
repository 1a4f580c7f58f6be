// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import dev.nearfield.Device;
import dev.nearfield.internal.engine.Engine;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;

/**
 * The owners in use, one for each device, and those that nobody has used for less than the grace
 * period. An owner that has lost its device, or never got it, is not found any more: whoever comes
 * next opens the device anew, while those who came before keep theirs until they release it.
 */
final class OwnerRegistry {
  /**
   * How long an unused device stays open: opening one takes from 6 ms (a CPU) to some hundred (a
   * driver), which calls that come now and then need not pay each; an open one holds a thread and
   * what its context keeps, which nobody should find there a minute later.
   */
  static final long GRACE_NANOS = 10_000_000_000L;

  static final OwnerRegistry SHARED = new OwnerRegistry(GRACE_NANOS);

  private final long graceNanos;
  private final ReentrantLock lock = new ReentrantLock(); // before that of an owner
  private final Map<Device, DeviceOwner> owners = new HashMap<>();

  OwnerRegistry(long graceNanos) {
    this.graceNanos = graceNanos;
  }

  /** As {@link DeviceOwner#acquire}, but does not wait. */
  DeviceOwner acquire(Device device, Function<Device, Engine> open) {
    lock.lock();
    try {
      DeviceOwner owner = owners.get(device);
      if (owner == null || owner.broken()) {
        owner = new DeviceOwner(device, open, this);
        owner.start(); // first: an owner that could not start must not be found
        owners.put(device, owner);
      }
      owner.users++;
      owner.setUnused(false, 0);
      return owner;
    } finally {
      lock.unlock();
    }
  }

  /** Answers whether it was the last use and there is no grace, so that the owner ends now. */
  boolean release(DeviceOwner owner) {
    lock.lock();
    try {
      if (--owner.users > 0) {
        return false;
      }
      if (owner.broken()) {
        owners.remove(owner.device(), owner);
      }
      owner.setUnused(true, owner.broken() ? 0 : graceNanos);
      return graceNanos == 0;
    } finally {
      lock.unlock();
    }
  }

  /** Answers whether the owner is to end now, and is not found any more. Its own thread. */
  boolean retire(DeviceOwner owner) {
    lock.lock(); // nobody can begin to use it meanwhile
    try {
      if (owner.users > 0 || !owner.shut()) {
        return false;
      }
      owners.remove(owner.device(), owner);
      return true;
    } finally {
      lock.unlock();
    }
  }
}
