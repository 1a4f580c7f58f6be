// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.Metric;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.table.IndexState;
import dev.nearfield.internal.table.RowMask;
import dev.nearfield.internal.turn.Scratch;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** One device call that answers the next queries of several searches. */
final class SearchBatch {
  /** Hits of one call: 48 MiB of rows and distances. */
  private static final long MAX_HITS = 1 << 22;

  /**
   * Up to here every k costs the kernels the same (queues in registers or shared memory), so such
   * searches always go together.
   */
  private static final int SMALL_K = 128;

  private SearchBatch() {}

  /**
   * Searches of one class may share a batch: a smaller k is a prefix of a larger one, and costs at
   * most twice its own.
   */
  static int kClass(int k) {
    return k <= SMALL_K ? SMALL_K : 32 - Integer.numberOfLeadingZeros(k - 1);
  }

  /**
   * Whether both get the same answers together as alone. A bound on the work of a scan by codes
   * follows from k, and so does how many lists are looked into; what is asked to be exact must not
   * be scanned otherwise.
   */
  private static boolean goTogether(SearchJob a, SearchJob b, IndexState state) {
    Engine.IndexOptions options = state.options();
    if (!options.coded() && !options.listed()) {
      return true;
    }
    if (a.request.exact() || b.request.exact()) {
      return a.request.exact() == b.request.exact();
    }
    float bound = a.maxOversample();
    boolean followsFromK = bound != 0 || options.listed();
    return bound == b.maxOversample()
        && (!options.listed() || a.reach().equals(b.reach()))
        && (!followsFromK || k(a, state) == k(b, state));
  }

  /** Whether the job looks into lists, as far as it has to, and not at every row. */
  static boolean inLists(SearchJob job, IndexState state) {
    return state.lists().count() > 0 && !job.request.exact();
  }

  /**
   * Rows that a query of the job looks at, at most: those of its lists and, where these have too
   * few for it, of as many again until there are k. A filter or a target may lead it into any of
   * them.
   */
  static long rows(SearchJob job, IndexState state) {
    EngineIndex.ListSizes lists = state.lists();
    int probes = job.reach().probes();
    if (!inLists(job, state) || probes == 0 || job.filter != null) {
      return state.rowCount();
    }
    long looked = probes * lists.largest() + 2L * k(job, state);
    return lists.count() + Math.min(state.rowCount(), looked);
  }

  /** Fails what does not fit the index as it is; answers whether it does. */
  static boolean fits(SearchJob job, IndexState state) {
    int lists = state.lists().count();
    int probes = job.reach().probes();
    if (lists == 0 || probes <= lists) {
      return true;
    }
    job.fail(
        new IllegalArgumentException(
            "search: probes [%d], the index has %d lists".formatted(probes, lists)));
    return false;
  }

  /** Hits that a query of the job can have; at least 1. */
  static int k(SearchJob job, IndexState state) {
    return Math.max(1, Math.min(job.request.topK(), state.live()));
  }

  /** How many queries of that k one call takes. */
  static int queryLimit(int maxBatch, int k) {
    return (int) Math.max(1, Math.min(maxBatch, MAX_HITS / k));
  }

  /**
   * Takes the next search from its mailbox, with those that follow it directly, may share its batch
   * and fit: {@code limit} queries in all, unless the first alone has more.
   */
  static List<SearchJob> take(Mailbox mailbox, SearchJob first, IndexState state, int limit) {
    int kClass = kClass(k(first, state));
    int[] room = {limit};
    return mailbox.takeRun(
        SearchJob.class,
        job -> {
          boolean fits = job == first || job.queryCount() <= room[0];
          if (fits && kClass(k(job, state)) == kClass && goTogether(first, job, state)) {
            room[0] -= job.queryCount();
            return true;
          }
          return false;
        });
  }

