// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.internal.natives.LoadException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/**
 * What the dynamic linker does not survive or not tell: a truncated library makes it touch pages
 * beyond the end of the file, which kills the process with SIGBUS, and for a file that is no
 * library the JVM prints warnings about executable stacks. So the headers are checked first.
 */
final class ElfFile {
  // Offsets in Elf64_Ehdr and Elf64_Phdr (System V ABI, chapter 4 and 5).
  private static final int HEADER_BYTES = 64;
  private static final int PHOFF = 32;
  private static final int PHENTSIZE = 54;
  private static final int PHNUM = 56;
  private static final int P_OFFSET = 8;
  private static final int P_FILESZ = 32;
  private static final int PROGRAM_HEADER_BYTES = 56;

  private ElfFile() {}

  /** Throws when {@code path} is no ELF file, or ends before its own segments do. */
  static void check(Path path) throws LoadException {
    try (FileChannel channel = FileChannel.open(path)) {
      long size = channel.size();
      ByteBuffer header = ByteBuffer.allocate(HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
      channel.read(header, 0);
      if (header.position() < HEADER_BYTES || header.getInt(0) != 0x464c457f) { // 0x7f E L F
        throw broken("it is no ELF file, as libraries are on Linux");
      }
      if (header.get(4) != 2 // 64 bits
          || header.get(5) != 1 // little-endian
          || Short.toUnsignedInt(header.getShort(PHENTSIZE)) != PROGRAM_HEADER_BYTES) {
        return; // the dynamic linker names what is foreign about it
      }
      int count = Short.toUnsignedInt(header.getShort(PHNUM));
      ByteBuffer table =
          ByteBuffer.allocate(count * PROGRAM_HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
      channel.read(table, header.getLong(PHOFF));
      long needed = header.getLong(PHOFF) + table.capacity();
      for (int at = 0; at + PROGRAM_HEADER_BYTES <= table.position(); at += PROGRAM_HEADER_BYTES) {
        needed = Math.max(needed, table.getLong(at + P_OFFSET) + table.getLong(at + P_FILESZ));
      }
      if (size < needed) {
        throw broken(
            "the file is truncated: it has [%d] bytes, its headers ask for %d"
                .formatted(size, needed));
      }
    } catch (IOException | IllegalArgumentException e) {
      throw broken("it cannot be read: " + e);
    }
  }

  private static LoadException broken(String detail) {
    return new LoadException(Reason.LOAD_FAILED, detail, LoadException.REINSTALL_HINT);
  }
}
