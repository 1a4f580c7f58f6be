// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.ffi.nearfield_h;
import dev.nearfield.ffi.nf_kmeans;
import dev.nearfield.ffi.nf_step;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.Engine.KMeans;
import dev.nearfield.internal.engine.Engine.KMeansRequest;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** One clustering on a native context, between whose steps the context keeps its work. */
final class NativeKMeans implements KMeans {
  private final NativeEngine engine;
  private final NativeCalls calls;
  private final KMeansRequest request;
  private long position;
  private long done;
  private long total;
  private MemorySegment work = MemorySegment.NULL;

  NativeKMeans(NativeEngine engine, NativeCalls calls, KMeansRequest request) {
    this.engine = engine;
    this.calls = calls;
    this.request = request;
  }

  @Override
  public long done() {
    return done;
  }

  @Override
  public long total() {
    return total;
  }

  @Override
  public boolean step(long budgetNanos, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment progress = frame.progress();
      MemorySegment step = step(frame);
      nf_step.budget_ns(step, budgetNanos);
      int status = calls.kmeans(engine.context(), struct(frame), step, frame);
      work = status == nearfield_h.NF_OK() ? nf_step.work(step) : MemorySegment.NULL;
      engine.check(frame, status, "nf_kmeans");
      position = nf_step.position(step);
      done = progress.getAtIndex(ValueLayout.JAVA_LONG, 1);
      total = progress.getAtIndex(ValueLayout.JAVA_LONG, 2);
      return nf_step.done(step) != 0;
    }
  }

  private MemorySegment struct(CallFrame frame) {
    MemorySegment struct = frame.struct(nf_kmeans.layout());
    long rows = request.rows();
    nf_kmeans.metric(struct, MetricCode.of(request.metric()));
    nf_kmeans.data(struct, frame.matrix(request.vectors(), rows, request.dim()));
    MemorySegment weights = request.weights();
    if (weights != null) {
      nf_kmeans.weights(struct, frame.input(weights, rows, Float.BYTES));
    }
    nf_kmeans.clusters(struct, request.clusters());
    nf_kmeans.iterations(struct, request.iterations());
    nf_kmeans.init(struct, request.started() ? 1 : 0);
    nf_kmeans.balanced(struct, request.balanced() ? 1 : 0);
    nf_kmeans.sample(struct, request.sample());
    nf_kmeans.seed(struct, request.seed());
    long floats = (long) request.clusters() * request.dim();
    nf_kmeans.centroids(struct, frame.output(request.centroids(), floats, Float.BYTES));
    nf_kmeans.labels(struct, frame.output(request.labels(), rows, Integer.BYTES));
    nf_kmeans.inertia(struct, frame.output(request.inertia(), 1, Double.BYTES));
    return struct;
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
      calls.kmeans(engine.context(), frame.struct(nf_kmeans.layout()), step(frame), frame);
    }
    work = MemorySegment.NULL;
  }
}
