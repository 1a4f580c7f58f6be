// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.DeviceLostException;
import dev.nearfield.ffi.nf_compact;
import dev.nearfield.ffi.nf_index_info;
import dev.nearfield.ffi.nf_step;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.Engine.IndexOptions;
import dev.nearfield.internal.engine.Engine.SearchCall;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.natives.NativeErrors.Memory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** One native index; belongs to its engine and is closed before it. */
public final class NativeIndex implements EngineIndex {
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
          nf_index_info.workspace_bytes(info));
    }
  }

  @Override
  public long add(MemorySegment vectors, long count, boolean hidden, CallControl control) {
    long first = add(vectors, count, control);
    if (hidden) {
      hide(first, count);
    }
    return first;
  }

  private void hide(long first, long count) {
    try {
      setLive(first, count, false, CallControl.NONE);
    } catch (RuntimeException | Error e) {
      // Searches would find rows that belong to nobody: better no answers than wrong ones.
      DeviceLostException lost =
          new DeviceLostException("add: new rows could not be hidden: " + e.getMessage());
      lost.addSuppressed(e);
      throw lost;
    }
  }

  @Override
  public long add(MemorySegment vectors, long count, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment first = frame.room(ValueLayout.JAVA_LONG, 1);
      MemorySegment matrix = frame.matrix(vectors, count, dim);
      int status = calls.indexAdd(index(), matrix, first, frame);
      frame.check(status, "nf_index_add", () -> shortage(count));
      return first.get(ValueLayout.JAVA_LONG, 0);
    }
  }

  private Memory shortage(long count) {
    Info info = info();
    return engine.shortage(options, info.rows() + count, info.deviceBytes());
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
      MemorySegment numbers = frame.input(rows, count, Long.BYTES);
      int status = calls.indexSetLive(index(), numbers, count, live, frame);
      engine.check(frame, status, "nf_index_set_live");
    }
  }

  @Override
  public void setLive(long first, long count, boolean live, CallControl control) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment numbers = arena.allocate(ValueLayout.JAVA_LONG, count);
      for (long i = 0; i < count; i++) {
        numbers.setAtIndex(ValueLayout.JAVA_LONG, i, first + i);
      }
      setLive(numbers, count, live, control);
    }
  }

  @Override
  public void search(SearchCall search, CallControl control) {
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment request = new SearchStructs(frame, search, dim).search();
      engine.check(frame, calls.indexSearch(index(), request, frame), "nf_index_search");
    }
  }

  @Override
  public long compactWindow(long wanted) {
    return Math.max(wanted, info().rows()); // all numbers come with the last step
  }

  @Override
  public CompactStep compactStep(
      MemorySegment newRow, long window, long position, long budgetNanos, CallControl control) {
    long newRowCount = info().rows();
    try (CallFrame frame = new CallFrame(control)) {
      MemorySegment request = frame.struct(nf_compact.layout());
      nf_compact.new_row(request, frame.output(newRow, newRowCount, Long.BYTES));
      nf_compact.new_row_count(request, newRowCount);
      MemorySegment step = frame.struct(nf_step.layout());
      nf_step.budget_ns(step, budgetNanos);
      engine.check(frame, calls.indexCompact(index(), request, step, frame), "nf_index_compact");
      return nf_step.done(step) != 0
          ? new CompactStep(0, newRowCount, true)
          : new CompactStep(0, 0, false);
    }
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
