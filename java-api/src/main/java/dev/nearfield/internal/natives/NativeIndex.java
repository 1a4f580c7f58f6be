// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.ffi.nearfield_h;
import dev.nearfield.ffi.nf_add;
import dev.nearfield.ffi.nf_compact;
import dev.nearfield.ffi.nf_index_info;
import dev.nearfield.ffi.nf_lists;
import dev.nearfield.ffi.nf_live;
import dev.nearfield.ffi.nf_maintain;
import dev.nearfield.ffi.nf_step;
import dev.nearfield.ffi.nf_train;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.Engine.IndexOptions;
import dev.nearfield.internal.engine.Engine.SearchCall;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.engine.FitSample;
import dev.nearfield.internal.natives.NativeErrors.Memory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/** One native index; belongs to its engine and is closed before it. */
final class NativeIndex implements EngineIndex {
  private final NativeEngine engine;
  private final NativeCalls calls;
  private final MemorySegment index;
  private final IndexOptions options;
  private final int dim;
  private boolean closed;

  NativeIndex(NativeEngine engine, NativeCalls calls, MemorySegment index, IndexOptions options) {
    this.engine = engine;
    this.calls = calls;
    this.index = index;
    this.options = options;
    this.dim = options.dim();
  }

  @Override
  public Info info() {
    try (CallFrame frame = new CallFrame(CallControl.NONE)) {
      MemorySegment info = frame.struct(nf_index_info.layout());
      engine.check(frame, calls.indexInfo(index(), info, frame), "nf_index_info");
      return new Info(
          nf_index_info.rows(info),
          nf_index_info.live_rows(info),
          nf_index_info.device_bytes(info),
          nf_index_info.workspace_bytes(info),
          new Codes(
              nf_index_info.code_bytes(info),
              nf_index_info.scanned_bytes(info),
              nf_index_info.whole_bytes(info),
              nf_index_info.loosening(info)),
          new ListSizes(
              nf_index_info.lists(info),
              nf_index_info.smallest_list(info),
              nf_index_info.largest_list(info),
              nf_index_info.drift(info)));
    }
  }

