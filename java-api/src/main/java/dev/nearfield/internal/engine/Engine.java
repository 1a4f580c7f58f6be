// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import dev.nearfield.Device;
import dev.nearfield.Encoding;
import dev.nearfield.Metric;
import dev.nearfield.VectorIndexException;
import dev.nearfield.internal.turn.DeviceOwner;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A device as its owner sees it: one native context, or the plain-Java backend. Methods are called
 * by whoever has the turn ({@link DeviceOwner}), never two at a time, and block until the device
 * has finished. Segments are owned by the caller, hold native or heap memory aligned for their
 * element, and are only touched during the call; layouts are row-major without padding.
 *
 * <p>Failures are the public exceptions: {@link IllegalArgumentException} for a bad vector or
 * argument, {@link VectorIndexException} and its subclasses for the environment, {@link
 * java.util.concurrent.CancellationException} when the control's cancel word was set.
 */
public interface Engine extends AutoCloseable {
  Device device();

  boolean supports(Metric metric);

  /** Whether indexes of that metric may keep int8 codes beside their rows. */
  boolean supportsCodes(Metric metric);

  /** Whether indexes of that metric may keep int8 codes and no rows. */
  boolean supportsCodesAlone(Metric metric);

  /**
   * Whether indexes of that metric may keep their rows in lists, with codes where there are such.
   */
  boolean supportsLists(Metric metric);

  /**
   * Whether calls compute on this machine's processors, so that how long one takes follows from its
   * work. A driver and its queue give no such promise, and may want to see one thread only.
   */
  boolean onHost();

  /** Whether a call has found the device lost: nothing works here any more. Any thread. */
  boolean lost();

  /** Bytes on the device for {@code options.capacity()} rows: while building and at rest. */
  Estimate estimate(IndexOptions options);

  EngineIndex createIndex(IndexOptions options, CallControl control);

  /**
   * Begins a stateless exact search over {@code rows} vectors that are brought piece by piece. The
   * segments of {@code search} must stay as they are until it has ended; filters and a largest
   * distance are not possible.
   */
  Knn knn(Metric metric, int dim, long rows, SearchCall search);

  /** Makes vectors smaller: host work, with the same bytes whichever engine does it. */
  void quantize(QuantizeCall vectors, CallControl control);

  /** Begins a clustering. The segments of {@code request} must stay until it has ended. */
  KMeans kmeans(KMeansRequest request);

  /** Free memory of the device in bytes, or -1 when it cannot say. */
  long freeBytes();

  @Override
  void close();

  /** A stateless search under way; belongs to its engine and is closed before it. */
  interface Knn extends AutoCloseable {
    /**
     * Works for about {@code budgetNanos}, or until no more can be done without more rows when that
     * is 0. A failure ends the search.
     *
     * @param piece {@code count} x dim f32: the next rows from {@link #position()} on, at least one
     *     while there are any; their memory is free again once they are passed
     * @return whether all rows have been taken and the answers written
     */
    boolean step(MemorySegment piece, long count, long budgetNanos, CallControl control);

    /** Rows passed so far. */
    long position();

    @Override
    void close();
  }

  /** A clustering under way; belongs to its engine and is closed before it. */
  interface KMeans extends AutoCloseable {
    /**
     * Works for about {@code budgetNanos}, or to the end when that is 0. A failure ends the
     * clustering.
     *
     * @return whether it is done and the outputs are written
     */
    boolean step(long budgetNanos, CallControl control);

    /** Rows passed so far, and those of all passes that are planned. */
    long done();

    long total();

    @Override
    void close();
  }

  /**
   * Rows and where their clusters go. All numbers have been checked, vectors and weights have not.
   *
   * @param vectors {@code rows} x {@code dim} f32
   * @param weights null, or a f32 for each row
   * @param started whether {@code centroids} holds a start
   * @param sample rows; 0: 256 for each cluster
   * @param centroids in and out: {@code clusters} x {@code dim} f32
   * @param labels out: a 32-bit number for each row
   * @param inertia out: one f64
   */
  record KMeansRequest(
      Metric metric,
      MemorySegment vectors,
      int rows,
      int dim,
      @Nullable MemorySegment weights,
      int clusters,
      int iterations,
      boolean started,
      boolean balanced,
      long sample,
      long seed,
      MemorySegment centroids,
      MemorySegment labels,
      MemorySegment inertia) {}

  record Estimate(long peakBytes, long bytes) {}

