// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.CompactionReport;
import dev.nearfield.IndexStats;
import dev.nearfield.Metric;
import dev.nearfield.Placement;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.StoredVector;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.engine.VectorCheck;
import dev.nearfield.internal.event.FallbackReporter;
import dev.nearfield.internal.event.IndexCounters;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.move.MoveJob;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.table.LiveRows;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.table.SortedHandles;
import dev.nearfield.internal.turn.Completer;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.OwnerCall;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.StackRoom;
import dev.nearfield.internal.turn.Threads;
import dev.nearfield.internal.turn.Waits;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.LongPredicate;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The callers' side of an index: checks and copies what they give, queues it, and waits where they
 * want to.
 */
public final class IndexFront implements AcceleratedVectorIndex {
  /** Stays in the first-level cache while it is checked. */
  private static final int CHECK_BYTES = 16 << 10;

  private final IndexConfig config;
  private final VectorCheck check;
  private final IndexCounters counters;
  private final Completer completer;
  private final SlotTable slots;
  private final Elsewhere elsewhere;
  private final Mailbox mailbox;
  private final IndexActor actor;
  private final AtomicBoolean released = new AtomicBoolean();

  private IndexFront(
      IndexConfig config,
      IndexCounters counters,
      Completer completer,
      SlotTable slots,
      Elsewhere elsewhere,
      FallbackReporter reporter) {
    this.config = config;
    this.check = new VectorCheck(config.metric(), config.dim(), config.poincareMaxNorm());
    this.counters = counters;
    this.completer = completer;
    this.slots = slots;
    this.elsewhere = elsewhere;
    this.mailbox = new Mailbox(config.mailboxCapacity(), config.mailboxWaitNanos());
    this.actor = new IndexActor(config, mailbox, counters, elsewhere, reporter);
  }

  /** Makes an index on an owner that was acquired for it; the index releases it when closed. */
  static IndexFront make(
      IndexConfig config,
      DeviceOwner owner,
      Placement placement,
      IndexCounters counters,
      Completer completer,
      SlotTable slots,
      Elsewhere elsewhere,
      FallbackReporter reporter) {
    IndexFront index = new IndexFront(config, counters, completer, slots, elsewhere, reporter);
    try {
      return OwnerCall.run(
          owner,
          "build",
          null,
          (engine, scratch, control) -> {
            index.actor.begin(owner, engine, placement, slots);
            return index;
          });
    } catch (RuntimeException | Error e) {
      index.actor.notBegun();
      throw e;
    }
  }

  @Override
  public int dimension() {
    return config.dim();
  }

  @Override
  public Metric metric() {
    return config.metric();
  }

  // ---- adding

  @Override
  public VectorHandle add(float[] vector) {
    float[] copy = copy("add", vector);
    return submit(new Jobs.Add("add", copy, 1)).await().get(0);
  }

  @Override
  public VectorHandles addAll(VectorBatch vectors) {
    check.checkDimension("addAll", vectors.dimension());
    if (vectors.byteSize() <= LiveRows.CHUNK_BYTES) {
      float[] copy = new float[vectors.size() * config.dim()];
      copy("addAll", "vector", vectors, 0, vectors.size(), copy);
      return submit(new Jobs.Add("addAll", copy, vectors.size())).await();
    }
    checkAll(vectors);
    InsertJob job = new InsertJob(vectors.size(), config.dim(), actor::wake);
    try {
      enqueue(job);
      feed(job, vectors);
      return job.await();
    } finally {
      job.free();
    }
  }

  /**
   * Refuses a bad vector before the first chunk is sent. One that goes bad afterwards is refused by
   * the device.
   */
  private void checkAll(VectorBatch vectors) {
    int step = Math.max(1, CHECK_BYTES / Float.BYTES / config.dim());
    int[] bits = new int[step * config.dim()];
    float[] some = new float[step * config.dim()];
    for (int first = 0; first < vectors.size(); first += step) {
      int count = Math.min(step, vectors.size() - first);
      vectors.copyTo(first, count, MemorySegment.ofArray(bits));
      if (!check.plainlyFine(bits, count)) {
        copy("addAll", "vector", vectors, first, count, some);
      }
    }
  }

  private void feed(InsertJob job, VectorBatch vectors) {
    try {
      for (int first = 0; first < vectors.size(); first += job.chunkRows) {
        MemorySegment buffer = job.buffer();
        if (buffer == null) {
          return;
        }
        vectors.copyTo(first, Math.min(job.chunkRows, vectors.size() - first), buffer);
        job.copied();
      }
    } catch (RuntimeException | Error e) { // a segment closed meanwhile
      job.abort(e);
      try {
        job.await();
      } catch (RuntimeException expected) {
        e.addSuppressed(expected);
      }
      throw e;
    }
  }

  private float[] copy(String operation, float[] vector) {
    check.checkDimension(operation, vector.length);
    float[] copy = vector.clone();
    check.check(operation, "vector", 0, copy, 0);
    return copy;
  }