  /**
   * Answers up to {@code limit} queries of each job, in order. Jobs are running; those with a fault
   * of their own (a handle never issued) are failed, the others get their answers.
   */
  static Answers run(
      IndexState state,
      List<SearchJob> jobs,
      int limit,
      Scratch scratch,
      Engine.CallControl control) {
    List<SearchJob> members = begun(state, jobs);
    if (members.isEmpty()) {
      return new Answers(0, 0);
    }
    int batch = 0;
    int k = 1;
    for (SearchJob job : members) {
      batch += sliceOf(job, limit);
      k = Math.max(k, job.stride());
    }
    int dim = state.dim();
    MemorySegment queries = scratch.get(Scratch.Use.VECTORS, (long) batch * dim * Float.BYTES);
    int at = 0;
    for (SearchJob job : members) {
      int slice = sliceOf(job, limit);
      MemorySegment.copy(
          job.queries,
          job.answered() * dim,
          queries,
          ValueLayout.JAVA_FLOAT,
          (long) at * dim * Float.BYTES,
          slice * dim);
      at += slice;
    }
    BatchFilters filters = BatchFilters.of(members, limit, batch, scratch);
    long hits = (long) batch * k;
    Engine.SearchCall call =
        new Engine.SearchCall(
            queries,
            batch,
            k,
            filters.filters(),
            filters.ofQuery(),
            Float.NaN, // limits differ between searches: the answers are cut when handed out
            members.getFirst().request.exact(),
            members.getFirst().maxOversample(),
            members.getFirst().reach(),
            scratch.get(Scratch.Use.ROWS, hits * Long.BYTES),
            scratch.get(Scratch.Use.DISTANCES, hits * Float.BYTES),
            scratch.get(Scratch.Use.COUNTS, (long) batch * Integer.BYTES),
            scratch.get(Scratch.Use.CERTIFIED, batch),
            scratch.get(Scratch.Use.RESCORED, (long) batch * Integer.BYTES),
            scratch.get(Scratch.Use.LISTS_SCANNED, (long) batch * Integer.BYTES),
            scratch.get(Scratch.Use.RECALL, (long) batch * Float.BYTES));
    state.rows().search(call, control);
    return new Answers(batch, handOut(state, members, limit, call));
  }

  /** Queries that were asked, and those of them whose answers are certified. */
  record Answers(int asked, int certified) {}

  /** Those that could begin; the others have failed. */
  private static List<SearchJob> begun(IndexState state, List<SearchJob> jobs) {
    List<SearchJob> members = new ArrayList<>(jobs.size());
    for (SearchJob job : jobs) {
      if (!fits(job, state)) {
        continue;
      }
      try {
        job.begin(k(job, state));
        RowMask mask = job.mask();
        job.rows(mask == null ? null : current(mask, state));
        members.add(job);
      } catch (RuntimeException | OutOfMemoryError e) {
        job.fail(e);
      }
    }
    return members;
  }

  private static Engine.RowFilter current(RowMask mask, IndexState state) {
    if (!state.slots().refresh(mask)) {
      throw new IllegalStateException("search: its mask is stale, which is found out before");
    }
    return mask.rows();
  }

  static int sliceOf(SearchJob job, int limit) {
    return Math.min(limit, job.queryCount() - job.answered());
  }

  /** Answers how many are certified. */
  private static int handOut(
      IndexState state, List<SearchJob> jobs, int limit, Engine.SearchCall call) {
    Metric metric = state.options().metric();
    MemorySegment certified = Objects.requireNonNull(call.certified());
    MemorySegment rescored = Objects.requireNonNull(call.rescored());
    MemorySegment lists = Objects.requireNonNull(call.listsScanned());
    MemorySegment recall = Objects.requireNonNull(call.recall());
    int proven = 0;
    int q = 0;
    for (SearchJob job : jobs) {
      int slice = sliceOf(job, limit);
      job.sharedBatch(call.batch());
      for (int i = 0; i < slice; i++, q++) {
        int found = Math.min(call.counts().getAtIndex(ValueLayout.JAVA_INT, q), job.stride());
        for (int h = 0; h < found; h++) {
          long entry = (long) q * call.k() + h;
          long handle = state.handleOfRow(call.rows().getAtIndex(ValueLayout.JAVA_LONG, entry));
          if (!job.hit(
              metric, h, handle, call.distances().getAtIndex(ValueLayout.JAVA_FLOAT, entry))) {
            break;
          }
        }
        boolean isProven = certified.get(ValueLayout.JAVA_BYTE, q) != 0;
        proven += isProven ? 1 : 0;
        job.nextQuery(
            isProven,
            rescored.getAtIndex(ValueLayout.JAVA_INT, q),
            lists.getAtIndex(ValueLayout.JAVA_INT, q),
            recall.getAtIndex(ValueLayout.JAVA_FLOAT, q));
      }
    }
    return proven;
  }
}
