// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.BackendKind;
import dev.nearfield.Device;
import dev.nearfield.DeviceLostException;
import dev.nearfield.Metric;
import dev.nearfield.Seed;
import dev.nearfield.Together;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.index.BatchingTest;
import dev.nearfield.internal.value.DeviceInfo;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Which owner a user of a device gets, and when one ends: counted by engines. */
@Timeout(60)
class OwnerRegistryTest {
  private static final DeviceInfo DEVICE =
      new DeviceInfo(BackendKind.CUDA, 78, "a test", "none", 0, false);
  private static final long FOR_EVER = Long.MAX_VALUE / 4;

  private final List<FakeEngine> opened = new CopyOnWriteArrayList<>();

  private Engine open(Device device) {
    FakeEngine engine = new FakeEngine(DEVICE);
    opened.add(engine);
    return engine;
  }

  private DeviceOwner acquire(OwnerRegistry registry) {
    return registry.acquire(DEVICE, this::open).awaitOpen();
  }

  private int closed() {
    return opened.stream().mapToInt(engine -> engine.closed.get()).sum();
  }

  private static boolean create(DeviceOwner owner) {
    return OwnerCall.run(
        owner,
        "create",
        null,
        (engine, scratch, control) -> {
          engine.createIndex(new Engine.IndexOptions(1, Metric.DOT, 0, 0, 0), control).close();
          return ((FakeEngine) engine).closed.get() == 0;
        });
  }

  private void lose(DeviceOwner owner) {
    FakeEngine last = opened.getLast();
    last.failures.add(new DeviceLostException("unplugged"));
    last.failing = "create";
    assertThrows(DeviceLostException.class, () -> create(owner));
  }

  @Test
  void anUnusedDeviceStaysOpenForAWhile() {
    OwnerRegistry registry = new OwnerRegistry(FOR_EVER);
    DeviceOwner first = acquire(registry);
    first.release();
    for (int i = 0; i < 20; i++) {
      DeviceOwner again = acquire(registry);
      assertSame(first, again);
      assertSame(first, acquire(registry));
      assertTrue(create(again));
      again.release();
      again.release();
    }
    assertEquals(1, opened.size());
    assertEquals(0, closed());
  }

  @Test
  void thenItIsClosedByItself() {
    OwnerRegistry registry = new OwnerRegistry(1);
    DeviceOwner first = acquire(registry);
    DeviceOwner same = acquire(registry);
    first.release();
    assertTrue(create(same));
    assertEquals(0, closed());
    same.release();
    BatchingTest.await(() -> closed() == 1);
    DeviceOwner second = acquire(registry);
    assertNotSame(first, second);
    assertEquals(2, opened.size());
    assertTrue(create(second));
    second.release();
    BatchingTest.await(() -> closed() == 2);
  }

  @Test
  void nobodyGetsAnOwnerThatEnds() throws Exception {
    Seed seed = new Seed("OwnerRegistryTest#nobodyGetsAnOwnerThatEnds");
    OwnerRegistry registry = new OwnerRegistry(20_000); // about the pause between two uses
    AtomicInteger uses = new AtomicInteger();
    List<Together.Task> tasks = new ArrayList<>();
    for (int t = 0; t < 3; t++) {
      Random random = seed.random(t);
      tasks.add(
          () -> {
            for (int i = 0; i < 400; i++) {
              DeviceOwner owner = acquire(registry);
              assertTrue(create(owner), () -> "a closed engine was used, " + seed);
              uses.incrementAndGet();
              owner.release();
              Thread.sleep(0, random.nextInt(60_000));
            }
          });
    }
    Together.run(tasks);
    BatchingTest.await(() -> closed() == opened.size());
    assertEquals(1200, uses.get());
    assertTrue(opened.size() > 1, () -> "no grace period ever ended, " + seed);
    opened.forEach(engine -> assertEquals(1, engine.closed.get(), seed::toString));
  }

  @Test
  void aLostDeviceIsOpenedAnewWhileOthersHoldIt() {
    OwnerRegistry registry = new OwnerRegistry(FOR_EVER);
    DeviceOwner old = acquire(registry);
    acquire(registry);
    lose(old);
    DeviceOwner fresh = acquire(registry);
    assertNotSame(old, fresh);
    assertTrue(create(fresh));
    assertSame(fresh, acquire(registry));
    assertEquals(2, opened.size());
    old.release();
    assertEquals(0, closed()); // somebody holds it still
    old.release();
    BatchingTest.await(
        () -> opened.getFirst().closed.get() == 1); // at once: there is no use for it
    assertSame(fresh, acquire(registry));
    assertEquals(0, opened.getLast().closed.get());
  }

  @Test
  void aLostDeviceHasNoGrace() {
    OwnerRegistry registry = new OwnerRegistry(FOR_EVER);
    DeviceOwner owner = acquire(registry);
    lose(owner);
    owner.release();
    BatchingTest.await(() -> closed() == 1);
    assertNotSame(owner, acquire(registry));
  }

  /** Nobody has noticed the loss before. */
  @Test
  void whoMeetsTheLossTriesOnceMore() {
    DeviceOwner old = DeviceOwner.acquire(DEVICE, this::open);
    opened.getFirst().failures.add(new DeviceLostException("unplugged"));
    opened.getFirst().failing = "create";
    List<DeviceOwner> tried = new ArrayList<>();
    boolean open = OnDevice.use(DEVICE, this::open, owner -> createAndRelease(owner, tried));
    assertTrue(open);
    assertEquals(2, tried.size());
    assertSame(old, tried.getFirst());
    assertEquals(2, opened.size());
    old.release();
    opened.getLast().failures.add(new DeviceLostException("again"));
    opened.getLast().failing = "create";
    OnDevice.use(DEVICE, this::open, owner -> createAndRelease(owner, tried));
    assertEquals(3, opened.size());
    DeviceOwner third = DeviceOwner.acquire(DEVICE, this::open);
    lose(third);
    third.release();
    assertThrows( // one that was opened for this very use is not tried again
        DeviceLostException.class,
        () ->
            OnDevice.use(
                DEVICE,
                this::open,
                owner -> {
                  opened.getLast().failures.add(new DeviceLostException("for good"));
                  opened.getLast().failing = "create";
                  return createAndRelease(owner, tried);
                }));
    assertEquals(4, opened.size());
    BatchingTest.await(() -> closed() == 4);
  }

  private static boolean createAndRelease(DeviceOwner owner, List<DeviceOwner> tried) {
    tried.add(owner);
    try {
      return create(owner);
    } finally {
      owner.release();
    }
  }

  @Test
  void anEngineThatCannotBeOpenedCanBeTriedAgain() {
    OwnerRegistry registry = new OwnerRegistry(FOR_EVER);
    assertThrows(
        DeviceLostException.class,
        () ->
            registry
                .acquire(
                    DEVICE,
                    device -> {
                      throw new DeviceLostException("gone");
                    })
                .awaitOpen());
    assertTrue(create(acquire(registry)));
  }

  @Test
  void theReleaseOfAnOwnEngineWaitsForItsEnd() {
    for (int i = 0; i < 50; i++) {
      FakeEngine own = new FakeEngine(DEVICE);
      DeviceOwner.of(own).release();
      assertEquals(1, own.closed.get());
    }
  }
}