  /**
   * Zero means the default in every numeric component.
   *
   * @param encoding what is kept: {@link Encoding#F32}, {@link Encoding#INT8} where {@link
   *     #supportsCodes}, or {@link Encoding#INT8_ONLY} where {@link #supportsCodesAlone}
   * @param lists to train where {@link #supportsLists}, 0: as many as suit the rows; {@link #FLAT}:
   *     the index has none
   */
  record IndexOptions(
      int dim,
      Metric metric,
      long capacity,
      long memoryLimitBytes,
      double poincareMaxNorm,
      Encoding encoding,
      int lists) {
    public static final int FLAT = -1;

    public IndexOptions {
      if (encoding == Encoding.AUTO) {
        throw new IllegalArgumentException(
            "IndexOptions: encoding [AUTO], it must have been decided");
      }
    }

    /** Without lists. */
    public IndexOptions(
        int dim,
        Metric metric,
        long capacity,
        long memoryLimitBytes,
        double poincareMaxNorm,
        Encoding encoding) {
      this(dim, metric, capacity, memoryLimitBytes, poincareMaxNorm, encoding, FLAT);
    }

    /** Without codes and lists. */
    public IndexOptions(
        int dim, Metric metric, long capacity, long memoryLimitBytes, double poincareMaxNorm) {
      this(dim, metric, capacity, memoryLimitBytes, poincareMaxNorm, Encoding.F32);
    }

    /** Whether there are lists once they are trained. */
    public boolean listed() {
      return lists != FLAT;
    }

    /** Whether there are codes, with rows or without. */
    public boolean coded() {
      return encoding != Encoding.F32;
    }

    /** Whether there are codes and no rows: vectors are what their codes stand for. */
    public boolean codesAlone() {
      return encoding == Encoding.INT8_ONLY;
    }

    public IndexOptions withCapacity(long rows) {
      return new IndexOptions(
          dim, metric, rows, memoryLimitBytes, poincareMaxNorm, encoding, lists);
    }

    public IndexOptions withoutLimit() {
      return new IndexOptions(dim, metric, capacity, 0, poincareMaxNorm, encoding, lists);
    }
  }

  /**
   * Finite vectors and where their codes go.
   *
   * @param int8 into bytes with a scale for each vector, else into bfloat16 without
   * @param vectors {@code rows} x {@code dim} f32
   * @param codes out: as many bytes, or as many 16-bit words
   * @param scales out: a f32 for each vector; null for bfloat16
   * @param errors out, or null: a f32 for each vector, how far it is from what its codes stand for
   */
  record QuantizeCall(
      MemorySegment vectors,
      int rows,
      int dim,
      boolean int8,
      MemorySegment codes,
      @Nullable MemorySegment scales,
      @Nullable MemorySegment errors) {}

  /**
   * How a call may end early. {@code cancel} is a segment of one 32-bit word in native memory that
   * any thread may set non-zero; null: not cancellable. {@code timeoutNanos} 0: none.
   */
  record CallControl(long timeoutNanos, @Nullable MemorySegment cancel) {
    public static final CallControl NONE = new CallControl(0, null);

    /** For who waits that long at most, even no longer; Long.MAX_VALUE: as long as it takes. */
    public static CallControl within(long nanos, MemorySegment cancel) {
      return new CallControl(nanos == Long.MAX_VALUE ? 0 : Math.max(1, nanos), cancel);
    }
  }

  /**
   * Which rows may be returned. Bits: row i is bit (i & 31) of 32-bit word i / 32; rows past the
   * end are excluded.
   */
  sealed interface RowFilter {
    record Bits(MemorySegment words, long count) implements RowFilter {}

    /** 64-bit row numbers, ascending and unique. */
    record Rows(MemorySegment rows, long count) implements RowFilter {}
  }

  /**
   * A batch of searches and where the answers go.
   *
   * @param queries batch x dim f32
   * @param filters empty: every live row; one: for all queries; else chosen by {@code
   *     filterOfQuery}
   * @param filterOfQuery batch 32-bit indexes into filters, -1 for none; null: filter 0 for all
   * @param maxDistance NaN: unlimited; else nothing farther is returned
   * @param exact whatever the index keeps beside its rows, the answers of a scan of all of them
   * @param reach how far a search goes in an index with lists that is not exact
   * @param maxOversample 0: every answer is exact; else at least 1: a scan of codes looks at that
   *     many times k rows at most, and answers may not be certified
   * @param rows out: batch x k 64-bit row numbers, -1 where missing
   * @param distances out: batch x k f32, NaN where missing
   * @param counts out: batch 32-bit counts of results found
   * @param certified out, or null: batch bytes, 1 where the answer is proven to be that of a scan
   *     of all rows
   * @param rescored out, or null: batch 32-bit counts of rows looked at after a scan that left rows
   *     out
   * @param listsScanned out, or null: batch 32-bit counts of lists looked into, 0 where there are
   *     none
   * @param recall out, or null: batch f32, the share of the nearest rows that the answer holds, by
   *     an estimate; 1 where all rows were looked at
   */
  record SearchCall(
      MemorySegment queries,
      int batch,
      int k,
      List<RowFilter> filters,
      @Nullable MemorySegment filterOfQuery,
      float maxDistance,
      boolean exact,
      float maxOversample,
      Reach reach,
      MemorySegment rows,
      MemorySegment distances,
      MemorySegment counts,
      @Nullable MemorySegment certified,
      @Nullable MemorySegment rescored,
      @Nullable MemorySegment listsScanned,
      @Nullable MemorySegment recall) {

    /** Every answer is exact, and nothing is told about how it was found. */
    public SearchCall(
        MemorySegment queries,
        int batch,
        int k,
        List<RowFilter> filters,
        @Nullable MemorySegment filterOfQuery,
        float maxDistance,
        MemorySegment rows,
        MemorySegment distances,
        MemorySegment counts) {
      this(
          queries,
          batch,
          k,
          filters,
          filterOfQuery,
          maxDistance,
          false,
          0,
          Reach.DEFAULT,
          rows,
          distances,
          counts,
          null,
          null,
          null,
          null);
    }
  }

  /**
   * How far into its lists a search goes, each number 0 where nothing is said. Without lists every
   * row is reached.
   *
   * @param probes lists
   * @param targetRecall the share of the nearest rows that it should find, where probes is 0
   */
  record Reach(int probes, float targetRecall) {
    public static final Reach DEFAULT = new Reach(0, 0);
  }
}
