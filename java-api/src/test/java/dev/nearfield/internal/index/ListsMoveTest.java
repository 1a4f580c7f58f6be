// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.BackendKind;
import dev.nearfield.Device;
import dev.nearfield.Encoding;
import dev.nearfield.IndexSpec;
import dev.nearfield.Metric;
import dev.nearfield.Placement;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.Seed;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineTest;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.value.DeviceInfo;
import dev.nearfield.internal.value.PlacementInfo;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * An index with the CPU library's lists on its way to that library once more, and to plain Java.
 */
@Timeout(60)
class ListsMoveTest {
  private static final int DIM = 8;
  private static final int ROWS = 5000;
  private static final int LISTS = 16;
  private static final DeviceInfo AGAIN =
      new DeviceInfo(BackendKind.CPU, 7, "again", "none", 1000, false);

  private final Seed seed = new Seed("ListsMoveTest");

  /** To the next of these at each move. */
  private static final class Route implements Elsewhere {
    private final ArrayDeque<Engine> engines;
    private final ArrayDeque<Device> devices;
    private final IndexSpec spec;

    Route(IndexSpec spec) {
      this.engines = new ArrayDeque<>(List.of(EngineTest.open("cpu"), new JavaEngine()));
      this.devices = new ArrayDeque<>(List.of(AGAIN, JavaEngine.DEVICE));
      this.spec = spec;
    }

    @Override
    public Destination better(Placement now) {
      return new Destination(
          DeviceOwner.of(engines.remove()),
          new PlacementInfo(devices.remove(), Optional.empty(), List.of()),
          new IndexConfig(DIM, Metric.L2_SQUARED, spec, null, 9, 0, 0, 0, 64, 0, 64, 0, 1, null));
    }

    @Override
    public boolean hasRoomier(Placement now) {
      return false;
    }

    @Override
    public Destination roomier(Placement now) {
      return null;
    }
  }

  private static VectorBatch vectors(Random random, int count) {
    float[][] rows = new float[count][DIM];
    for (float[] row : rows) {
      for (int d = 0; d < DIM; d++) {
        row[d] = (float) random.nextGaussian();
      }
    }
    return VectorBatch.of(rows);
  }

  /** Handles, distances and lists, to the last bit. */
  private static List<Object> answers(AcceleratedVectorIndex index, SearchRequest request) {
    SearchResult result = index.search(request);
    List<Object> answers = new ArrayList<>();
    for (int q = 0; q < result.queryCount(); q++) {
      answers.add(result.listsScanned(q));
      answers.addAll(result.hits(q));
    }
    return answers;
  }

  @ParameterizedTest
  @EnumSource(
      value = Encoding.class,
      names = {"F32", "AUTO"})
  void answersAreTheSameThere(Encoding encoding) throws Exception {
    IndexSpec spec = new IndexSpec.Ivf(LISTS, encoding);
    try (AcceleratedVectorIndex index =
        new IndexBuilder(DIM, Metric.L2_SQUARED)
            .engine(EngineTest.open("cpu"))
            .elsewhere(new Route(spec))
            .spec(spec)
            .stepRows(512)
            .autoCompaction(1)
            .build()) {
      VectorHandles handles = index.addAll(vectors(seed.random(1), ROWS));
      index.train().get(20, TimeUnit.SECONDS);
      for (int i = 0; i < ROWS; i += 5) { // dead rows, which stay behind
        index.remove(handles.get(i));
      }
      SearchRequest.Builder some =
          SearchRequest.builder().queries(vectors(seed.random(2), 20)).topK(9);
      SearchRequest two = some.probes(2).build();
      SearchRequest exact = some.exact(true).build();
      List<Object> before = answers(index, two);
      List<Object> all = answers(index, exact);

      Placement there = index.retryAcceleration().get(20, TimeUnit.SECONDS);
      assertEquals(AGAIN, there.device());
      assertTrue(there.listed());
      assertEquals(LISTS, index.stats().lists());
      assertEquals(0, index.stats().deleted());
      assertEquals(1, index.stats().trainings(), "lists went along, and nothing was trained");
      assertEquals(before, answers(index, two));
      assertEquals(all, answers(index, exact));
      index.removeAll(index.addAll(vectors(seed.random(3), 700)));
      index.compact().get(20, TimeUnit.SECONDS);
      assertEquals(before, answers(index, two));

      assertFalse(index.retryAcceleration().get(20, TimeUnit.SECONDS).listed());
      assertEquals(0, index.stats().lists());
      SearchResult flat = index.search(two);
      SearchResult whole = index.search(exact);
      for (int q = 0; q < flat.queryCount(); q++) {
        assertEquals(0, flat.listsScanned(q));
        assertEquals(whole.hits(q), flat.hits(q), seed.toString());
      }
    }
  }
}
