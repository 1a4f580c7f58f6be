// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import dev.nearfield.BackendUnavailableException;
import dev.nearfield.DeviceLostException;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.ErrorCode;
import dev.nearfield.IndexBusyException;
import dev.nearfield.IndexClosedException;
import dev.nearfield.NativeCallException;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.VectorIndexException;
import java.util.Objects;
import java.util.concurrent.CancellationException;

/** Failures that cross from the owner thread to a caller. */
public final class Failures {
  private Failures() {}

  /**
   * What to throw on the calling thread for a failure that was found on another: the same type and
   * message with the stack of the caller, the original as suppressed. Several requests of a batch
   * may share the original, so it is not thrown itself.
   */
  static RuntimeException onThisThread(Throwable original) {
    String message = String.valueOf(original.getMessage());
    RuntimeException here =
        switch (original) {
          case StackOverflowError e -> throw e; // always of this thread: an owner's is never deep
          case DeviceOutOfMemoryException e ->
              new DeviceOutOfMemoryException(message, e.requested(), e.free(), e.total());
          case DeviceLostException e -> new DeviceLostException(message);
          case IndexBusyException e -> new IndexBusyException(message);
          case SearchTimeoutException e -> new SearchTimeoutException(message);
          case NativeCallException e -> new NativeCallException(e.status(), e.function(), message);
          case BackendUnavailableException e when e.code() == ErrorCode.UNSUPPORTED ->
              BackendUnavailableException.unsupported(message);
          case BackendUnavailableException e ->
              new BackendUnavailableException(message, e.statuses());
          case IndexClosedException e -> new IndexClosedException(message);
          case CancellationException e -> new CancellationException(e.getMessage());
          case IllegalArgumentException e -> new IllegalArgumentException(e.getMessage(), e);
          default ->
              new VectorIndexException(
                  ErrorCode.NATIVE,
                  Objects.requireNonNullElse(original.getMessage(), original.toString()),
                  original);
        };
    if (here.getCause() == null) {
      here.addSuppressed(original);
    }
    return here;
  }
}
