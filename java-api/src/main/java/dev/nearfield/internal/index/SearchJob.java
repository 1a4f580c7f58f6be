// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.Device;
import dev.nearfield.FallbackReason;
import dev.nearfield.Metric;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.table.RowMask;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.table.SortedHandles;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.value.ColumnarResult;
import dev.nearfield.internal.value.ExecutionInfo;
import java.time.Duration;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A queued search. Its queries are those of the immutable request; answers are gathered slice by
 * slice in turns.
 */
final class SearchJob extends Request<SearchResult> {
  final SearchRequest request;

  /** Row-major; checked. */
  final float[] queries;

  /** The request's handle set and predicate as one set; null: every live vector. */
  final @Nullable SortedHandles filter;

  private Engine.@Nullable RowFilter rows; // of the next device call
  private volatile @Nullable RowMask mask;
  private int stride = -1;
  private int[] counts = {};
  private int[] rescored = {};
  private int[] lists = {};
  private float[] recall = {};
  private final BitSet notCertified = new BitSet();
  private long[] handles = {};
  private float[] distances = {};
  private int answered;
  private int largestBatch;
  private long started;

  SearchJob(
      SearchRequest request,
      @Nullable Duration timeout,
      float[] queries,
      @Nullable SortedHandles filter,
      @Nullable RowMask mask) {
    super("search", timeout);
    this.request = request;
    this.queries = queries;
    this.filter = filter;
    this.mask = mask;
  }

  /** The rows of the filter; null without one. */
  @Nullable RowMask mask() {
    return mask;
  }

  /**
   * The bound as a device takes it. Down to a float: from a little above 1.1, ten times it would
   * round up to 12.
   */
  float maxOversample() {
    if (request.exact()) {
      return 0;
    }
    float near = (float) request.maxOversample();
    return near > request.maxOversample() ? Math.nextDown(near) : near;
  }

  /** How far into lists it goes; what is exact goes through all. */
  Engine.Reach reach() {
    if (request.exact() || request.probes() == 0 && request.targetRecall() == 0) {
      return Engine.Reach.DEFAULT;
    }
    // Not 0 for the least of targets, which would be none.
    float target = (float) request.targetRecall();
    boolean lost = target == 0 && request.targetRecall() > 0;
    return new Engine.Reach(request.probes(), lost ? Float.MIN_VALUE : target);
  }

  /** Makes the mask once more. Any thread without a turn. */
  void makeMask(SlotTable slots) {
    if (filter != null) {
      mask = RowMask.of(slots, filter, isKept(request));
    }
  }

  /** Whether the filter of a request is a set that may come again, and keeps its mask. */
  static boolean isKept(SearchRequest request) {
    return request.predicate().isEmpty();
  }

  int queryCount() {
    return request.queryCount();
  }

  /** The first query without an answer. */
  int answered() {
    return answered;
  }

  /** Makes room for {@code k} hits a query, which may be more than at the slice before. */
  void begin(int k) {
    if (k <= stride) {
      return;
    }
    // Twice as many, lest an index that grows slowly has all answers moved with each slice.
    int wide = stride < 0 ? k : Math.min(request.topK(), Math.max(k, 2 * stride));
    long entries = (long) wide * queryCount();
    if (entries > Integer.MAX_VALUE - 8) {
      throw new IllegalArgumentException(
          "search: [%d] queries of %d hits each, one result holds at most %d hits"
              .formatted(queryCount(), wide, Integer.MAX_VALUE - 8));
    }
    long[] wideHandles = new long[(int) entries];
    float[] wideDistances = new float[(int) entries];
    if (stride < 0) {
      counts = new int[queryCount()];
      rescored = new int[queryCount()];
      lists = new int[queryCount()];
      recall = new float[queryCount()];
      Arrays.fill(recall, 1); // of an empty index nothing is missing
      started = System.nanoTime();
    }
    for (int q = 0; q < answered; q++) {
      System.arraycopy(handles, q * stride, wideHandles, q * wide, counts[q]);
      System.arraycopy(distances, q * stride, wideDistances, q * wide, counts[q]);
    }
    handles = wideHandles;
    distances = wideDistances;
    stride = wide;
  }

  /** Which rows the next device call may answer; null: every live one. */
  void rows(Engine.@Nullable RowFilter rows) {
    this.rows = rows;
  }

  Engine.@Nullable RowFilter rows() {
    return rows;
  }

  int stride() {
    return stride;
  }

  /**
   * Answers the next query. Hits come best first; false when one is beyond the request's limits,
   * and so are all after it.
   */
  boolean hit(Metric metric, int i, long handle, float distance) {
    // The condition is false for every larger distance once it is false.
    if (distance > request.maxDistance() || metric.score(distance) < request.minScore()) {
      return false;
    }
    handles[answered * stride + i] = handle;
    distances[answered * stride + i] = distance;
    counts[answered] = i + 1;
    return true;
  }

  /** Goes on to the next query; how the answer to this one was found. */
  void nextQuery(boolean certified, int looked, int listsScanned, float estimate) {
    notCertified.set(answered, !certified);
    lists[answered] = listsScanned;
    recall[answered] = estimate;
    rescored[answered++] = looked;
  }

  void sharedBatch(int queries) {
    largestBatch = Math.max(largestBatch, queries);
  }

  SearchResult result(Metric metric, Device device, Optional<FallbackReason> fallback) {
    long now = System.nanoTime();
    return new ColumnarResult(
        metric,
        stride,
        counts,
        handles,
        distances,
        rescored,
        lists,
        recall,
        new ExecutionInfo(
            device,
            queryCount(),
            notCertified,
            largestBatch,
            Duration.ofNanos(started - submittedNanos()),
            Duration.ofNanos(now - started),
            fallback));
  }

  /** Nothing to search: no hits for any query that is left. */
  SearchResult empty(
      Metric metric, Device device, Optional<FallbackReason> fallback, boolean certified) {
    begin(0);
    notCertified.set(answered, queryCount(), !certified);
    sharedBatch(queryCount() - answered);
    answered = queryCount();
    return result(metric, device, fallback);
  }
}
