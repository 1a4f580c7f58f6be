// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.KMeans;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.turn.DeviceOwner;
import dev.nearfield.internal.turn.StackRoom;
import dev.nearfield.internal.turn.SteppedCall;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * One clustering on one device, in turn with the indexes there. Once it has ended the device no
 * longer touches the request's memory.
 */
final class KMeansCall extends SteppedCall<KMeansCall.Times> {
  /** Until the first step, and from there to the end of the last. */
  record Times(Duration queued, Duration executed) {}

  private final Engine.KMeansRequest request;
  private final KMeans.@Nullable ProgressListener listener;
  private volatile KMeans.@Nullable Progress progress;
  private KMeans.@Nullable Progress told; // on the caller's thread
  private Engine.@Nullable KMeans kmeans; // this and below in a turn
  private long startedNanos;

  private KMeansCall(
      DeviceOwner owner,
      String operation,
      Engine.KMeansRequest request,
      KMeans.@Nullable ProgressListener listener,
      @Nullable Duration timeout) {
    super(owner, operation, timeout);
    this.request = request;
    this.listener = listener;
  }

  /** Waits until the outputs are written. */
  static Times run(
      DeviceOwner owner,
      String operation,
      Engine.KMeansRequest request,
      KMeans.@Nullable ProgressListener listener,
      @Nullable Duration timeout) {
    StackRoom.require();
    KMeansCall call = new KMeansCall(owner, operation, request, listener, timeout);
    call.ready();
    Times times = call.await();
    call.tell();
    return times;
  }

  /** On the caller's thread, where code of the user belongs. */
  @Override
  protected void onWake() {
    tell();
  }

  private void tell() {
    KMeans.Progress now = progress;
    if (listener != null && now != null && now != told) {
      told = now;
      listener.onProgress(now);
    }
  }

  @Override
  protected long step(Engine engine, Engine.CallControl control, long untilNanos) {
    checkWanted();
    Engine.KMeans running = kmeans;
    if (running == null) {
      startedNanos = System.nanoTime();
      running = engine.kmeans(request);
      kmeans = running;
    }
    boolean done = running.step(Math.max(1, untilNanos - System.nanoTime()), control);
    if (listener != null) {
      progress = new KMeans.Progress(running.done(), running.total());
      wakeWaiter();
    }
    if (!done) {
      return DeviceOwner.AGAIN;
    }
    close();
    succeed(
        new Times(
            Duration.ofNanos(startedNanos - submittedNanos()),
            Duration.ofNanos(System.nanoTime() - startedNanos)));
    return DeviceOwner.IDLE;
  }

  @Override
  protected void close() {
    Engine.KMeans open = kmeans;
    kmeans = null;
    if (open != null) {
      open.close();
    }
  }
}
