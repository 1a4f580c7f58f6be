// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.Metric;
import dev.nearfield.ffi.nf_knn;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.Engine.Knn;
import dev.nearfield.internal.engine.Engine.SearchCall;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** One stateless search on a native context, which is given the whole dataset at the end. */
final class NativeKnn implements Knn {
  private final NativeEngine engine;
  private final NativeCalls calls;
  private final Metric metric;
  private final int dim;
  private final long rows;
  private final SearchCall search;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment dataset;
  private long position;

  NativeKnn(
      NativeEngine engine,
      NativeCalls calls,
      Metric metric,
      int dim,
      long rows,
      SearchCall search) {
    this.engine = engine;
    this.calls = calls;
    this.metric = metric;
    this.dim = dim;
    this.rows = rows;
    this.search = search;
    this.dataset = arena.allocate(rows * dim * Float.BYTES, 64);
  }

  @Override
  public long position() {
    return position;
  }

  @Override
  public boolean step(MemorySegment piece, long count, long budgetNanos, CallControl control) {
    long bytes = (long) dim * Float.BYTES;
    MemorySegment.copy(piece, 0, dataset, position * bytes, count * bytes);
    position += count;
    if (position < rows) {
      return false;
    }
    try (CallFrame frame = new CallFrame(control)) {
      SearchStructs structs = new SearchStructs(frame, search, dim);
      MemorySegment request = frame.struct(nf_knn.layout());
      nf_knn.metric(request, MetricCode.of(metric));
      nf_knn.queries(request, structs.queries());
      nf_knn.dataset(request, frame.matrix(dataset, rows, dim));
      nf_knn.result(request, structs.result());
      engine.check(frame, calls.knn(engine.context(), request, frame), "nf_knn");
    }
    return true;
  }

  @Override
  public void close() {
    arena.close();
  }
}
