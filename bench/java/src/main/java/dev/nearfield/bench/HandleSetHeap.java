// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.HandleSet;
import dev.nearfield.SearchRequest;
import dev.nearfield.VectorHandles;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Map;

/** The heap that sets of handles leave behind, each used in one search. */
final class HandleSetHeap {
  private static final int SETS = 12;
  private static final int COLLECTIONS =
      4; // what references and cleaners hold goes in the later ones
  private static final long PAUSE_MILLIS = 50; // for the threads that clear them

  private final Turns.Setting setting;

  HandleSetHeap(Turns.Setting setting) {
    this.setting = setting;
  }

  void run(Map<String, Object> reply) throws Exception {
    try (Rows rows = new Rows(setting.rows(), setting.dim(), 1);
        Rows query = new Rows(1, setting.dim(), 3);
        AcceleratedVectorIndex index = Rows.index(setting.device(), setting.dim())) {
      VectorHandles handles = index.addAll(rows.all);
      index.search(query.search());
      long before = used();
      HandleSet[] sets = new HandleSet[SETS];
      for (int i = 0; i < SETS; i++) {
        sets[i] = half(handles, i);
        index.search(
            SearchRequest.builder().queries(query.all).topK(Rows.K).filter(sets[i]).build());
      }
      long held = used();
      Arrays.fill(sets, null);
      long dropped = used();
      reply.put("held", held - before);
      reply.put("dropped", Math.max(0, dropped - before));
      if (index.stats().live() != handles.size()) { // and both are still needed
        throw new IllegalStateException("turns: the index lost vectors");
      }
    }
  }

  /** The rows whose number has bit {@code bit} clear: another half for every set. */
  private static HandleSet half(VectorHandles handles, int bit) {
    long[] some = new long[handles.size()];
    int count = 0;
    for (int i = 0; i < handles.size(); i++) {
      if ((i >> bit & 1) == 0) {
        some[count++] = handles.bits(i);
      }
    }
    return HandleSet.of(Arrays.copyOf(some, count));
  }

  private static long used() throws InterruptedException {
    for (int i = 0; i < COLLECTIONS; i++) {
      System.gc();
      Thread.sleep(PAUSE_MILLIS);
    }
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
  }
}
