// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** The rows of plain Java behind the gate of their engine, as if they had codes. */
final class FakeIndex implements EngineIndex {
  private final FakeEngine engine;
  private final EngineIndex rows;
  private final int dim;
  private final boolean coded;
  private final boolean alone;
  private final boolean listed;
  private int lists; // 0: not trained
  private boolean maintained; // with the last step
  private int slices;
  private long whole;

  FakeIndex(FakeEngine engine, EngineIndex rows, Engine.IndexOptions options) {
    this.engine = engine;
    this.rows = rows;
    this.dim = options.dim();
    this.coded = options.coded();
    this.alone = options.codesAlone();
    this.listed = options.listed();
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
    return new Info(
        info.rows(),
        info.liveRows(),
        info.deviceBytes() + (coded ? bytes : 0),
        info.workspaceBytes(),
        coded ? new Codes(bytes, whole / 2, whole, engine.loosening) : Codes.NONE,
        lists == 0 ? ListSizes.NONE : new ListSizes(lists, 0, info.rows(), engine.drift));
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
    for (int q = 0; lists > 0 && q < search.batch(); q++) {
      int probes = search.exact() ? lists : Math.max(1, search.reach().probes());
      search.listsScanned().setAtIndex(ValueLayout.JAVA_INT, q, probes);
      search.recall().setAtIndex(ValueLayout.JAVA_FLOAT, q, (float) probes / lists);
    }
    for (int q = 0; alone && q < search.batch(); q++) {
      search.certified().set(ValueLayout.JAVA_BYTE, q, (byte) 0);
    }
  }

  /** As a training of codes, or of lists where there are such. */
  @Override
  public TrainStep trainStep(
      Training how, long position, long budgetNanos, Engine.CallControl control) {
    if (!listed) {
      return fitStep(how.data(), position, budgetNanos, control);
    }
    engine.enter("trainLists", (int) position, how.lists(), 0, control);
    engine.listTrainings.add(how);
    boolean done = position + 1 == engine.trainSteps;
    if (done) {
      lists = how.lists() == 0 ? 4 : how.lists();
    }
    return new TrainStep(position + 1, done);
  }

  /**
   * Takes as many steps as a training; half of the rows find other lists, of which there is one
   * more. The next time nothing is left to do.
   */
  @Override
  public MaintainStep maintainStep(long position, long budgetNanos, Engine.CallControl control) {
    engine.enter("maintain", (int) position, 0, 0, control);
    boolean rests = lists == 0 || maintained;
    boolean done = rests || position + 1 == engine.trainSteps;
    maintained = done && !maintained && lists != 0;
    if (!done || rests) {
      return new MaintainStep(position + 1, done, 0, 0, 0);
    }
    lists++;
    return new MaintainStep(position + 1, true, 2, 1, rows.info().rows() / 2);
  }

  /** One after the other in turn. */
  @Override
  public Lists readLists(Engine.CallControl control) {
    engine.enter("readLists", 0, 0, 0, control);
    if (lists == 0) {
      return null;
    }
    int count = (int) rows.info().rows();
    int[] numbers = new int[count];
    Arrays.setAll(numbers, row -> row % lists);
    return new Lists(
        lists,
        MemorySegment.ofArray(new float[lists * dim]),
        MemorySegment.ofArray(numbers),
        count,
        MemorySegment.ofArray(new float[] {.25f}));
  }

  @Override
  public void writeLists(Lists from, Engine.CallControl control) {
    engine.enter("writeLists", (int) from.rows(), from.count(), 0, control);
    if (!listed || from.rows() != rows.info().rows()) {
      throw new AssertionError("writeLists: " + from + ", there are " + rows.info());
    }
    engine.listsWritten.add(from);
    lists = from.count();
  }

  private TrainStep fitStep(
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
