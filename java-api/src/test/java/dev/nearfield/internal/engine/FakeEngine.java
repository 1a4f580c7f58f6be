// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.engine;

import dev.nearfield.Device;
import dev.nearfield.DeviceLostException;
import dev.nearfield.Metric;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.value.DeviceInfo;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The plain-Java engine with a gate in front of every call, a log of the calls, and faults on
 * demand. A call that waits at the closed gate watches its cancel word and time-out, as a device
 * does between dispatches.
 */
public final class FakeEngine implements Engine {
  private static final VarHandle WORD = ValueLayout.JAVA_INT.varHandle();

  public record Call(String operation, int batch, int k, int filters, Thread thread) {}

  public final List<Call> calls = new CopyOnWriteArrayList<>();

  /** What codes were fitted to, a step each. */
  public final List<FitSample> fittedTo = new CopyOnWriteArrayList<>();

  /** What searches asked for, in order; their segments are used again. */
  public final List<SearchCall> searches = new CopyOnWriteArrayList<>();

  public final AtomicInteger indexesClosed = new AtomicInteger();
  public final AtomicInteger closed = new AtomicInteger();

  /** Failures for the next calls of {@link #failing}, in order. */
  public final Queue<Throwable> failures = new ConcurrentLinkedQueue<>();

  /** Operations, separated by commas. */
  public volatile String failing = "none";

  public volatile long freeBytes = Long.MAX_VALUE;

  /** Off at first: a call at the gate is not brief, and callers that run it would hang there. */
  public volatile boolean onHost;

  /** Indexes may have codes; their rows are those of plain Java all the same. */
  public volatile boolean codes;

  /** Indexes may have codes alone. Vectors are rounded to halves then, as codes would. */
  public volatile boolean codesAlone;

  /** Indexes may have lists; they are searched as if they had none. */
  public volatile boolean lists;

  /** What lists were trained by, a step each, and those that were written. */
  public final List<EngineIndex.Training> listTrainings = new CopyOnWriteArrayList<>();

  public final List<EngineIndex.Lists> listsWritten = new CopyOnWriteArrayList<>();

  /** Steps that a training takes. */
  public volatile int trainSteps = 3;

  public volatile double drift;

  /** What indexes say of theirs, but for bytes. */
  public volatile double loosening;

  /** Cancel words are not read. */
  public volatile boolean deaf;

  /**
   * Slices that a compaction takes, for tests of what happens in between; 0: as many as the engine
   * likes.
   */
  public volatile int compactSlices;

  /** Rows that a step of a stateless search takes; 0: as many as the engine likes. */
  public volatile int knnRows;

  public final AtomicInteger knnsClosed = new AtomicInteger();

  private volatile boolean lost;
  private final JavaEngine real = new JavaEngine();
  private final DeviceInfo device;
  private final Semaphore waiting = new Semaphore(0);
  private volatile String gated = "none";
  private final Semaphore gate = new Semaphore(0);

  public FakeEngine() {
    this(JavaEngine.DEVICE);
  }

  public FakeEngine(DeviceInfo device) {
    this.device = device;
  }

  /** Calls of that operation wait from now on, each for one {@link #release}. */
  public void hold(String operation) {
    gated = operation;
  }

