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

  static AcceleratedVectorIndex index(Device device, Metric metric, Fbin rows, String scanDtype) {
    AcceleratedVectorIndex.Builder builder =
        AcceleratedVectorIndex.builder(rows.dim, metric).device(device).expectedVectors(rows.rows);
    Encodings.choose(builder, scanDtype);
    return builder.build();
  }

  /**
   * @param batch rows of one call, 0 for all of them
   * @param before rows that are there, and codes fitted to them, before the clock starts
   */
  static void run(
      Device device,
      Metric metric,
      Path base,
      int batch,
      int before,
      String scanDtype,
      Map<String, Object> reply)
      throws IOException, InterruptedException {
    try (Fbin rows = Fbin.read(base);
        AcceleratedVectorIndex index = index(device, metric, rows, scanDtype)) {
      if (before > 0) {
        index.addAll(rows.batch(0, before));
        Encodings.awaitFit(index, before, scanDtype);
      }
      int left = rows.rows - before;
      int step = batch == 0 ? left : Math.min(batch, left);
      VectorBatch[] calls = new VectorBatch[(left + step - 1) / step];
      for (int i = 0; i < calls.length; i++) {
        calls[i] = rows.batch(before + i * step, Math.min(step, left - i * step));
      }
      long[] nanos = new long[calls.length];
      long begin = System.nanoTime();
      for (int i = 0; i < calls.length; i++) {
        long start = System.nanoTime();
        index.addAll(calls[i]);
        nanos[i] = System.nanoTime() - start;
      }
      long end = System.nanoTime();
      reply.put("rows", left);
      reply.put("seconds", (end - begin) / 1e9);
      new Timings(nanos).reportTo(reply);
    }
  }
}
