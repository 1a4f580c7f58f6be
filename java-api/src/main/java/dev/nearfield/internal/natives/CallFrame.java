// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import dev.nearfield.ffi.nearfield_h;
import dev.nearfield.ffi.nf_call;
import dev.nearfield.ffi.nf_error;
import dev.nearfield.ffi.nf_matrix;
import dev.nearfield.internal.engine.Engine.CallControl;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.LongFunction;
import java.util.function.Supplier;

/**
 * The scratch memory of one native call, confined to its thread: {@code nf_call}, {@code nf_error}
 * and the request structs. Every address in a struct comes from here, checked for size and
 * alignment. Heap segments have no address: they are copied in, and after a successful call copied
 * back by {@link #check}.
 */
final class CallFrame implements AutoCloseable {
  /**
   * A library name or description is a short line; a missing terminator must not be searched for
   * ever.
   */
  private static final int LONGEST_TEXT = 4096;

  private record CopyBack(MemorySegment from, MemorySegment to) {}

  private final Arena arena = Arena.ofConfined();
  private final MemorySegment call;
  private final MemorySegment error;
  private final List<CopyBack> copies = new ArrayList<>();

  CallFrame(CallControl control) {
    error = struct(nf_error.layout());
    call = struct(nf_call.layout());
    nf_call.timeout_ns(call, control.timeoutNanos());
    nf_call.error(call, error);
    MemorySegment cancel = control.cancel();
    if (cancel != null) {
      try {
        nf_call.cancel(call, checkedCancelWord(cancel));
      } catch (RuntimeException e) {
        arena.close();
        throw e;
      }
    }
  }

  /** A copy would never see the caller set it. */
  private static MemorySegment checkedCancelWord(MemorySegment word) {
    if (!word.isNative()) {
      throw new IllegalArgumentException("CallFrame: the cancel word is not in native memory");
    }
    return checked(word, 1, Integer.BYTES);
  }

  MemorySegment call() {
    return call;
  }

  /** The words where the call says how far it is: phase, rows done, rows in all. */
  MemorySegment progress() {
    MemorySegment words = room(ValueLayout.JAVA_LONG, 3);
    nf_call.progress(call, words);
    return words;
  }

  /** A zeroed struct whose first word, {@code struct_size}, is set. */
  MemorySegment struct(MemoryLayout layout) {
    MemorySegment struct = arena.allocate(layout);
    struct.set(ValueLayout.JAVA_INT, 0, Math.toIntExact(layout.byteSize()));
    return struct;
  }

  /** Zeroed room for {@code count} values. */
  MemorySegment room(ValueLayout layout, long count) {
    return arena.allocate(layout, count);
  }

  /** {@code count} elements that the call reads. */
  MemorySegment input(MemorySegment segment, long count, int elementBytes) {
    MemorySegment checked = checked(segment, count, elementBytes);
    return checked.isNative()
        ? checked
        : arena.allocate(checked.byteSize(), elementBytes).copyFrom(checked);
  }

  /** {@code count} elements that the call writes. */
  MemorySegment output(MemorySegment segment, long count, int elementBytes) {
    MemorySegment checked = checked(segment, count, elementBytes);
    if (checked.isReadOnly()) {
      throw new IllegalArgumentException("CallFrame: the result segment is read-only");
    }
    if (checked.isNative()) {
      return checked;
    }
    MemorySegment copy = arena.allocate(checked.byteSize(), elementBytes);
    copies.add(new CopyBack(copy, checked));
    return copy;
  }

  private static MemorySegment checked(MemorySegment segment, long count, int elementBytes) {
    long bytes = Math.multiplyExact(count, elementBytes);
    Objects.checkFromIndexSize(0, bytes, segment.byteSize());
    if (segment.isNative() && segment.address() % elementBytes != 0) {
      throw new IllegalArgumentException(
          "CallFrame: segment at address [%#x], its elements need an alignment of %d"
              .formatted(segment.address(), elementBytes));
    }
    return segment.asSlice(0, bytes);
  }

  /** An {@code nf_matrix} of f32 without padding that the call reads. */
  MemorySegment matrix(MemorySegment floats, long rows, long cols) {
    return matrix(
        count -> input(floats, count, Float.BYTES), nearfield_h.NF_F32(), Float.BYTES, rows, cols);
  }

  /** The same, written by the call. */
  MemorySegment matrixOut(MemorySegment floats, long rows, long cols) {
    return matrix(
        count -> output(floats, count, Float.BYTES), nearfield_h.NF_F32(), Float.BYTES, rows, cols);
  }

  /** The same of bytes, or of 16 bits. */
  MemorySegment codesOut(MemorySegment codes, boolean int8, long rows, long cols) {
    int size = int8 ? Byte.BYTES : Short.BYTES;
    int type = int8 ? nearfield_h.NF_I8() : nearfield_h.NF_BF16();
    return matrix(count -> output(codes, count, size), type, size, rows, cols);
  }

  private MemorySegment matrix(
      LongFunction<MemorySegment> data, int type, int elementBytes, long rows, long cols) {
    MemorySegment matrix = struct(nf_matrix.layout());
    nf_matrix.dtype(matrix, type);
    nf_matrix.data(matrix, data.apply(Math.multiplyExact(rows, cols)));
    nf_matrix.rows(matrix, rows);
    nf_matrix.cols(matrix, cols);
    nf_matrix.row_stride(matrix, cols * elementBytes);
    return matrix;
  }

  /**
   * Throws what {@code status} stands for; after a success, completes the results in heap memory.
   */
  void check(int status, String function) {
    check(status, function, () -> NativeErrors.Memory.UNKNOWN);
  }

  /** {@code memory} is asked only when there was not enough of it. */
  void check(int status, String function, Supplier<NativeErrors.Memory> memory) {
    if (status != nearfield_h.NF_OK()) {
      throw NativeErrors.of(status, function, message(status, function), memory);
    }
    for (CopyBack copy : copies) {
      copy.to().copyFrom(copy.from());
    }
  }

  /** What the library says, or at least which function failed how. */
  String message(int status, String function) {
    String message = text(nf_error.message(error));
    return message.isEmpty() ? function + ": status [" + status + "] without a message" : message;
  }

  /** The status in the library's own description of the last call; NF_OK where it left none. */
  int describedStatus() {
    return nf_error.status(error);
  }

  /** The text in that description; empty where there is none. */
  String description() {
    return text(nf_error.message(error));
  }

  /** UTF-8 in an array of fixed size, which a careless library may have filled to the last byte. */
  static String text(MemorySegment array) {
    long length = 0;
    while (length < array.byteSize() && array.get(ValueLayout.JAVA_BYTE, length) != 0) {
      length++;
    }
    return new String(
        array.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
  }

  /** A NUL-terminated string of the library; empty for NULL. */
  @SuppressWarnings("restricted")
  static String textAt(MemorySegment address) {
    return address.equals(MemorySegment.NULL) ? "" : text(address.reinterpret(LONGEST_TEXT));
  }

  @Override
  public void close() {
    arena.close();
  }
}
