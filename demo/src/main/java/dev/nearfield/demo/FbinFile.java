// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * A new .fbin file: rows and dimensions as u32, then the rows as f32, all little-endian. It appears
 * whole or not at all.
 */
final class FbinFile implements Closeable {
  static final String SUFFIX = ".fbin";

  private static final int HEADER_BYTES = 2 * Integer.BYTES;
  private static final ValueLayout.OfFloat LITTLE_ENDIAN =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path file;
  private final Path partial;
  private final int dimension;
  private final FileChannel channel;

  private FbinFile(Path file, Path partial, int dimension, FileChannel channel) {
    this.file = file;
    this.partial = partial;
    this.dimension = dimension;
    this.channel = channel;
  }

  static FbinFile create(Path file, int dimension) throws IOException {
    Path folder = file.toAbsolutePath().getParent();
    if (Files.isDirectory(file) || !Files.isDirectory(folder)) {
      throw new IOException(
          Files.isDirectory(file)
              ? "--export is '%s', which is a folder".formatted(file)
              : "--export is '%s', there is no folder %s".formatted(file, folder));
    }
    Path partial = file.resolveSibling(file.getFileName() + ".new");
    FileChannel channel =
        FileChannel.open(
            partial,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE);
    channel.position(HEADER_BYTES); // written last, when the rows are counted
    return new FbinFile(file, partial, dimension, channel);
  }

  /** {@code rows}: row-major floats in native byte order. */
  void write(MemorySegment rows) {
    ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(rows.byteSize()));
    MemorySegment.copy(
        rows,
        ValueLayout.JAVA_FLOAT_UNALIGNED,
        0,
        MemorySegment.ofBuffer(bytes),
        LITTLE_ENDIAN,
        0,
        rows.byteSize() / Float.BYTES);
    try {
      writeAll(bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Puts the file in its place.
   *
   * @return its rows
   */
  int finish() throws IOException {
    int rows = Math.toIntExact((channel.position() - HEADER_BYTES) / Float.BYTES / dimension);
    ByteBuffer header = ByteBuffer.allocate(HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    header.putInt(rows).putInt(dimension).flip();
    channel.position(0);
    writeAll(header);
    channel.close();
    Files.move(partial, file, StandardCopyOption.REPLACE_EXISTING);
    return rows;
  }

  private void writeAll(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /** Without {@link #finish}, nothing is left. */
  @Override
  public void close() throws IOException {
    channel.close();
    Files.deleteIfExists(partial);
  }
}
