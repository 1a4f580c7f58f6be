// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.security.SecureRandom;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/** Checks the choices, finds a device and makes the index there. */
final class IndexBuilder implements AcceleratedVectorIndex.Builder {
  private static final System.Logger LOG = System.getLogger(AcceleratedVectorIndex.class.getName());
  private static final ReentrantLock WARNED_LOCK = new ReentrantLock();
  private static final Set<FallbackReason> WARNED = EnumSet.noneOf(FallbackReason.class);

  private final int dim;
  private final Metric metric;
  private Acceleration acceleration = Settings.acceleration();
  private @Nullable Device device;
  private @Nullable BackendKind backend;
  private @Nullable Engine engine;
  private long expectedVectors;
  private long budgetBytes;
  private int maxBatch = 1024;
  private Duration maxLinger = Duration.ofMillis(5);
  private int mailboxCapacity = 1024;
  private Duration mailboxWait = Duration.ofSeconds(10);
  private double poincareMaxNorm;
  private double deadRatio = 0.3;
  private @Nullable IndexListener listener;
  private @Nullable Executor executor;
  private int firstGeneration =
      new SecureRandom().nextInt() >>> 1; // 2^31 generations are left to every slot

  IndexBuilder(int dim, Metric metric) {
    if (dim < 1 || dim > VectorCheck.MAX_DIM) {
      throw new IllegalArgumentException(
          "builder: dimension [%d], it must lie in [1, %d]".formatted(dim, VectorCheck.MAX_DIM));
    }
    this.dim = dim;
    this.metric = Objects.requireNonNull(metric, "metric");
  }

  @Override
  public IndexBuilder acceleration(Acceleration acceleration) {
    this.acceleration = Objects.requireNonNull(acceleration, "acceleration");
    return this;
  }

  @Override
  public IndexBuilder device(Device device) {
    this.device = Objects.requireNonNull(device, "device");
    return this;
  }

  @Override
  public IndexBuilder backend(BackendKind backend) {
    this.backend = Objects.requireNonNull(backend, "backend");
    return this;
  }

  /** For tests: an engine of the index's own, on an owner thread of its own, which closes it. */
  IndexBuilder engine(Engine engine) {
    this.engine = engine;
    return this;
  }

  /** For tests: the generation that every slot starts with. */
  IndexBuilder firstGeneration(int generation) {
    this.firstGeneration = generation;
    return this;
  }

  @Override
  public IndexBuilder expectedVectors(long vectors) {
    this.expectedVectors = inRange("expectedVectors", vectors, 0, Integer.MAX_VALUE);
    return this;
  }

  @Override
  public IndexBuilder deviceMemoryBudget(long bytes) {
    this.budgetBytes = inRange("deviceMemoryBudget", bytes, 1, Long.MAX_VALUE);
    return this;
  }

  @Override
  public IndexBuilder batching(int maxBatch, Duration maxLinger) {
    this.maxBatch = (int) inRange("batching: maxBatch", maxBatch, 1, 1 << 20);
    this.maxLinger = notNegative("batching: maxLinger", maxLinger);
    return this;
  }

  @Override
  public IndexBuilder mailbox(int capacity, Duration maxWait) {
    this.mailboxCapacity = (int) inRange("mailbox: capacity", capacity, 1, 1 << 20);
    this.mailboxWait = notNegative("mailbox: maxWait", maxWait);
    return this;
  }

  @Override
  public IndexBuilder listener(IndexListener listener) {
    this.listener = Objects.requireNonNull(listener, "listener");
    return this;
  }

  @Override
  public IndexBuilder executor(Executor executor) {
    this.executor = Objects.requireNonNull(executor, "executor");
    return this;
  }

  @Override
  public IndexBuilder poincareMaxNorm(double maxNorm) {
    if (!(maxNorm > 0 && maxNorm <= VectorCheck.POINCARE_LARGEST_MAX_NORM)) {
      throw new IllegalArgumentException(
          "poincareMaxNorm: [%s], it must lie in (0, %s]"
              .formatted(maxNorm, VectorCheck.POINCARE_LARGEST_MAX_NORM));
    }
    this.poincareMaxNorm = maxNorm;
    return this;
  }

