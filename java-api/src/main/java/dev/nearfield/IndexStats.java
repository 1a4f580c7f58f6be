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

  /**
   * What the device keeps: {@link Encoding#F32}, {@link Encoding#INT8} or {@link
   * Encoding#INT8_ONLY}.
   */
  Encoding encoding();

  /** Bytes of the codes, which are among {@link #deviceBytes}; 0 without. */
  long codeBytes();

  /** Lists that the vectors are in; 0 where there are none, and answers exact. */
  int lists();

  /** Whether there are lists: the index is of {@link IndexSpec.Ivf}, and was trained. */
  default boolean trained() {
    return lists() > 0;
  }

  /** Vectors in the smallest list, with those removed since the last compaction. */
  long smallestList();

  /** The same of the largest. */
  long largestList();

  /**
   * How much farther from the centroids of their lists the vectors are on average than those that
   * the lists were trained on, in squared distance and by samples: 0.1 is a tenth, from about which
   * on {@link AcceleratedVectorIndex#train()} pays. 0 where they are not farther, without lists,
   * and after a move to another device.
   */
  double drift();

  /** Bytes of the slot and row tables, which are in the memory of the host, outside the heap. */
  long hostBytes();

  /** Queries answered. */
  long queries();

  /** Those of {@link #queries} whose answer is certified ({@link SearchResult#certified}). */
  long certified();

  /**
   * The share of the codes' bytes that searches by codes read, of those there were at the time; the
   * rest was ruled out by the bytes before. NaN while there was no such search.
   */
  double codesRead();

  /** Device batches that answered them; an empty index needs none. */
  long batches();

  /**
   * Requests that count against the mailbox's capacity: those waiting in it, and searches of more
   * queries than one device call takes until they are answered.
   */
  long queued();

  /** Compactions finished, automatic ones included. */
  long compactions();

  /**
   * How often the codes were fitted, to the vectors or to a sample, and how often lists trained.
   */
  long trainings();

  /** How often a fallback was decided, by reason; reasons that never occurred are absent. */
  Map<FallbackReason, Long> fallbacks();
}
