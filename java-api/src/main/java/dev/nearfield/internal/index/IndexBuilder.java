// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.AcceleratedVectorIndex;
import dev.nearfield.Acceleration;
import dev.nearfield.BackendKind;
import dev.nearfield.Device;
import dev.nearfield.Encoding;
import dev.nearfield.FallbackReason;
import dev.nearfield.IndexListener;
import dev.nearfield.IndexSpec;
import dev.nearfield.Metric;
import dev.nearfield.Placement;
import dev.nearfield.VectorBatch;
import dev.nearfield.internal.device.IndexTargets;
import dev.nearfield.internal.device.Settings;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.FitSample;
import dev.nearfield.internal.engine.VectorCheck;
import dev.nearfield.internal.event.FallbackReporter;
import dev.nearfield.internal.event.IndexCounters;
import dev.nearfield.internal.move.Elsewhere;
import dev.nearfield.internal.move.PolicyRoutes;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.table.SlotTable;
import dev.nearfield.internal.turn.Completer;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.OnDevice;
import dev.nearfield.internal.turn.Request;
import dev.nearfield.internal.turn.StackRoom;
import dev.nearfield.internal.value.PlacementInfo;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/** Checks the choices, finds a device and makes the index there. */
public final class IndexBuilder implements AcceleratedVectorIndex.Builder {
  private static final System.Logger LOG = System.getLogger(AcceleratedVectorIndex.class.getName());

  private final int dim;
  private final Metric metric;
  private Acceleration acceleration = Settings.acceleration();
  private @Nullable Device device;
  private @Nullable BackendKind backend;
  private @Nullable Engine engine;
  private Elsewhere elsewhere = Elsewhere.NOWHERE;
  private long expectedVectors;
  private long budgetBytes;
  private int maxBatch = 1024;
  private Duration maxLinger = Duration.ofMillis(5);
  private int mailboxCapacity = 1024;
  private Duration mailboxWait = Duration.ofSeconds(10);
  private @Nullable Duration timeout;
  private IndexSpec spec = IndexSpec.flat();
  private Encoding encoding = Encoding.AUTO; // if not said by the spec
  private @Nullable FitSample sample;
  private int codedFrom = IndexConfig.CODED_FROM;
  private double poincareMaxNorm;
  private double deadRatio = 0.3;
  private @Nullable IndexListener listener;
  private @Nullable Executor executor;
  private int stepRows = SlotTable.STEP;
  private @Nullable Integer firstGeneration; // null: a new one for each index

