// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.CompactionReport;
import dev.nearfield.Encoding;
import dev.nearfield.IndexSpec;
import dev.nearfield.IndexStats;
import dev.nearfield.MaintenanceReport;
import dev.nearfield.Metric;
import dev.nearfield.Placement;
import dev.nearfield.SearchRequest;
import dev.nearfield.SearchResult;
import dev.nearfield.StoredVector;
import dev.nearfield.TrainingReport;
import dev.nearfield.TrainingRequest;
import dev.nearfield.VectorBatch;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.engine.FitSample;
import dev.nearfield.internal.event.FallbackReporter;
import dev.nearfield.internal.event.IndexCounters;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.move.MoveJob;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.table.RowMask;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.table.SortedHandles;
import dev.nearfield.internal.turn.Change;
import dev.nearfield.internal.turn.Completer;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.StackRoom;
import dev.nearfield.internal.turn.Threads;
import dev.nearfield.internal.turn.Waits;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import java.util.function.LongPredicate;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The callers' side of an index: checks and copies what they give, queues it, and waits where they
 * want to.
 */
final class IndexFront implements AcceleratedVectorIndex {
  private final IndexConfig config;
  private final VectorIntake intake;
  private final IndexCounters counters;
  private final Completer completer;
  private final SlotTable slots;
  private final Elsewhere elsewhere;
  private final Mailbox mailbox;
  private final IndexActor actor;
  private final Runnable wake;
  private final AtomicBoolean released;
  private final @Nullable Duration timeout; // of calls that bring none

  private IndexFront(
      IndexConfig config,
      IndexCounters counters,
      Completer completer,
      SlotTable slots,
      Elsewhere elsewhere,
      FallbackReporter reporter) {
    this.config = config;
    this.intake = new VectorIntake(config);
    this.counters = counters;
    this.completer = completer;
    this.slots = slots;
    this.elsewhere = elsewhere;
    this.mailbox = new Mailbox(config.mailboxCapacity(), config.mailboxWaitNanos());
    this.actor = new IndexActor(config, mailbox, counters, elsewhere, reporter);
    this.wake = actor::wake;
    this.released = new AtomicBoolean();
    this.timeout = config.timeout();
  }

