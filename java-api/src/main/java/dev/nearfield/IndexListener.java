// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import org.jspecify.annotations.Nullable;

/**
 * Hears about decisions of an index. Called on {@link AcceleratedVectorIndex.Builder#executor},
 * never on the device's thread, possibly concurrently; may call the index again, close it, or
 * throw: a throwable is logged and dropped.
 */
@FunctionalInterface
public interface IndexListener {
  /**
   * The index was moved to, or made on, another device than its policy prefers.
   *
   * @param operation what was being done: {@code build}, {@code add}, {@code retryAcceleration}
   * @param cause the failure that led to it, if there was one
   */
  void onFallback(String operation, FallbackReason reason, @Nullable Throwable cause);
}
