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
        Rows query = new Rows(1, setting.dim(), 3)) {
      long empty = used();
      HandleSet kept = searched(rows, query, reply);
      reply.put("closed", Math.max(0, used() - empty));
      if (kept.size() != 1) { // so that it is kept until here
        throw new IllegalStateException("turns: a set of [%d] handles".formatted(kept.size()));
      }
    }
  }

  /** Answers a set of one handle; the index is closed then. */
  private HandleSet searched(Rows rows, Rows query, Map<String, Object> reply)
      throws InterruptedException {
    try (AcceleratedVectorIndex index = Rows.index(setting.device(), setting.dim())) {
      VectorHandles handles = index.addAll(rows.all);
      index.search(query.search());
      long before = used();
      HandleSet[] sets = new HandleSet[SETS];
      for (int i = 0; i < SETS; i++) {
        sets[i] = half(handles, i);
        index.search(within(sets[i], query));
      }
      reply.put("held", used() - before);
      Arrays.fill(sets, null);
      reply.put("dropped", Math.max(0, used() - before));
      HandleSet one = HandleSet.of(handles.bits(0)); // and the handles are still needed
      index.search(within(one, query));
      return one;
    }
  }

  private static SearchRequest within(HandleSet handles, Rows query) {
    return SearchRequest.builder().queries(query.all).topK(Rows.K).filter(handles).build();
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