  @Override
  public long add(MemorySegment vectors, long count, boolean hidden, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment first = frame.room(ValueLayout.JAVA_LONG, 1);
      MemorySegment request = frame.struct(nf_add.layout());
      nf_add.flags(request, hidden ? nearfield_h.NF_HIDDEN() : 0);
      nf_add.rows(request, frame.matrix(vectors, count, dim));
      int status = calls.indexAdd(index(), request, first, frame);
      engine.check(frame, status, "nf_index_add", () -> shortage(count));
      return first.get(ValueLayout.JAVA_LONG, 0);
    }
  }

  private Memory shortage(long count) {
    Info info = info();
    return engine.shortage(options, info.rows() + count, info.deviceBytes());
  }

  /** Of lists that are made from the rows. */
  private Memory shortageOfCopy() {
    return shortage(info().rows());
  }

  @Override
  public void replace(MemorySegment rows, long count, MemorySegment vectors, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment numbers = frame.input(rows, count, Long.BYTES);
      MemorySegment matrix = frame.matrix(vectors, count, dim);
      engine.check(frame, calls.indexReplace(index(), numbers, matrix, frame), "nf_index_replace");
    }
  }

  @Override
  public void read(MemorySegment rows, long count, MemorySegment out, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment numbers = frame.input(rows, count, Long.BYTES);
      MemorySegment matrix = frame.matrixOut(out, count, dim);
      engine.check(frame, calls.indexRead(index(), numbers, matrix, frame), "nf_index_read");
    }
  }

  @Override
  public void setLive(MemorySegment rows, long count, boolean live, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment request = frame.struct(nf_live.layout());
      nf_live.rows(request, frame.input(rows, count, Long.BYTES));
      setLive(frame, request, count, live);
    }
  }

  @Override
  public void setLive(long first, long count, boolean live, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment request = frame.struct(nf_live.layout());
      nf_live.first(request, first);
      setLive(frame, request, count, live);
    }
  }

  private void setLive(CallFrame frame, MemorySegment request, long count, boolean live) {
    nf_live.count(request, count);
    nf_live.live(request, live ? 1 : 0);
    engine.check(frame, calls.indexSetLive(index(), request, frame), "nf_index_set_live");
  }

  @Override
  public void search(SearchCall search, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment request = new SearchStructs(frame, search, dim).search();
      engine.check(frame, calls.indexSearch(index(), request, frame), "nf_index_search");
    }
  }

  @Override
  public CompactStep compactStep(
      MemorySegment newRow, long window, long position, long budgetNanos, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment request = frame.struct(nf_compact.layout());
      nf_compact.new_row(request, frame.output(newRow, window, Long.BYTES));
      nf_compact.new_row_count(request, window);
      MemorySegment step = frame.struct(nf_step.layout());
      nf_step.budget_ns(step, budgetNanos);
      nf_step.position(step, position);
      engine.check(frame, calls.indexCompact(index(), request, step, frame), "nf_index_compact");
      return new CompactStep(
          nf_compact.first_row(request), nf_step.position(step), nf_step.done(step) != 0);
    }
  }

  @Override
  public TrainStep trainStep(Training how, long position, long budgetNanos, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment request = frame.struct(nf_train.layout());
      nf_train.lists(request, how.lists());
      nf_train.iterations(request, how.iterations());
      nf_train.sample(request, how.sample());
      nf_train.seed(request, how.seed());
      FitSample data = how.data();
      if (data != null) {
        nf_train.data(request, frame.matrix(data.vectors(), data.count(), dim));
      }
      MemorySegment step = frame.struct(nf_step.layout());
      nf_step.budget_ns(step, budgetNanos);
      nf_step.position(step, position);
      int status = calls.indexTrain(index(), request, step, frame);
      engine.check(frame, status, "nf_index_train", this::shortageOfCopy);
      return new TrainStep(nf_step.position(step), nf_step.done(step) != 0);
    }
  }

  @Override
  public MaintainStep maintainStep(long position, long budgetNanos, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment request = frame.struct(nf_maintain.layout());
      MemorySegment step = frame.struct(nf_step.layout());
      nf_step.budget_ns(step, budgetNanos);
      nf_step.position(step, position);
      int status = calls.indexMaintain(index(), request, step, frame);
      engine.check(frame, status, "nf_index_maintain", this::shortageOfCopy);
      return new MaintainStep(
          nf_step.position(step),
          nf_step.done(step) != 0,
          nf_maintain.split(request),
          nf_maintain.merged(request),
          nf_maintain.moved(request));
    }
  }

  @Override
  public @Nullable Lists readLists(CallControl control) {
    Info info = info();
    int count = info.lists().count();
    if (count == 0) {
      return null;
    }
    Arena memory = Arena.ofAuto(); // they go to another thread, and nobody knows for how long
    Lists lists =
        new Lists(
            count,
            memory.allocate(ValueLayout.JAVA_FLOAT, (long) count * dim),
            memory.allocate(ValueLayout.JAVA_INT, info.rows()),
            info.rows(),
            memory.allocate(ValueLayout.JAVA_FLOAT, nearfield_h.NF_CALIBRATION()));
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment centroids = frame.matrixOut(lists.centroids(), count, dim);
      MemorySegment request = struct(frame, lists, centroids);
      engine.check(frame, calls.indexReadLists(index(), request, frame), "nf_index_read_lists");
    }
    return lists;
  }

  @Override
  public void writeLists(Lists lists, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment centroids = frame.matrix(lists.centroids(), lists.count(), dim);
      MemorySegment request = struct(frame, lists, centroids);
      engine.check(
          frame,
          calls.indexWriteLists(index(), request, frame),
          "nf_index_write_lists",
          this::shortageOfCopy);
    }
  }

  private static MemorySegment struct(CallFrame frame, Lists lists, MemorySegment centroids) {
    MemorySegment struct = frame.struct(nf_lists.layout());
    nf_lists.centroids(struct, centroids);
    nf_lists.list_of_row(struct, frame.input(lists.listOfRow(), lists.rows(), Integer.BYTES));
    nf_lists.row_count(struct, lists.rows());
    long numbers = lists.calibration().byteSize() / Float.BYTES;
    nf_lists.calibration(struct, frame.input(lists.calibration(), numbers, Float.BYTES));
    nf_lists.calibration_count(struct, numbers);
    return struct;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      calls.indexDestroy(index);
    }
  }

  private MemorySegment index() {
    if (closed) {
      throw new IllegalStateException("NativeIndex: already closed");
    }
    return index;
  }
}
