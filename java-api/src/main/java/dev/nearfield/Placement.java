// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.List;
import java.util.Optional;

/** Where an index keeps its vectors, and why not elsewhere. Immutable. */
public interface Placement {
  BackendKind backend();

  Device device();

  /**
   * What is kept there: {@link Encoding#F32}, {@link Encoding#INT8} or {@link Encoding#INT8_ONLY}.
   */
  Encoding encoding();

  /**
   * Whether an {@link IndexSpec.Ivf} has lists there once it is trained; false of a flat index, and
   * on a device without lists, where all searches are exact.
   */
  boolean listed();

  /** Why this is not where the acceleration policy asks first; empty when it is. */
  Optional<FallbackReason> fallback();

  /** When fallen back: the backends that could not be used; empty otherwise. */
  List<BackendStatus.Unavailable> whyNotAccelerated();
}
