// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.BackendKind;
import dev.nearfield.Device;
import dev.nearfield.Metric;
import dev.nearfield.ffi.nearfield_h;
import dev.nearfield.ffi.nf_capability;
import dev.nearfield.ffi.nf_context_desc;
import dev.nearfield.ffi.nf_index_desc;
import dev.nearfield.ffi.nf_quantize;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.natives.NativeErrors.Memory;
import dev.nearfield.internal.value.DeviceInfo;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.Supplier;

/** One native context. */
public final class NativeEngine implements Engine {
  private final NativeCalls calls;
  private final DeviceInfo device;
  private final MemorySegment context;
  private boolean closed;
  private volatile boolean lost;

  private NativeEngine(NativeCalls calls, DeviceInfo device, MemorySegment context) {
    this.calls = calls;
    this.device = device;
    this.context = context;
  }

  public static NativeEngine open(NativeCalls calls, DeviceInfo device) {
    try (CallFrame frame = new CallFrame(CallControl.NONE)) {
      MemorySegment desc = frame.struct(nf_context_desc.layout());
      nf_context_desc.device(desc, device.ordinal());
      MemorySegment out = frame.room(ValueLayout.ADDRESS, 1);
      int status = calls.contextCreate(desc, out, frame);
      frame.check(status, "nf_context_create", () -> memory(calls, device));
      return new NativeEngine(calls, device, out.get(ValueLayout.ADDRESS, 0));
    }
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public boolean supports(Metric metric) {
    try (CallFrame frame = new CallFrame(CallControl.NONE)) {
      int f32 = nearfield_h.NF_F32();
      int flat = nearfield_h.NF_FLAT();
      return supportsIndex(frame, metric, flat, f32, f32)
          && supports(frame, metric, nearfield_h.NF_OP_KNN(), flat, f32, f32);
    }
  }

  @Override
  public boolean supportsCodes(Metric metric) {
    try (CallFrame frame = new CallFrame(CallControl.NONE)) {
      return supportsIndex(
          frame, metric, nearfield_h.NF_FLAT(), nearfield_h.NF_F32(), nearfield_h.NF_I8());
    }
  }

  @Override
  public boolean supportsCodesAlone(Metric metric) {
    try (CallFrame frame = new CallFrame(CallControl.NONE)) {
      int i8 = nearfield_h.NF_I8(); // codes alone are stored as what is scanned
      return supportsIndex(frame, metric, nearfield_h.NF_FLAT(), i8, i8);
    }
  }

  @Override
  public boolean supportsLists(Metric metric) {
    try (CallFrame frame = new CallFrame(CallControl.NONE)) {
      int ivf = nearfield_h.NF_IVF();
      int f32 = nearfield_h.NF_F32();
      return supportsIndex(frame, metric, ivf, f32, f32)
          && (!supportsCodes(metric)
              || supportsIndex(frame, metric, ivf, f32, nearfield_h.NF_I8()));
    }
  }

  @Override
  public boolean onHost() {
    return device.backend() == BackendKind.CPU;
  }

  @Override
  public boolean lost() {
    return lost;
  }

  private boolean supportsIndex(
      CallFrame frame, Metric metric, int kind, int storeType, int scanType) {
    return supports(frame, metric, nearfield_h.NF_OP_INDEX(), kind, storeType, scanType);
  }

  private boolean supports(
      CallFrame frame, Metric metric, int operation, int kind, int storeType, int scanType) {
    MemorySegment what = frame.struct(nf_capability.layout());
    nf_capability.op(what, operation);
    nf_capability.index_kind(what, kind);
    nf_capability.metric(what, MetricCode.of(metric));
    nf_capability.input_dtype(what, nearfield_h.NF_F32());
    nf_capability.store_dtype(what, storeType);
    nf_capability.scan_dtype(what, scanType);
    return calls.supports(context(), what);
  }

  @Override
  public Estimate estimate(IndexOptions options) {
    try (CallFrame frame = new CallFrame(CallControl.NONE)) {
      MemorySegment out = frame.room(ValueLayout.JAVA_LONG, 2);
      int status =
          calls.indexEstimate(
              context(), describe(frame, options), out, out.asSlice(Long.BYTES), frame);
      check(frame, status, "nf_index_estimate", () -> Memory.UNKNOWN);
      return new Estimate(
          out.getAtIndex(ValueLayout.JAVA_LONG, 0), out.getAtIndex(ValueLayout.JAVA_LONG, 1));
    }
  }

  @Override
  public EngineIndex createIndex(IndexOptions options, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment out = frame.room(ValueLayout.ADDRESS, 1);
      int status = calls.indexCreate(context(), describe(frame, options), out, frame);
      check(frame, status, "nf_index_create", () -> shortage(options, options.capacity(), 0));
      return new NativeIndex(this, calls, out.get(ValueLayout.ADDRESS, 0), options);
    }
  }

