// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.Device;
import dev.nearfield.Metric;
import dev.nearfield.VectorBatch;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

/** Builds an index from a file. */
final class Inserts {
  private Inserts() {}

  static AcceleratedVectorIndex index(Device device, Metric metric, Fbin rows) {
    return AcceleratedVectorIndex.builder(rows.dim, metric)
        .device(device)
        .expectedVectors(rows.rows)
        .build();
  }

  /** {@code batch}: rows of one call, 0 for all of them. */
  static void run(Device device, Metric metric, Path base, int batch, Map<String, Object> reply)
      throws IOException {
    try (Fbin rows = Fbin.read(base);
        AcceleratedVectorIndex index = index(device, metric, rows)) {
      int step = batch == 0 ? rows.rows : Math.min(batch, rows.rows);
      VectorBatch[] calls = new VectorBatch[(rows.rows + step - 1) / step];
      for (int i = 0; i < calls.length; i++) {
        calls[i] = rows.batch(i * step, Math.min(step, rows.rows - i * step));
      }
      long[] nanos = new long[calls.length];
      long begin = System.nanoTime();
      for (int i = 0; i < calls.length; i++) {
        long start = System.nanoTime();
        index.addAll(calls[i]);
        nanos[i] = System.nanoTime() - start;
      }
      long end = System.nanoTime();
      reply.put("rows", rows.rows);
      reply.put("seconds", (end - begin) / 1e9);
      new Timings(nanos).reportTo(reply);
    }
  }
}
