// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Rows on one device: the mutable index of the ABI. Threading, ownership and failures as in {@link
 * Engine}.
 */
public interface EngineIndex extends AutoCloseable {
  Info info();

  /** Appends rows that searches find at once, as the other {@code add} does. */
  default long add(MemorySegment vectors, long count, Engine.CallControl control) {
    return add(vectors, count, false, control);
  }

  /**
   * Appends {@code count} x dim f32, all or nothing; answers the number of the first new row.
   *
   * @param hidden the rows are dead from the start: no search finds them before {@link #setLive}
   */
  long add(MemorySegment vectors, long count, boolean hidden, Engine.CallControl control);

  /** Overwrites {@code count} rows (64-bit numbers, unique) in place. */
  void replace(MemorySegment rows, long count, MemorySegment vectors, Engine.CallControl control);

  /**
   * Copies {@code count} rows to {@code out} as dim f32 each: bit for bit as added, or what their
   * codes stand for.
   */
  void read(MemorySegment rows, long count, MemorySegment out, Engine.CallControl control);

  void setLive(MemorySegment rows, long count, boolean live, Engine.CallControl control);

  /** The same for the rows {@code first ... first + count - 1}, a word of them at a time. */
  void setLive(long first, long count, boolean live, Engine.CallControl control);

  void search(Engine.SearchCall search, Engine.CallControl control);

  /**
   * One step of dropping the dead rows, about {@code budgetNanos} long (0: as long as it takes) and
   * past {@code window} rows at most. Old numbers are valid until the last step, which passes the
   * last row; rows may be added, changed and searched between steps.
   *
   * @param newRow out: for each row passed its new number or -1, 64 bits each; room for {@code
   *     window} of them
   * @param position where the last step ended, 0 at first; from elsewhere the compaction begins
   *     anew
   */
  CompactStep compactStep(
      MemorySegment newRow,
      long window,
      long position,
      long budgetNanos,
      Engine.CallControl control);

  /**
   * One step, about {@code budgetNanos} long (0: as long as it takes), of fitting the codes to a
   * sample of the live rows and coding all rows anew. Answers of searches are the same before,
   * between and after; rows may be added and changed between steps, and no compaction may run. A
   * step that fails ends the training, and rows stay coded as they are. An index that keeps codes
   * alone can be trained while it is empty, on {@code data}.
   *
   * @param data what to fit to instead, the same at every step; null: rows of the index
   * @param position where the last step ended, 0 at first
   */
  default TrainStep trainStep(
      @Nullable FitSample data, long position, long budgetNanos, Engine.CallControl control) {
    return trainStep(new Training(data, 0, 0, 0, 0), position, budgetNanos, control);
  }

  /**
   * The same of an index with lists: clusters a sample, and puts all rows into lists around its
   * centroids. Until the last step searches go by the lists that there were before.
   *
   * @param how the same at every step
   */
  TrainStep trainStep(Training how, long position, long budgetNanos, Engine.CallControl control);

  /**
   * One step of splitting lists that hold too many rows and of letting those go that hold too few.
   * Until the last step searches go by the lists that there were before; where all stay as they
   * are, and where there are none yet, nothing is copied.
   *
   * @param position where the last step ended, 0 at first
   */
  MaintainStep maintainStep(long position, long budgetNanos, Engine.CallControl control);

  /** The lists of an index that is trained; null while there are none. */
  @Nullable Lists readLists(Engine.CallControl control);

  /** Puts all rows into these lists, as a training would. */
  void writeLists(Lists lists, Engine.CallControl control);

  @Override
  void close();

  /**
   * What a step passed: the rows {@code first ... end - 1}. {@code first} is where the step before
   * ended, or 0 when the compaction began anew and all earlier numbers are void.
   */
  record CompactStep(long first, long end, boolean done) {}

  record TrainStep(long position, boolean done) {}

  /** With the last step: lists that were split and merged, and rows that changed their list. */
  record MaintainStep(long position, boolean done, long split, long merged, long moved) {}

  /**
   * What is to be trained, and on what; numbers are 0 where nothing is said, and of lists but for
   * the seed.
   *
   * @param data null: rows of the index
   * @param lists that there shall be
   * @param iterations of the clustering
   * @param sample rows that are looked at
   */
  record Training(@Nullable FitSample data, int lists, int iterations, long sample, long seed) {}

  /**
   * @param centroids {@code count} x dim f32
   * @param listOfRow a 32-bit number for each of the {@code rows}
   * @param calibration of recall targets: f32 numbers that only natives know the meaning of
   */
  record Lists(
      int count,
      MemorySegment centroids,
      MemorySegment listOfRow,
      long rows,
      MemorySegment calibration) {}

  record Info(
      long rows,
      long liveRows,
      long deviceBytes,
      long workspaceBytes,
      Codes codes,
      ListSizes lists) {
    /** Without lists. */
    public Info(long rows, long liveRows, long deviceBytes, long workspaceBytes, Codes codes) {
      this(rows, liveRows, deviceBytes, workspaceBytes, codes, ListSizes.NONE);
    }

    /** Without codes and lists. */
    public Info(long rows, long liveRows, long deviceBytes, long workspaceBytes) {
      this(rows, liveRows, deviceBytes, workspaceBytes, Codes.NONE);
    }
  }

  /**
   * How many lists there are, and the rows in the smallest and the largest, dead ones included.
   *
   * @param drift how much farther from their centroids the rows are than those of the training were
   */
  record ListSizes(int count, long smallest, long largest, double drift) {
    public static final ListSizes NONE = new ListSizes(0, 0, 0, 0);
  }

  /**
   * The codes of an index.
   *
   * @param bytes of them, in {@code deviceBytes}
   * @param scannedBytes read by all searches so far
   * @param wholeBytes that those would have read without leaving rows early
   * @param loosening how much worse the training suits the rows added since than its own sample; 0:
   *     not trained, or nothing added since
   */
  record Codes(long bytes, long scannedBytes, long wholeBytes, double loosening) {
    public static final Codes NONE = new Codes(0, 0, 0, 0);
  }
}
