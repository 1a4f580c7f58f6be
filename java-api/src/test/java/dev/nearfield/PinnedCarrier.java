// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.internal.index.IndexBuilder;
import dev.nearfield.internal.plain.JavaEngine;
import java.lang.reflect.Field;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;

/**
 * To be run in a JVM with one carrier thread. A virtual thread changes the index while the lock of
 * the slots is held, so it leaves the carrier; another one pins that by a search within a class
 * initializer. Then the lock is let go, and both must end: neither does if the first one had the
 * turn at the device, for it cannot go on before the second one ends, which waits for the device.
 */
public final class PinnedCarrier {
  private static final SearchRequest ANY =
      SearchRequest.builder().query(new float[1]).topK(1).build();
  private static final AcceleratedVectorIndex INDEX =
      new IndexBuilder(1, Metric.L2_SQUARED)
          .engine(new JavaEngine())
          .batching(64, Duration.ZERO)
          .build();

  private PinnedCarrier() {}

  private static final class Initializer {
    static {
      INDEX.search(ANY);
    }

    static void begin() {}
  }

  public static void main(String[] arguments) throws Exception {
    VectorHandle handle = INDEX.add(new float[1]);
    INDEX.search(ANY);
    ReentrantLock slots = (ReentrantLock) field(field(INDEX, "slots"), "lock");
    Thread changing;
    Thread pinning;
    slots.lock();
    try {
      changing = Thread.ofVirtual().start(() -> INDEX.replace(handle, new float[1]));
      while (!slots.hasQueuedThreads()) {
        Thread.sleep(1);
      }
      pinning = Thread.ofVirtual().start(Initializer::begin);
      while (INDEX.stats().queued() == 0) {
        Thread.sleep(1);
      }
    } finally {
      slots.unlock();
    }
    for (Thread thread : new Thread[] {pinning, changing}) {
      if (!thread.join(Duration.ofSeconds(20))) {
        throw new AssertionError(
            "%s is stuck at %s".formatted(thread, Arrays.toString(thread.getStackTrace())));
      }
    }
    INDEX.close();
  }

  private static Object field(Object of, String name) throws ReflectiveOperationException {
    Field field = of.getClass().getDeclaredField(name);
    field.setAccessible(true);
    return field.get(of);
  }
}