  @Override
  public IndexBuilder autoCompaction(double deadRatio) {
    if (!(deadRatio > 0 && deadRatio <= 1)) {
      throw new IllegalArgumentException(
          "autoCompaction: ratio [" + deadRatio + "], it must lie in (0, 1]");
    }
    this.deadRatio = deadRatio;
    return this;
  }

  @Override
  public AcceleratedVectorIndex build() {
    IndexCounters counters = new IndexCounters();
    Completer completer = new Completer(executor);
    Engine own = engine;
    if (own != null) {
      Placement placement = new PlacementInfo(own.device(), Optional.empty(), List.of());
      return make(DeviceOwner.of(own), placement, budgetBytes, counters, completer);
    }
    IndexTargets targets = IndexTargets.of(acceleration, device, backend);
    FallbackReason reason = targets.fallback().orElse(null);
    Throwable cause = null;
    for (Device candidate : targets.devices()) {
      Placement placement =
          new PlacementInfo(candidate, Optional.ofNullable(reason), targets.passedOver());
      try {
        DeviceOwner owner = DeviceOwner.acquire(candidate, IndexTargets::open);
        // The budget is for the device the policy asks for; what was fallen back to is bound by its
        // own memory.
        AcceleratedVectorIndex index =
            make(owner, placement, reason == null ? budgetBytes : 0, counters, completer);
        report(placement, cause, counters, completer);
        return index;
      } catch (VectorIndexException e) {
        if (candidate == targets.devices().getLast()) {
          throw e;
        }
        reason =
            e instanceof DeviceOutOfMemoryException
                ? FallbackReason.MEMORY_BUDGET
                : FallbackReason.DEVICE_LOST;
        cause = e;
      }
    }
    throw new IllegalStateException("build: no candidate"); // DeviceChoice answers at least one
  }

  private AcceleratedVectorIndex make(
      DeviceOwner owner,
      Placement placement,
      long budget,
      IndexCounters counters,
      Completer completer) {
    IndexConfig config =
        new IndexConfig(
            dim,
            metric,
            poincareMaxNorm,
            expectedVectors,
            budget,
            maxBatch,
            Request.saturatedNanos(maxLinger),
            mailboxCapacity,
            Request.saturatedNanos(mailboxWait),
            deadRatio);
    try {
      return IndexFront.make(
          config, owner, placement, counters, completer, new SlotTable(firstGeneration));
    } catch (RuntimeException | Error e) {
      owner.release();
      throw e;
    }
  }

  private void report(
      Placement placement, @Nullable Throwable cause, IndexCounters counters, Completer completer) {
    LOG.log(
        System.Logger.Level.INFO,
        "index of {0} floats, {1}, on {2}",
        Integer.toString(dim),
        metric,
        placement.device());
    placement
        .fallback()
        .ifPresent(
            reason -> {
              counters.fellBack(reason);
              if (firstTime(reason)) {
                LOG.log(
                    System.Logger.Level.WARNING,
                    "{0} instead of a GPU: {1}{2}; Accelerators.report() says why",
                    placement.device(),
                    reason,
                    cause == null ? "" : " (" + cause.getMessage() + ")");
              }
              IndexListener told = listener;
              if (told != null) {
                completer.run(() -> told.onFallback("build", reason, cause));
              }
            });
  }

  private static boolean firstTime(FallbackReason reason) {
    WARNED_LOCK.lock();
    try {
      return WARNED.add(reason);
    } finally {
      WARNED_LOCK.unlock();
    }
  }

  private static long inRange(String what, long value, long least, long most) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(
          "%s: [%d], it must lie in [%d, %d]".formatted(what, value, least, most));
    }
    return value;
  }

  private static Duration notNegative(String what, Duration value) {
    if (value.isNegative()) {
      throw new IllegalArgumentException(what + ": [" + value + "], it must not be negative");
    }
    return value;
  }
}
