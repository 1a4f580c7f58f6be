// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntSupplier;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * Definitions and their vectors in one file that only grows. The order of the definitions is fixed
 * by the key, so a larger limit reuses what a smaller one embedded, and a run that is interrupted
 * loses no more than the chunk it was at.
 *
 * <p>The file is a row of blocks: length, CRC-32C, payload. The first block holds the key and the
 * size of the dictionary, each other one a chunk: count, vectors as big-endian floats, words and
 * texts. A first block that is not the expected one starts the file anew; the first damaged chunk
 * and all behind it are cut off. One process at a time may have a cache open, under a lock file.
 */
final class EmbeddingCache implements Closeable {
  /** Receives a run of definitions with their vectors, row-major floats in native byte order. */
  interface Sink {
    void accept(List<Definition> definitions, MemorySegment vectors);
  }

  private static final int FORMAT = 1;

  /** Length and checksum. */
  private static final int PREFIX_BYTES = 2 * Integer.BYTES;

  /** No block is longer: a damaged length must not become a huge allocation. */
  private static final int MAX_BLOCK_BYTES = 64 << 20;

  private final int dimension;
  private final int total;
  private final FileChannel lock;
  private final FileChannel channel;

  private EmbeddingCache(int dimension, int total, FileChannel lock, FileChannel channel) {
    this.dimension = dimension;
    this.total = total;
    this.lock = lock;
    this.channel = channel;
  }

  /**
   * Opens the file or starts it anew; waits while another process has it open.
   *
   * @param key everything that the definitions, their order and their vectors depend on
   * @param dictionarySize asked only when the file is started anew
   * @param waiting called once when another process has it open
   */
  static EmbeddingCache open(
      Path file, String key, int dimension, IntSupplier dictionarySize, Runnable waiting)
      throws IOException {
    Files.createDirectories(file.toAbsolutePath().getParent());
    FileChannel lock =
        FileChannel.open(
            file.resolveSibling(file.getFileName() + ".lock"),
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE);
    try {
      if (lock.tryLock() == null) {
        waiting.run();
        lock.lock();
      }
      String fullKey = "nearfield-demo %d, %d floats, %s".formatted(FORMAT, dimension, key);
      int total = Files.exists(file) ? readHeader(file, fullKey) : -1;
      if (total < 0) {
        total = dictionarySize.getAsInt();
        writeHeader(file, fullKey, total);
      }
      FileChannel channel =
          FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
      readBlock(channel); // the header: chunks follow
      return new EmbeddingCache(dimension, total, lock, channel);
    } catch (IOException | RuntimeException e) {
      lock.close();
      throw e;
    }
  }

  /** Definitions in the whole dictionary, cached or not. */
  int dictionarySize() {
    return total;
  }

  /**
   * Hands over what the file has, up to {@code limit} definitions, and stands behind it. To be
   * called once, before {@link #append}.
   *
   * @return how many were handed over
   */
  int read(int limit, Sink sink) throws IOException {
    int done = 0;
    while (done < limit) {
      long start = channel.position();
      byte[] block = readBlock(channel);
      Chunk chunk = block == null ? null : decode(block);
      if (chunk == null) {
        channel.truncate(start);
        channel.position(start);
        break;
      }
      int count = Math.min(limit - done, chunk.definitions.size());
      sink.accept(
          chunk.definitions.subList(0, count),
          MemorySegment.ofArray(chunk.vectors).asSlice(0, 4L * count * dimension));
      done += count;
    }
    return done;
  }

  /** Adds one chunk behind what {@link #read} handed over; {@code vectors} is row-major. */
  void append(List<Definition> definitions, float[] vectors) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    out.writeInt(definitions.size());
    ByteBuffer floats = ByteBuffer.allocate(vectors.length * Float.BYTES);
    floats.asFloatBuffer().put(vectors);
    out.write(floats.array());
    for (Definition definition : definitions) {
      out.writeUTF(definition.word());
      out.writeUTF(definition.text());
    }
    writeBlock(channel, bytes.toByteArray());
  }

  @Override
  public void close() throws IOException {
    try (lock) {
      channel.close();
    }
  }

  private record Chunk(List<Definition> definitions, float[] vectors) {}

  /** Null when the block is no chunk, although its checksum is right. */
  private @Nullable Chunk decode(byte[] block) {
    try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(block))) {
      int count = in.readInt();
      if (count < 1 || (long) count * dimension * Float.BYTES > block.length) {
        return null;
      }
      float[] vectors = new float[count * dimension];
      ByteBuffer.wrap(in.readNBytes(vectors.length * Float.BYTES)).asFloatBuffer().get(vectors);
      List<Definition> definitions = new ArrayList<>(count);
      for (int i = 0; i < count; i++) {
        definitions.add(new Definition(in.readUTF(), in.readUTF()));
      }
      return new Chunk(definitions, vectors);
    } catch (IOException e) {
      return null;
    }
  }

  /** The size of the dictionary, or -1 when the file is not of this key. */
  private static int readHeader(Path file, String key) throws IOException {
    try (FileChannel channel = FileChannel.open(file)) {
      byte[] block = readBlock(channel);
      if (block == null) {
        return -1;
      }
      ByteBuffer header = ByteBuffer.wrap(block);
      byte[] expected = key.getBytes(StandardCharsets.UTF_8);
      if (block.length != Integer.BYTES + expected.length) {
        return -1;
      }
      int total = header.getInt();
      return header.equals(ByteBuffer.wrap(expected)) ? total : -1;
    }
  }

  /** In a file of its own that is then moved into place: no reader meets half a header. */
  private static void writeHeader(Path file, String key, int total) throws IOException {
    byte[] text = key.getBytes(StandardCharsets.UTF_8);
    Path fresh = file.resolveSibling(file.getFileName() + ".new");
    try (FileChannel channel =
        FileChannel.open(
            fresh,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      writeBlock(
          channel,
          ByteBuffer.allocate(Integer.BYTES + text.length).putInt(total).put(text).array());
    }
    Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /** The next payload, or null at the end and when it is damaged. */
  private static byte @Nullable [] readBlock(FileChannel channel) throws IOException {
    ByteBuffer prefix = ByteBuffer.allocate(PREFIX_BYTES);
    if (!fill(channel, prefix)) {
      return null;
    }
    int length = prefix.getInt();
    if (length < 0 || length > MAX_BLOCK_BYTES) {
      return null;
    }
    ByteBuffer payload = ByteBuffer.allocate(length);
    return fill(channel, payload) && checksum(payload.array()) == prefix.getInt()
        ? payload.array()
        : null;
  }

  private static boolean fill(FileChannel channel, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      if (channel.read(buffer) < 0) {
        return false;
      }
    }
    buffer.flip();
    return true;
  }

  private static void writeBlock(FileChannel channel, byte[] payload) throws IOException {
    ByteBuffer block = ByteBuffer.allocate(PREFIX_BYTES + payload.length);
    block.putInt(payload.length).putInt(checksum(payload)).put(payload).flip();
    while (block.hasRemaining()) {
      channel.write(block);
    }
  }

  private static int checksum(byte[] bytes) {
    CRC32C crc = new CRC32C();
    crc.update(bytes);
    return (int) crc.getValue();
  }
}
