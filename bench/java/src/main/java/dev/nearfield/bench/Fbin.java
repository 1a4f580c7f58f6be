// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import dev.nearfield.VectorBatch;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Rows of an .fbin file (bench/README.md) in native memory, until it is closed. */
final class Fbin implements AutoCloseable {
  private static final int HEADER_BYTES = 8;
  private static final ValueLayout.OfInt WORD =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  final int rows;
  final int dim;
  private final Arena arena;
  private final MemorySegment values;

  private Fbin(int rows, int dim, Arena arena, MemorySegment values) {
    this.rows = rows;
    this.dim = dim;
    this.arena = arena;
    this.values = values;
  }

  /**
   * Copies the file: pages of a mapped file would be read in the midst of what is timed.
   *
   * @throws IOException when it cannot be read or is no such file
   */
  static Fbin read(Path file) throws IOException {
    Arena arena = Arena.ofShared();
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
        Arena mapping = Arena.ofConfined()) {
      MemorySegment all = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), mapping);
      long rows = all.byteSize() < HEADER_BYTES ? 0 : Integer.toUnsignedLong(all.get(WORD, 0));
      long dim = rows == 0 ? 0 : Integer.toUnsignedLong(all.get(WORD, Integer.BYTES));
      if (rows < 1
          || rows > Integer.MAX_VALUE
          || dim < 1
          || dim > Integer.MAX_VALUE
          || (all.byteSize() - HEADER_BYTES) / Float.BYTES / dim != rows
          || (all.byteSize() - HEADER_BYTES) % (dim * Float.BYTES) != 0) {
        throw new IOException(
            "%s: [%d] bytes are no .fbin file of [%d] rows of [%d] floats"
                .formatted(file, all.byteSize(), rows, dim));
      }
      MemorySegment values = arena.allocate(rows * dim * Float.BYTES, 64);
      values.copyFrom(all.asSlice(HEADER_BYTES));
      return new Fbin((int) rows, (int) dim, arena, values);
    } catch (IOException | RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  VectorBatch batch(int first, int count) {
    long rowBytes = (long) dim * Float.BYTES;
    return VectorBatch.of(values.asSlice(first * rowBytes, count * rowBytes), count, dim, rowBytes);
  }

  @Override
  public void close() {
    arena.close();
  }
}
