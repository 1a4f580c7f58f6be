// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.Metric;
import dev.nearfield.ffi.nearfield_h;

/** The number of a metric in the C ABI. */
final class MetricCode {
  private MetricCode() {}

  static int of(Metric metric) {
    return switch (metric) {
      case L2_SQUARED -> nearfield_h.NF_L2SQ();
      case COSINE -> nearfield_h.NF_COSINE();
      case DOT -> nearfield_h.NF_DOT();
      case POINCARE -> nearfield_h.NF_POINCARE();
      case MANHATTAN -> nearfield_h.NF_MANHATTAN();
    };
  }
}