  private void copy(
      String operation, String noun, VectorBatch vectors, int first, int count, float[] to) {
    vectors.copyTo(first, count, MemorySegment.ofArray(to));
    check.checkAll(operation, noun, first, to, count);
  }

  // ---- changing and reading by handle

  @Override
  public boolean remove(VectorHandle handle) {
    return submit(new Jobs.Remove("remove", new long[] {handle.bits()})).await() == 1;
  }

  @Override
  public int removeAll(VectorHandles handles) {
    return submit(new Jobs.Remove("removeAll", handles.toBits())).await();
  }

  @Override
  public int removeIf(Predicate<? super VectorHandle> condition) {
    Objects.requireNonNull(condition, "condition");
    StackRoom.require();
    SortedHandles chosen = slots.select(bits -> condition.test(new VectorHandle(bits)));
    return submit(new Jobs.Remove("removeIf", chosen.sortedBits())).await();
  }

  @Override
  public Optional<VectorHandle> replace(VectorHandle handle, float[] vector) {
    return submit(new Jobs.Replace(handle.bits(), copy("replace", vector))).await();
  }

  @Override
  public Optional<StoredVector> get(VectorHandle handle) {
    return submit(new Jobs.Get(handle.bits())).await();
  }

  // ---- searching

  @Override
  public SearchResult search(SearchRequest request) {
    return submit(job(request)).await();
  }

  @Override
  public CompletableFuture<SearchResult> searchAsync(SearchRequest request) {
    return submitAsync(job(request));
  }

  private SearchJob job(SearchRequest request) {
    check.checkDimension("search", request.dimension());
    float[] queries = new float[request.queryCount() * config.dim()];
    copy("search", "query", request.queries(), 0, request.queryCount(), queries);
    SortedHandles handles = (SortedHandles) request.handles().orElse(null);
    if (handles != null) {
      slots.checkIssued("search", handles);
    }
    return new SearchJob(request, queries, filter(handles, request.predicate().orElse(null)));
  }

  private @Nullable SortedHandles filter(
      @Nullable SortedHandles handles, @Nullable Predicate<? super VectorHandle> predicate) {
    if (predicate == null) {
      return handles;
    }
    LongPredicate keep = bits -> predicate.test(new VectorHandle(bits));
    return handles == null ? slots.select(keep) : handles.filter(keep);
  }

  // ---- the rest

  @Override
  public CompletableFuture<CompactionReport> compact() {
    return submitAsync(new Jobs.Compact());
  }

  @Override
  public IndexStats stats() {
    return counters.stats(mailbox.size());
  }

  @Override
  public Placement placement() {
    return actor.home().placement();
  }

  @Override
  public CompletableFuture<Placement> retryAcceleration() {
    CompletableFuture<Placement> answer = new CompletableFuture<>();
    Threads.startVirtualForCaller( // looking for devices and opening one takes its time
        () -> {
          try {
            Elsewhere.Destination to = elsewhere.better(placement());
            if (to == null) {
              completer.run(() -> answer.complete(placement()));
              return;
            }
            MoveJob job = new MoveJob(to);
            job.toFuture(completer)
                .whenComplete(
                    (placement, failure) -> {
                      if (failure == null) {
                        answer.complete(placement);
                      } else {
                        answer.completeExceptionally(failure);
                      }
                    });
            submitOrFail(job);
          } catch (RuntimeException | Error e) {
            completer.run(() -> answer.completeExceptionally(e));
          }
        });
    return answer;
  }

  @Override
  public boolean close(Duration drain) throws InterruptedException {
    long drainNanos = Request.saturatedNanos(drain);
    mailbox.refuse();
    actor.drain();
    try {
      return actor.ended().await(drainNanos, TimeUnit.NANOSECONDS);
    } finally {
      close();
    }
  }

  @Override
  public void close() {
    StackRoom.require();
    mailbox.refuse();
    actor.close();
    Waits.uninterruptibly(actor.ended()::await);
    if (released.compareAndSet(false, true)) {
      actor.home().owner().release();
    }
  }

  // ---- queueing

  /** For a caller that waits: it does a brief job itself where it can. */
  private <R extends Request<?>> R submit(R job) {
    put(job);
    actor.serveHereOrWake(job);
    return job;
  }

  private void enqueue(Request<?> job) {
    put(job);
    actor.wake();
  }

  private void put(Request<?> job) {
    StackRoom.require();
    job.onWithdraw(() -> mailbox.remove(job));
    mailbox.put(job);
  }

  /** Failures of the queue complete the future too. */
  private <T> CompletableFuture<T> submitAsync(Request<T> job) {
    CompletableFuture<T> future = job.toFuture(completer);
    submitOrFail(job);
    return future;
  }

  private void submitOrFail(Request<?> job) {
    try {
      enqueue(job);
    } catch (RuntimeException e) {
      job.fail(e);
    }
  }
}
