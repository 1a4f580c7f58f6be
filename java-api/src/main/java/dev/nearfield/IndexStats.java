// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.Map;

/** Counters of an index at one moment: immutable, read without waiting for the device. */
public interface IndexStats {
  /** Vectors that searches can find. */
  long live();

  /** Rows of removed vectors that {@link AcceleratedVectorIndex#compact()} would reclaim. */
  long deleted();

  /** Slots ever made, in use or free: the largest number of vectors held at one time. */
  long slots();

  /** Bytes on the device: rows and the workspace, which the indexes of a device share. */
  long deviceBytes();

  /** Bytes of the slot and row tables, which are in the memory of the host, outside the heap. */
  long hostBytes();

  /** Queries answered. */
  long queries();

  /** Device batches that answered them; an empty index needs none. */
  long batches();

  /**
   * Requests that count against the mailbox's capacity: those waiting in it, and searches of more
   * queries than one device call takes until they are answered.
   */
  long queued();

  /** Compactions finished, automatic ones included. */
  long compactions();

  /** How often a fallback was decided, by reason; reasons that never occurred are absent. */
  Map<FallbackReason, Long> fallbacks();
}
