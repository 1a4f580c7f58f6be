// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nearfield.NativeCallException;
import dev.nearfield.ffi.nf_matrix;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.Engine.RowFilter;
import dev.nearfield.internal.engine.Engine.SearchCall;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** C cannot see the end of a segment: each size is checked before an address goes into a struct. */
class CallFrameTest {
  private final Arena arena = Arena.ofConfined();
  private final CallFrame frame = new CallFrame(CallControl.NONE);

  @AfterEach
  void free() {
    frame.close();
    arena.close();
  }

  private MemorySegment bytes(long size) {
    return arena.allocate(size, 8);
  }

  @Test
  void matrixNeedsRowsTimesColumns() {
    MemorySegment matrix = frame.matrix(bytes(24), 2, 3);
    assertEquals(2, nf_matrix.rows(matrix));
    assertEquals(3, nf_matrix.cols(matrix));
    assertEquals(12, nf_matrix.row_stride(matrix));
    assertThrows(IndexOutOfBoundsException.class, () -> frame.matrix(bytes(23), 2, 3));
    assertThrows(IndexOutOfBoundsException.class, () -> frame.matrix(bytes(24), -1, 3));
    assertThrows(ArithmeticException.class, () -> frame.matrix(bytes(24), 1L << 62, 4));
  }

  @Test
  void elementsMustBeAligned() {
    MemorySegment odd = bytes(32).asSlice(1);
    assertThrows(IllegalArgumentException.class, () -> frame.input(odd, 1, 4));
    assertThrows(IllegalArgumentException.class, () -> frame.output(odd, 1, 8));
  }

  @Test
  void resultsMustBeWritable() {
    MemorySegment readOnly = bytes(8).asReadOnly();
    assertThrows(IllegalArgumentException.class, () -> frame.output(readOnly, 1, 4));
  }

  @Test
  void heapResultsComeBackOnSuccessOnly() {
    int[] heap = {1, 2, 3};
    MemorySegment copy = frame.output(MemorySegment.ofArray(heap), 2, 4);
    copy.setAtIndex(ValueLayout.JAVA_INT, 0, 7);
    copy.setAtIndex(ValueLayout.JAVA_INT, 1, 8);
    assertThrows(NativeCallException.class, () -> frame.check(13, "nf_knn"));
    assertArrayEquals(new int[] {1, 2, 3}, heap);
    frame.check(0, "nf_knn");
    assertArrayEquals(new int[] {7, 8, 3}, heap);
  }

  @Test
  void everySegmentOfASearchIsChecked() {
    // batch 2, dim 3, k 4: queries 24 bytes, rows 64, distances 32, counts 8, filterOfQuery 8
    List<RowFilter> none = List.of();
    search(24, none, 8, 64, 32, 8).search();
    refused(search(23, none, 8, 64, 32, 8));
    refused(search(24, none, 7, 64, 32, 8));
    refused(search(24, none, 8, 63, 32, 8));
    refused(search(24, none, 8, 64, 31, 8));
    refused(search(24, none, 8, 64, 32, 7));
    search(24, List.of(new RowFilter.Bits(bytes(8), 2)), 8, 64, 32, 8).search();
    refused(search(24, List.of(new RowFilter.Bits(bytes(8), 3)), 8, 64, 32, 8));
    refused(search(24, List.of(new RowFilter.Rows(bytes(8), 2)), 8, 64, 32, 8));
  }

  private SearchStructs search(
      int queries, List<RowFilter> filters, int chosen, int rows, int distances, int counts) {
    return new SearchStructs(
        frame,
        new SearchCall(
            bytes(queries),
            2,
            4,
            filters,
            bytes(chosen),
            Float.NaN,
            bytes(rows),
            bytes(distances),
            bytes(counts)),
        3);
  }

  private static void refused(SearchStructs structs) {
    assertThrows(IndexOutOfBoundsException.class, structs::search);
  }

  @Test
  void cancelWordMustBeNative() {
    MemorySegment heap = MemorySegment.ofArray(new int[1]);
    assertThrows(IllegalArgumentException.class, () -> new CallFrame(new CallControl(0, heap)));
    assertThrows(
        IndexOutOfBoundsException.class, () -> new CallFrame(new CallControl(0, bytes(3))));
  }

  @Test
  void textStopsAtTheTerminatorOrTheEnd() {
    MemorySegment array = MemorySegment.ofArray(new byte[] {'a', (byte) 0xc3, (byte) 0xa9, 0, 'x'});
    assertEquals("aé", CallFrame.text(array));
    assertEquals("aé", CallFrame.text(array.asSlice(0, 3)));
    assertEquals("", CallFrame.textAt(MemorySegment.NULL));
  }
}
