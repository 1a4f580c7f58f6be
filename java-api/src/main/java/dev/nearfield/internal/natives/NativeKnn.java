// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.Metric;
import dev.nearfield.ffi.nearfield_h;
import dev.nearfield.ffi.nf_knn;
import dev.nearfield.ffi.nf_step;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.Engine.Knn;
import dev.nearfield.internal.engine.Engine.SearchCall;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** One stateless search on a native context, between whose steps the context keeps its work. */
final class NativeKnn implements Knn {
  private final NativeEngine engine;
  private final NativeCalls calls;
  private final Metric metric;
  private final int dim;
  private final long rows;
  private final SearchCall search;
  private long position;
  private MemorySegment work = MemorySegment.NULL;

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
  }

  @Override
  public long position() {
    return position;
  }

  @Override
  public boolean step(MemorySegment piece, long count, long budgetNanos, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      SearchStructs structs = new SearchStructs(frame, search, dim);
      MemorySegment request = frame.struct(nf_knn.layout());
      nf_knn.metric(request, MetricCode.of(metric));
      nf_knn.queries(request, structs.queries());
      nf_knn.dataset(request, frame.matrix(piece, count, dim));
      nf_knn.dataset_rows(request, rows);
      nf_knn.result(request, structs.result());
      MemorySegment step = step(frame);
      nf_step.budget_ns(step, budgetNanos);
      int status = calls.knn(engine.context(), request, step, frame);
      work = status == nearfield_h.NF_OK() ? nf_step.work(step) : MemorySegment.NULL;
      engine.check(frame, status, "nf_knn");
      position = nf_step.position(step);
      return nf_step.done(step) != 0;
    }
  }

  private MemorySegment step(CallFrame frame) {
    MemorySegment step = frame.struct(nf_step.layout());
    nf_step.position(step, position);
    nf_step.work(step, work);
    return step;
  }

  /** A step that is cancelled frees what the context keeps. */
  @Override
  public void close() {
    if (work.equals(MemorySegment.NULL)) {
      return;
    }
    try (Arena arena = Arena.ofConfined();
        CallFrame frame =
            new CallFrame(new CallControl(0, arena.allocateFrom(ValueLayout.JAVA_INT, 1)))) {
      calls.knn(engine.context(), frame.struct(nf_knn.layout()), step(frame), frame);
    }
    work = MemorySegment.NULL;
  }
}