  private static MemorySegment describe(CallFrame frame, IndexOptions options) {
    MemorySegment desc = frame.struct(nf_index_desc.layout());
    nf_index_desc.kind(desc, options.listed() ? nearfield_h.NF_IVF() : nearfield_h.NF_FLAT());
    nf_index_desc.lists(desc, options.listed() ? options.lists() : 0);
    nf_index_desc.metric(desc, MetricCode.of(options.metric()));
    nf_index_desc.dim(desc, options.dim());
    nf_index_desc.store_dtype(desc, nearfield_h.NF_F32());
    nf_index_desc.scan_dtype(desc, options.coded() ? nearfield_h.NF_I8() : nearfield_h.NF_F32());
    nf_index_desc.flags(desc, options.codesAlone() ? nearfield_h.NF_DROP_F32() : 0);
    nf_index_desc.capacity(desc, options.capacity());
    nf_index_desc.memory_limit(desc, options.memoryLimitBytes());
    nf_index_desc.poincare_max_norm(desc, options.poincareMaxNorm());
    return desc;
  }

  @Override
  public Knn knn(Metric metric, int dim, long rows, SearchCall search) {
    if (!search.filters().isEmpty() || !Float.isNaN(search.maxDistance())) {
      throw new IllegalArgumentException(
          "knn: [%d] filters and maxDistance [%s], neither is possible"
              .formatted(search.filters().size(), search.maxDistance()));
    }
    return new NativeKnn(this, calls, metric, dim, rows, search);
  }

  @Override
  public void quantize(QuantizeCall vectors, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      long rows = vectors.rows();
      int dim = vectors.dim();
      MemorySegment request = frame.struct(nf_quantize.layout());
      nf_quantize.from(request, frame.matrix(vectors.vectors(), rows, dim));
      nf_quantize.codes(request, frame.codesOut(vectors.codes(), vectors.int8(), rows, dim));
      MemorySegment scales = vectors.scales();
      if (scales != null) {
        nf_quantize.scales(request, frame.output(scales, rows, Float.BYTES));
      }
      MemorySegment errors = vectors.errors();
      if (errors != null) {
        nf_quantize.errors(request, frame.output(errors, rows, Float.BYTES));
      }
      check(frame, calls.quantize(context(), request, frame), "nf_quantize");
    }
  }

  @Override
  public KMeans kmeans(KMeansRequest request) {
    return new NativeKMeans(this, calls, request);
  }

  @Override
  public long freeBytes() {
    return orUnknown(NativeDevices.facts(calls, device.ordinal()).freeBytes());
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      calls.contextDestroy(context);
    }
  }

  MemorySegment context() {
    if (closed) {
      throw new IllegalStateException("Engine of " + device.id() + ": already closed");
    }
    return context;
  }

  /** As {@link CallFrame#check}, and says how much memory the device has when it ran out. */
  void check(CallFrame frame, int status, String function) {
    check(frame, status, function, () -> memory(calls, device));
  }

  /** As {@link CallFrame#check}, and remembers that the device is lost. */
  void check(CallFrame frame, int status, String function, Supplier<Memory> memory) {
    if (status == nearfield_h.NF_DEVICE_LOST()) {
      lost = true;
    }
    frame.check(status, function, memory);
  }

  /**
   * Why an index that holds {@code heldBytes} cannot grow to {@code rows}: of its own budget when
   * it has one.
   */
  Memory shortage(IndexOptions options, long rows, long heldBytes) {
    IndexOptions grown = options.withCapacity(rows).withoutLimit();
    long requested = Math.max(0, estimate(grown).peakBytes() - heldBytes);
    Memory device = memory(calls, this.device);
    long budget = options.memoryLimitBytes();
    return budget == 0 || (device.total() >= 0 && device.total() < budget)
        ? new Memory(requested, device.free(), device.total())
        : new Memory(requested, Math.max(0, budget - heldBytes), budget);
  }

  private static Memory memory(NativeCalls calls, DeviceInfo device) {
    NativeDevices.Facts facts = NativeDevices.facts(calls, device.ordinal());
    return new Memory(-1, orUnknown(facts.freeBytes()), orUnknown(facts.memoryBytes()));
  }

  private static long orUnknown(long bytes) {
    return bytes == 0 ? -1 : bytes;
  }
}
