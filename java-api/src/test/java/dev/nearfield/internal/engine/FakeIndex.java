// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The rows of plain Java behind the gate of their engine, as if they had codes. */
final class FakeIndex implements EngineIndex {
  private final FakeEngine engine;
  private final EngineIndex rows;
  private final int dim;
  private final boolean coded;
  private final boolean alone;
  private int slices;
  private long whole;

  FakeIndex(FakeEngine engine, EngineIndex rows, Engine.IndexOptions options) {
    this.engine = engine;
    this.rows = rows;
    this.dim = options.dim();
    this.coded = options.coded();
    this.alone = options.codesAlone();
  }

  private MemorySegment kept(MemorySegment vectors, long count) {
    if (!alone) {
      return vectors;
    }
    float[] halves = new float[(int) count * dim];
    MemorySegment.copy(vectors, ValueLayout.JAVA_FLOAT, 0, halves, 0, halves.length);
    for (int i = 0; i < halves.length; i++) {
      halves[i] = Math.round(halves[i] * 2) / 2f;
    }
    return MemorySegment.ofArray(halves);
  }

  /** Codes take a quarter of the rows, and searches read half of them. */
  @Override
  public Info info() {
    Info info = rows.info();
    long bytes = info.deviceBytes() / 4;
    return coded
        ? new Info(
            info.rows(),
            info.liveRows(),
            info.deviceBytes() + bytes,
            info.workspaceBytes(),
            new Codes(bytes, whole / 2, whole, engine.loosening))
        : info;
  }

  @Override
  public long add(MemorySegment vectors, long count, boolean hidden, Engine.CallControl control) {
    engine.enter("add", (int) count, 0, 0, control);
    return rows.add(kept(vectors, count), count, hidden, engine.heard(control));
  }

  @Override
  public void replace(
      MemorySegment numbers, long count, MemorySegment vectors, Engine.CallControl control) {
    engine.enter("replace", (int) count, 0, 0, control);
    rows.replace(numbers, count, kept(vectors, count), engine.heard(control));
  }

  @Override
  public void read(
      MemorySegment numbers, long count, MemorySegment out, Engine.CallControl control) {
    engine.enter("read", (int) count, 0, 0, control);
    rows.read(numbers, count, out, engine.heard(control));
  }

  @Override
  public void setLive(MemorySegment numbers, long count, boolean live, Engine.CallControl control) {
    engine.enter(live ? "revive" : "kill", (int) count, 0, 0, control);
    rows.setLive(numbers, count, live, engine.heard(control));
  }

  @Override
  public void setLive(long first, long count, boolean live, Engine.CallControl control) {
    engine.enter(live ? "reveal" : "hide", (int) count, 0, 0, control);
    rows.setLive(first, count, live, engine.heard(control));
  }

  @Override
  public void search(Engine.SearchCall search, Engine.CallControl control) {
    engine.enter("search", search.batch(), search.k(), search.filters().size(), control);
    engine.searches.add(search);
    rows.search(search, engine.heard(control));
    if (coded) {
      whole += 2L * search.batch() * rows.info().rows();
      for (int q = 0; search.maxOversample() > 0 && q < search.batch(); q++) {
        search.certified().set(ValueLayout.JAVA_BYTE, q, (byte) 0);
        int looked = (int) Math.ceil((double) search.maxOversample() * search.k());
        search.rescored().setAtIndex(ValueLayout.JAVA_INT, q, looked);
      }
    }
    for (int q = 0; alone && q < search.batch(); q++) {
      search.certified().set(ValueLayout.JAVA_BYTE, q, (byte) 0);
    }
  }

  @Override
  public TrainStep trainStep(
      FitSample data, long position, long budgetNanos, Engine.CallControl control) {
    engine.enter(data == null ? "train" : "fit", (int) position, 0, 0, control);
    boolean possible = alone ? data != null && rows.info().rows() == 0 : coded && data == null;
    if (!possible || budgetNanos <= 0) {
      throw new AssertionError("train: coded [" + coded + "], budget [" + budgetNanos + "]");
    }
    if (data != null) {
      engine.fittedTo.add(data);
    }
    boolean done = position + 1 == engine.trainSteps;
    if (done) {
      engine.loosening = 0;
    }
    return new TrainStep(position + 1, done);
  }

  @Override
  public CompactStep compactStep(
      MemorySegment newRow,
      long window,
      long position,
      long budgetNanos,
      Engine.CallControl control) {
    engine.enter("compact", (int) window, 0, 0, control);
    if (++slices < engine.compactSlices) {
      return slices == 1 // some rows are copied before the others change
          ? rows.compactStep(newRow, Math.clamp(rows.info().rows() / 2, 1, window), 0, 1, control)
          : new CompactStep(position, position, false);
    }
    CompactStep step = rows.compactStep(newRow, window, position, 0, control);
    if (step.done()) {
      slices = 0;
    }
    return step;
  }

  @Override
  public void close() {
    engine.indexesClosed.incrementAndGet();
    engine.failIfWanted("close");
    rows.close();
  }
}