  /** Waits until a call stands at the gate. */
  public void awaitHeld() {
    try {
      if (!waiting.tryAcquire(20, TimeUnit.SECONDS)) {
        throw new AssertionError("no call of [" + gated + "] arrived, got " + calls);
      }
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  /** Whether a call stands at the gate before that is done; waits for the one or the other. */
  public boolean heldBefore(Future<?> future) throws InterruptedException {
    while (!future.isDone()) {
      if (waiting.tryAcquire(10, TimeUnit.MILLISECONDS)) {
        return true;
      }
    }
    return false;
  }

  /** Lets one held call go. */
  public void release() {
    gate.release();
  }

  /** Opens the gate for good. */
  public void open() {
    gated = "none";
    gate.release();
  }

  public long count(String operation) {
    return calls.stream().filter(call -> call.operation.equals(operation)).count();
  }

  public Call last(String operation) {
    return calls.stream().filter(call -> call.operation.equals(operation)).toList().getLast();
  }

  void enter(String operation, int batch, int k, int filters, CallControl control) {
    calls.add(new Call(operation, batch, k, filters, Thread.currentThread()));
    if (gated.equals(operation)) {
      waiting.release();
      hang(operation, control);
    }
    failIfWanted(operation);
  }

  void failIfWanted(String operation) {
    if (List.of(failing.split(",")).contains(operation)) {
      Throwable failure = failures.poll();
      lost |= failure instanceof DeviceLostException;
      if (failure instanceof RuntimeException e) {
        throw e;
      }
      if (failure instanceof Error e) {
        throw e;
      }
    }
  }

  CallControl heard(CallControl control) {
    return deaf ? CallControl.NONE : control;
  }

  private void hang(String operation, CallControl control) {
    long start = System.nanoTime();
    while (!tryGate()) {
      MemorySegment cancel = control.cancel();
      if (!deaf && cancel != null && (int) WORD.getVolatile(cancel, 0L) != 0) {
        throw new CancellationException(operation + ": cancelled");
      }
      if (control.timeoutNanos() != 0 && System.nanoTime() - start > control.timeoutNanos()) {
        throw new SearchTimeoutException(operation + ": device time-out");
      }
    }
  }

  private boolean tryGate() {
    boolean interrupted = onHost && Thread.interrupted(); // which a native call does not notice
    try {
      return gate.tryAcquire(1, TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      if (!onHost) {
        throw new AssertionError("the owner thread was interrupted", e);
      }
      interrupted = true;
      return false;
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public boolean supports(Metric metric) {
    return true;
  }

  @Override
  public boolean supportsCodes(Metric metric) {
    return codes && metric != Metric.MANHATTAN;
  }

  @Override
  public boolean supportsCodesAlone(Metric metric) {
    return codesAlone && metric != Metric.MANHATTAN && metric != Metric.POINCARE;
  }

  @Override
  public boolean supportsLists(Metric metric) {
    return lists && metric != Metric.MANHATTAN;
  }

  @Override
  public boolean onHost() {
    return onHost;
  }

  @Override
  public boolean lost() {
    return lost;
  }

  @Override
  public Estimate estimate(IndexOptions options) {
    Estimate rows = real.estimate(options);
    return switch (options.encoding()) {
      case INT8 -> new Estimate(rows.peakBytes() * 5 / 4, rows.bytes() * 5 / 4);
      case INT8_ONLY -> new Estimate(rows.peakBytes() / 4, rows.bytes() / 4);
      default -> rows;
    };
  }

  @Override
  public EngineIndex createIndex(IndexOptions options, CallControl control) {
    String kind = options.codesAlone() ? "createAlone" : "createCoded";
    enter(options.coded() ? kind : "create", 0, 0, 0, control);
    IndexOptions plain =
        new IndexOptions(
            options.dim(),
            options.metric(),
            options.capacity(),
            options.memoryLimitBytes(),
            options.poincareMaxNorm());
    return new FakeIndex(this, real.createIndex(plain, control), options);
  }

  @Override
  public Knn knn(Metric metric, int dim, long rows, SearchCall search) {
    enter("knn", search.batch(), search.k(), search.filters().size(), CallControl.NONE);
    return new FakeKnn(real.knn(metric, dim, rows, search));
  }

  @Override
  public void quantize(QuantizeCall vectors, CallControl control) {
    enter("quantize", vectors.rows(), 0, 0, control);
    real.quantize(vectors, heard(control));
  }

  @Override
  public KMeans kmeans(KMeansRequest request) {
    enter("kmeans", request.rows(), request.clusters(), 0, CallControl.NONE);
    return real.kmeans(request);
  }

  @Override
  public long freeBytes() {
    return freeBytes;
  }

  @Override
  public void close() {
    closed.incrementAndGet();
  }

  private final class FakeKnn implements Knn {
    private final Knn knn;

    FakeKnn(Knn knn) {
      this.knn = knn;
    }

    @Override
    public long position() {
      return knn.position();
    }

    @Override
    public boolean step(MemorySegment piece, long count, long budgetNanos, CallControl control) {
      enter("knnStep", (int) count, 0, 0, control);
      return knnRows == 0
          ? knn.step(piece, count, budgetNanos, heard(control))
          : knn.step(piece, Math.min(count, knnRows), 0, heard(control));
    }

    @Override
    public void close() {
      knnsClosed.incrementAndGet();
      enter("knnClose", 0, 0, 0, CallControl.NONE);
      knn.close();
    }
  }
}
