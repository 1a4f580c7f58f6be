// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.BackendKind;
import dev.nearfield.Device;
import dev.nearfield.Metric;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.EngineIndex;
import dev.nearfield.internal.value.DeviceInfo;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.concurrent.CancellationException;

/**
 * The backend without a native library: an exact flat scan on the calling thread, rows on the Java
 * heap. It refuses what the natives refuse and answers in the same canonical form.
 */
public final class JavaEngine implements Engine {
  public static final DeviceInfo DEVICE =
      new DeviceInfo(
          BackendKind.JAVA,
          0,
          "plain Java",
          "Java " + Runtime.version().feature(),
          Runtime.getRuntime().maxMemory(),
          false);

  @Override
  public Device device() {
    return DEVICE;
  }

  @Override
  public boolean supports(Metric metric) {
    return true;
  }

  @Override
  public boolean supportsCodes(Metric metric) {
    return false;
  }

  @Override
  public boolean supportsCodesAlone(Metric metric) {
    return false;
  }

  @Override
  public boolean supportsLists(Metric metric) {
    return false;
  }

  @Override
  public boolean onHost() {
    return true;
  }

  @Override
  public boolean lost() {
    return false;
  }

  @Override
  public Estimate estimate(IndexOptions options) {
    long bytes = JavaRows.bytes(options.dim(), options.capacity());
    return new Estimate(bytes, bytes);
  }

  @Override
  public EngineIndex createIndex(IndexOptions options, CallControl control) {
    if (options.coded()) {
      throw new IllegalArgumentException(
          "createIndex: encoding [" + options.encoding() + "], plain Java has no codes");
    }
    if (options.listed()) {
      throw new IllegalArgumentException(
          "createIndex: lists [" + options.lists() + "], plain Java has no lists");
    }
    return new JavaIndex(options);
  }

  @Override
  public Knn knn(Metric metric, int dim, long rows, SearchCall search) {
    return new JavaKnn(metric, dim, rows, search);
  }

  @Override
  public void quantize(QuantizeCall vectors, CallControl control) {
    JavaQuantizer.quantize(vectors, new CallClock("quantize", control));
  }

  @Override
  public KMeans kmeans(KMeansRequest request) {
    return new JavaKMeans(request);
  }

  @Override
  public long freeBytes() {
    Runtime runtime = Runtime.getRuntime();
    return runtime.maxMemory() - (runtime.totalMemory() - runtime.freeMemory());
  }

  @Override
  public void close() {}

  /** Reads the time-out and the cancel word of one call. */
  static final class CallClock {
    private final String operation;
    private final CallControl control;
    private final long start = System.nanoTime();

    CallClock(String operation, CallControl control) {
      this.operation = operation;
      this.control = control;
    }

    /** To be asked every few milliseconds of work. */
    void poll() {
      MemorySegment cancel = control.cancel();
      if (cancel != null && (int) CANCEL.getAcquire(cancel, 0L) != 0) {
        throw new CancellationException(operation + ": cancelled");
      }
      long timeout = control.timeoutNanos();
      if (timeout != 0 && System.nanoTime() - start >= timeout) {
        throw new SearchTimeoutException(
            "%s: not finished within the time-out of [%d] ns".formatted(operation, timeout));
      }
    }

    private static final VarHandle CANCEL = ValueLayout.JAVA_INT.varHandle();
  }
}
