// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** What the program is connected to. */
final class Terminal {
  static final int INPUT = 0;
  static final int OUTPUT = 1;
  static final int ERROR = 2;

  /** Where nothing tells: what terminals have had since punched cards. */
  static final int DEFAULT_WIDTH = 80;

  private Terminal() {}

  /**
   * Whether the descriptor is a terminal. {@link java.io.Console} only tells it of input and output
   * together. False where the C library has no such function.
   */
  static boolean is(int descriptor) {
    Linker linker = Linker.nativeLinker();
    Optional<MemorySegment> isatty =
        linker.defaultLookup().find("isatty").or(() -> linker.defaultLookup().find("_isatty"));
    if (isatty.isEmpty()) {
      return false;
    }
    MethodHandle call =
        linker.downcallHandle(
            isatty.get(), FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
    try {
      return (int) call.invokeExact(descriptor) != 0;
    } catch (Throwable e) {
      throw new AssertionError("isatty throws nothing", e);
    }
  }

  /** Columns: those of the environment, else of the controlling terminal. */
  static int width() {
    return columns(System.getenv("COLUMNS")).or(Terminal::askTerminal).orElse(DEFAULT_WIDTH);
  }

  private static Optional<Integer> askTerminal() {
    try {
      Process stty =
          new ProcessBuilder("sh", "-c", "stty size </dev/tty")
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      String size = new String(stty.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
      stty.waitFor(1, TimeUnit.SECONDS);
      String[] rowsAndColumns = size.strip().split(" ");
      return columns(rowsAndColumns[rowsAndColumns.length - 1]);
    } catch (IOException e) {
      return Optional.empty(); // no shell here: Windows
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Optional.empty();
    }
  }

  private static Optional<Integer> columns(@Nullable String text) {
    try {
      return Optional.ofNullable(text).map(Integer::valueOf).filter(columns -> columns > 0);
    } catch (NumberFormatException e) {
      return Optional.empty();
    }
  }
}