  public IndexBuilder(int dim, Metric metric) {
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
  public IndexBuilder engine(Engine engine) {
    this.engine = engine;
    return this;
  }

  /** For tests: where an index on an engine of its own may go. */
  public IndexBuilder elsewhere(Elsewhere elsewhere) {
    this.elsewhere = elsewhere;
    return this;
  }

  /** For tests: the generation that every slot starts with. */
  IndexBuilder firstGeneration(int generation) {
    this.firstGeneration = generation;
    return this;
  }

  /** For tests: as {@link SlotTable#STEP}, to have many steps of few rows. */
  public IndexBuilder stepRows(int rows) {
    this.stepRows = rows;
    return this;
  }

  /** For tests: as {@link IndexConfig#CODED_FROM}, to train with few vectors. */
  public IndexBuilder codedFrom(int vectors) {
    this.codedFrom = vectors;
    return this;
  }

  @Override
  public IndexBuilder spec(IndexSpec spec) {
    this.spec = Objects.requireNonNull(spec, "spec");
    return this;
  }

  @Override
  public IndexBuilder encoding(Encoding encoding) {
    this.encoding = Objects.requireNonNull(encoding, "encoding");
    return this;
  }

  @Override
  public IndexBuilder codesFittedTo(VectorBatch sample) {
    // Of the vectors that can be there: no other encoding takes a sample.
    VectorCheck check = new VectorCheck(metric, dim, 0).ofCodesAlone();
    this.sample = FitSample.of("codesFittedTo", sample, check);
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
  public IndexBuilder timeout(Duration timeout) {
    this.timeout = Timeouts.positive("timeout", timeout);
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
    IndexSpec chosen = chosen();
    checkEncoding(chosen);
    StackRoom.require();
    IndexCounters counters = new IndexCounters();
    Completer completer = new Completer(executor);
    FallbackReporter reporter = new FallbackReporter(counters, completer, listener);
    Engine own = engine;
    if (own != null) {
      Placement placement = new PlacementInfo(own.device(), Optional.empty(), List.of());
      return make(
          config(chosen), DeviceOwner.of(own), placement, elsewhere, counters, completer, reporter);
    }
    IndexTargets targets = IndexTargets.of(acceleration, device, backend);
    boolean named = device != null || backend != null;
    Elsewhere routes = named ? Elsewhere.NOWHERE : new PolicyRoutes(acceleration, config(chosen));
    return targets.first(
        (candidate, fallback, cause) -> {
          Placement placement = new PlacementInfo(candidate, fallback, targets.passedOver());
          IndexConfig config =
              fallback.equals(Optional.of(FallbackReason.MEMORY_BUDGET))
                  ? config(chosen).withoutBudget()
                  : config(chosen);
          AcceleratedVectorIndex index =
              OnDevice.use(
                  candidate,
                  IndexTargets::open,
                  owner -> make(config, owner, placement, routes, counters, completer, reporter));
          fallback.ifPresent(reason -> reporter.fellBack("build", placement, reason, cause));
          return index;
        });
  }

  /** The spec, with the encoding of whichever says one. */
  private IndexSpec chosen() {
    if (encoding == Encoding.AUTO || encoding == spec.encoding()) {
      return spec;
    }
    if (spec.encoding() != Encoding.AUTO) {
      throw new IllegalArgumentException(
          "build: encoding [%s] and spec [%s], they must have the same encoding or one of them AUTO"
              .formatted(encoding, spec));
    }
    return spec.withEncoding(encoding);
  }

  private void checkEncoding(IndexSpec chosen) {
    Encoding encoding = chosen.encoding();
    boolean alone = encoding == Encoding.INT8_ONLY;
    if (alone && chosen instanceof IndexSpec.Ivf ivf) {
      throw new IllegalArgumentException(
          "build: encoding [INT8_ONLY] with lists [%d], which keep their vectors in 32-bit floats;"
                  .formatted(ivf.lists())
              + " F32, INT8 and AUTO are possible");
    }
    if ((alone || encoding == Encoding.INT8) && metric == Metric.MANHATTAN) {
      throw new IllegalArgumentException(
          "build: encoding [%s] with metric MANHATTAN, whose sums no codes bound; F32 and AUTO are possible"
              .formatted(encoding));
    }
    if (alone && metric == Metric.POINCARE) {
      throw new IllegalArgumentException(
          "build: encoding [INT8_ONLY] with metric POINCARE, where codes near the boundary of the ball"
              + " stand for points outside; F32, INT8 and AUTO are possible");
    }
    if (!alone && sample != null) {
      throw new IllegalArgumentException(
          "build: codesFittedTo with encoding [%s], whose codes are fitted to the vectors by themselves;"
                  .formatted(encoding)
              + " INT8_ONLY takes a sample");
    }
  }

  private AcceleratedVectorIndex make(
      IndexConfig config,
      DeviceOwner owner,
      Placement placement,
      Elsewhere routes,
      IndexCounters counters,
      Completer completer,
      FallbackReporter reporter) {
    try {
      AcceleratedVectorIndex index =
          IndexFront.make(
              config,
              owner,
              placement,
              counters,
              completer,
              new SlotTable(firstGeneration(), stepRows),
              routes,
              reporter);
      LOG.log(
          System.Logger.Level.INFO,
          "index of {0} floats, {1}, {2}, on {3}",
          Integer.toString(dim),
          metric,
          index.placement().encoding(),
          placement.device());
      return index;
    } catch (RuntimeException | Error e) {
      owner.release();
      throw e;
    }
  }

  private int firstGeneration() {
    Integer fixed = firstGeneration;
    // Random, so that handles of one index are strangers to another; half of all generations are
    // left to every slot.
    return fixed == null ? new SecureRandom().nextInt() >>> 1 : fixed;
  }

  private IndexConfig config(IndexSpec chosen) {
    return new IndexConfig(
        dim,
        metric,
        chosen,
        sample,
        codedFrom,
        poincareMaxNorm,
        expectedVectors,
        budgetBytes,
        maxBatch,
        Request.saturatedNanos(maxLinger),
        mailboxCapacity,
        Request.saturatedNanos(mailboxWait),
        deadRatio,
        timeout);
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
