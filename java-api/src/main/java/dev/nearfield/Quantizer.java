// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.internal.index.QuantizeJob;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Vectors in fewer bits, to store or to send. The same vectors give the same bytes everywhere, on
 * every processor and without natives, too.
 *
 * <p>Calls come from any thread and wait; the work is done on the processor of this machine, in
 * short turns with the indexes there. Results are written row after row without padding, in native
 * byte order, to memory of any kind and alignment: {@code MemorySegment.ofArray(new byte[n])} for
 * instance. What a call that fails has written is undefined.
 */
public final class Quantizer {
  private Quantizer() {}

  /**
   * One byte a dimension, and a scale for each vector: {@code code * scale}, in 32-bit floats, is
   * the nearest to each number that there is. The scale is a 127th of the largest number of the
   * vector without its sign, at least 2<sup>-100</sup>.
   *
   * @param codes room for a byte from -127 to 127 for each number
   * @param scales room for a float for each vector
   * @param errors null, or room for a float for each vector: the length of what it differs by from
   *     its codes times the scale, rounded up
   * @throws IllegalArgumentException when a vector has a NaN or infinity or is longer than
   *     2<sup>62</sup>, or when there is no room
   */
  public static void int8(
      VectorBatch vectors,
      MemorySegment codes,
      MemorySegment scales,
      @Nullable MemorySegment errors) {
    QuantizeJob.int8(vectors, codes, Objects.requireNonNull(scales, "scales"), errors);
  }

  /**
   * Two bytes a dimension: the upper half of each float, rounded to the nearest, to the even one
   * where two are as near.
   *
   * @param codes room for two bytes for each number
   * @param errors null, or room for a float for each vector: the length of what it differs by from
   *     its codes, rounded up
   * @throws IllegalArgumentException as {@link #int8} does
   */
  public static void bfloat16(
      VectorBatch vectors, MemorySegment codes, @Nullable MemorySegment errors) {
    QuantizeJob.bfloat16(vectors, codes, errors);
  }
}