  /** Another view of the same index. */
  private IndexFront(IndexFront same, Duration timeout) {
    this.config = same.config;
    this.intake = same.intake;
    this.counters = same.counters;
    this.completer = same.completer;
    this.slots = same.slots;
    this.elsewhere = same.elsewhere;
    this.mailbox = same.mailbox;
    this.actor = same.actor;
    this.wake = same.wake;
    this.released = same.released;
    this.timeout = timeout;
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
      Building.run(
          owner,
          config,
          slots,
          (engine, made) -> index.actor.begin(owner, engine, placement, made));
      return index;
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

  @Override
  public AcceleratedVectorIndex withTimeout(Duration timeout) {
    return new IndexFront(this, Timeouts.positive("withTimeout", timeout));
  }

  // ---- adding

  @Override
  public VectorHandle add(float[] vector) {
    return submit(adding(vector)).await().get(0);
  }

  @Override
  public CompletableFuture<VectorHandle> addAsync(float[] vector) {
    return submitAsync(adding(vector), handles -> handles.get(0));
  }

  private Jobs.Add adding(float[] vector) {
    return new Jobs.Add("add", timeout, intake.vector("add", vector), 1);
  }

  @Override
  public VectorHandles addAll(VectorBatch vectors) {
    intake.checkDimension("addAll", vectors.dimension());
    int chunkRows = slots.chunkRows(config.dim());
    if (vectors.size() <= chunkRows) {
      float[] copy = intake.vectors("addAll", vectors);
      return submit(new Jobs.Add("addAll", timeout, copy, vectors.size())).await();
    }
    StackRoom.require();
    InsertJob job = new InsertJob(timeout, vectors.size(), config.dim(), chunkRows);
    try {
      prepare(job);
      enqueue(job);
      intake.feed(job, vectors);
      return job.await();
    } finally {
      job.free();
    }
  }

  // ---- changing and reading by handle

  @Override
  public boolean remove(VectorHandle handle) {
    return submit(removal(handle)).await() == 1;
  }

  @Override
  public CompletableFuture<Boolean> removeAsync(VectorHandle handle) {
    return submitAsync(removal(handle), removed -> removed == 1);
  }

  private Jobs.Remove removal(VectorHandle handle) {
    return new Jobs.Remove("remove", timeout, new long[] {handle.bits()});
  }

  @Override
  public int removeAll(VectorHandles handles) {
    StackRoom.require();
    SortedHandles unique = SortedHandles.ofBits(handles.toBits());
    slots.checkIssued("removeAll", unique);
    return submit(new Jobs.Remove("removeAll", timeout, unique.sortedBits())).await();
  }

  @Override
  public int removeIf(Predicate<? super VectorHandle> condition) {
    Objects.requireNonNull(condition, "condition");
    StackRoom.require();
    SortedHandles chosen = slots.select(bits -> condition.test(new VectorHandle(bits)));
    return submit(new Jobs.Remove("removeIf", timeout, chosen.sortedBits())).await();
  }

  @Override
  public Optional<VectorHandle> replace(VectorHandle handle, float[] vector) {
    return submit(replacement(handle, vector)).await();
  }

  @Override
  public CompletableFuture<Optional<VectorHandle>> replaceAsync(
      VectorHandle handle, float[] vector) {
    return submitAsync(replacement(handle, vector), Function.identity());
  }

  private Jobs.Replace replacement(VectorHandle handle, float[] vector) {
    return new Jobs.Replace(timeout, handle.bits(), intake.vector("replace", vector));
  }

  @Override
  public Optional<StoredVector> get(VectorHandle handle) {
    return submit(new Jobs.Get(timeout, handle.bits())).await();
  }

  // ---- searching

  @Override
  public SearchResult search(SearchRequest request) {
    return submit(job(request)).await();
  }

  @Override
  public CompletableFuture<SearchResult> searchAsync(SearchRequest request) {
    return submitAsync(job(request), Function.identity());
  }

  private SearchJob job(SearchRequest request) {
    intake.checkDimension("search", request.dimension());
    if (request.exact() && config.encoding() == Encoding.INT8_ONLY) {
      throw new IllegalArgumentException(
          "search: exact [true] with encoding INT8_ONLY, which keeps no vectors in 32-bit floats to scan;"
              + " search without it for the exact answers of what get() gives, or build with INT8 or F32");
    }
    float[] queries = intake.queries("search", request.queries());
    SortedHandles filter = filter(request);
    RowMask mask = filter == null ? null : RowMask.of(slots, filter, SearchJob.isKept(request));
    return new SearchJob(request, request.timeout().orElse(timeout), queries, filter, mask);
  }

  private @Nullable SortedHandles filter(SearchRequest request) {
    SortedHandles handles = (SortedHandles) request.handles().orElse(null);
    Predicate<? super VectorHandle> predicate = request.predicate().orElse(null);
    if (handles == null && predicate == null) {
      return null;
    }
    StackRoom.require(); // for the mask, too
    if (predicate == null) {
      return handles; // a handle never issued is refused when the mask is made
    }
    LongPredicate keep = bits -> predicate.test(new VectorHandle(bits));
    if (handles == null) {
      return slots.select(keep);
    }
    slots.checkIssued("search", handles);
    return handles.filter(keep);
  }

  // ---- the rest

  @Override
  public CompletableFuture<CompactionReport> compact() {
    return submitAsync(new Jobs.Compact(timeout), Function.identity());
  }

  @Override
  public CompletableFuture<TrainingReport> train(TrainingRequest request) {
    IndexSpec.Ivf spec = listed("train");
    StackRoom.require();
    FitSample data = request.vectors().map(batch -> intake.sample("train", batch)).orElse(null);
    TrainJob job = TrainJob.of(timeout, request, spec, data, completer);
    return submitAsync(job, Function.identity());
  }

  @Override
  public CompletableFuture<MaintenanceReport> maintain() {
    listed("maintain");
    return submitAsync(new MaintainJob(timeout), Function.identity());
  }

  private IndexSpec.Ivf listed(String operation) {
    if (config.spec() instanceof IndexSpec.Ivf spec) {
      return spec;
    }
    throw new IllegalArgumentException(
        operation + ": this index is flat, it has no lists; build it with IndexSpec.ivf(lists)");
  }

  @Override
  public IndexStats stats() {
    return counters.stats(mailbox.count());
  }

  @Override
  public Placement placement() {
    return actor.home().placement();
  }

  @Override
  public CompletableFuture<Placement> retryAcceleration() {
    StackRoom.require();
    long submitted = System.nanoTime();
    CompletableFuture<Placement> answer = new CompletableFuture<>();
    Threads.startVirtualForCaller( // looking for devices and opening one takes its time
        () -> {
          try {
            Elsewhere.Destination to = elsewhere.better(placement());
            if (to == null) {
              completer.run(() -> answer.complete(placement()));
              return;
            }
            MoveJob job = new MoveJob(to, timeout, submitted);
            job.toFuture(completer)
                .whenComplete(
                    (placement, failure) -> {
                      if (failure == null) {
                        answer.complete(placement);
                      } else {
                        answer.completeExceptionally(failure);
                      }
                    });
            try {
              enqueue(job);
            } catch (RuntimeException e) {
              job.fail(e); // which gives the destination up
            }
          } catch (RuntimeException | Error e) {
            completer.run(() -> answer.completeExceptionally(e));
          }
        });
    return answer;
  }

  @Override
  public boolean close(Duration drain) throws InterruptedException {
    StackRoom.require();
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
    StackRoom.require();
    prepare(job);
    if (!actor.serveHere(job)) {
      enqueue(job);
    }
    return job;
  }

  private void prepare(Request<?> job) {
    if (job instanceof Change<?> change) {
      change.onNews(wake);
    }
  }

  private void enqueue(Request<?> job) {
    job.onWithdraw(() -> mailbox.remove(job));
    mailbox.put(job);
    actor.wake();
  }

  /** Never waits; that there is no place completes the future too. */
  private <T, R> CompletableFuture<R> submitAsync(
      Request<T> job, Function<? super T, ? extends R> view) {
    StackRoom.require();
    CompletableFuture<R> future = job.toFuture(completer, view);
    try {
      prepare(job);
      job.onWithdraw(() -> mailbox.remove(job));
      mailbox.offer(job);
      actor.wake();
    } catch (RuntimeException e) {
      job.fail(e);
    }
    return future;
  }
}
