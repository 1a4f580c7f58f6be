// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendKind;
import dev.nearfield.DeviceLostException;
import dev.nearfield.IndexSpec;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.internal.engine.FakeEngine;
import dev.nearfield.internal.event.FallbackReporter;
import dev.nearfield.internal.event.IndexCounters;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.turn.Completer;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.value.DeviceInfo;
import dev.nearfield.internal.value.PlacementInfo;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Indexes that share a device, and the device is lost. */
@Timeout(60)
class LostDeviceTest {
  private static final DeviceInfo DEVICE =
      new DeviceInfo(BackendKind.CUDA, 79, "a test", "none", 0, false);
  private static final SearchRequest ANY =
      SearchRequest.builder().query(new float[] {1}).topK(1).build();

  private final List<FakeEngine> opened = new CopyOnWriteArrayList<>();

  private AcceleratedVectorIndex index() {
    IndexCounters counters = new IndexCounters();
    Completer completer = new Completer(null);
    DeviceOwner owner =
        DeviceOwner.acquire(
            DEVICE,
            device -> {
              opened.add(new FakeEngine(DEVICE));
              return opened.getLast();
            });
    return IndexFront.make(
        new IndexConfig(
            1, Metric.L2_SQUARED, IndexSpec.flat(), null, 0, 0, 0, 0, 64, 0, 64, 0, 1, null),
        owner,
        new PlacementInfo(DEVICE, Optional.empty(), List.of()),
        counters,
        completer,
        new SlotTable(1),
        Elsewhere.NOWHERE,
        new FallbackReporter(counters, completer, null));
  }

  @Test
  void aNewIndexWorksWhileOldOnesAreOpen() {
    AcceleratedVectorIndex first = index();
    AcceleratedVectorIndex second = index();
    assertEquals(1, opened.size());
    first.add(new float[] {1});
    second.add(new float[] {1});
    opened.getFirst().failing = "search";
    opened.getFirst().failures.add(new DeviceLostException("unplugged"));
    assertThrows(DeviceLostException.class, () -> first.search(ANY));
    AcceleratedVectorIndex third = index();
    assertEquals(2, opened.size());
    third.add(new float[] {1});
    assertEquals(1, third.search(ANY).hitCount(0));
    assertThrows(DeviceLostException.class, () -> first.add(new float[] {1}));
    first.close();
    assertEquals(1, third.search(ANY).hitCount(0));
    assertEquals(0, opened.getFirst().closed.get());
    second.close();
    BatchingTest.await(() -> opened.getFirst().closed.get() == 1);
    assertEquals(3, opened.stream().mapToLong(engine -> engine.count("create")).sum());
    third.close();
    assertEquals(1, opened.getLast().indexesClosed.get()); // its rows are freed, the device is open
    assertTrue(opened.getLast().closed.get() == 0);
  }
}
