// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.internal.engine.Engine.QuantizeCall;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** What {@code nf_quantize} does, to the last bit. */
final class JavaQuantizer {
  /** The least of {@code nf_quantize}, far from where a reciprocal overflows. */
  private static final float LEAST_SCALE = 0x1p-100f;

  /** Rows between two looks at the clock are about that many floats: a millisecond. */
  private static final int POLL_FLOATS = 1 << 18;

  private static final int LARGEST_CODE = 127;

  private JavaQuantizer() {}

  static void quantize(QuantizeCall call, JavaEngine.CallClock clock) {
    float[] row = new float[call.dim()];
    int pollRows = Math.max(1, POLL_FLOATS / call.dim());
    for (int i = 0; i < call.rows(); i++) {
      if (i % pollRows == 0) {
        clock.poll();
      }
      MemorySegment.copy(
          call.vectors(),
          ValueLayout.JAVA_FLOAT_UNALIGNED,
          (long) i * row.length * Float.BYTES,
          row,
          0,
          row.length);
      double squared = call.int8() ? int8(call, i, row) : bfloat16(call, i, row);
      MemorySegment errors = call.errors();
      if (errors != null) {
        errors.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, i, error(squared, row.length));
      }
    }
  }

  private static double int8(QuantizeCall call, int i, float[] row) {
    float largest = 0;
    for (float x : row) {
      largest = Math.max(largest, Math.abs(x));
    }
    float scale = Math.max(largest / LARGEST_CODE, LEAST_SCALE);
    float reciprocal = 1 / scale;
    double squared = 0;
    long at = (long) i * row.length;
    for (float x : row) {
      int code = Math.clamp((int) Math.rint(x * reciprocal), -LARGEST_CODE, LARGEST_CODE);
      call.codes().set(ValueLayout.JAVA_BYTE, at++, (byte) code);
      double off = (double) x - code * scale;
      squared += off * off;
    }
    MemorySegment scales = call.scales();
    if (scales != null) {
      scales.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, i, scale);
    }
    return squared;
  }

  private static double bfloat16(QuantizeCall call, int i, float[] row) {
    double squared = 0;
    long at = (long) i * row.length;
    for (float x : row) {
      int bits = Float.floatToRawIntBits(x);
      int upper = (bits + 0x7fff + (bits >>> 16 & 1)) >>> 16;
      call.codes().setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, at++, (short) upper);
      double off = (double) x - Float.intBitsToFloat(upper << 16);
      squared += off * off;
    }
    return squared;
  }

  /** The root of a sum of squares in f64, each rounded: up by all those roundings, then to f32. */
  private static float error(double squared, int dim) {
    double error = Math.sqrt(squared) * (1 + (dim + 4) * 0x1p-52);
    float near = (float) error;
    return near < error ? Math.nextUp(near) : near;
  }
}
