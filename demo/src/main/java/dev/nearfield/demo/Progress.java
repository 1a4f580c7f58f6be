// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.io.PrintStream;
import java.time.Duration;
import java.util.Locale;
import java.util.function.LongSupplier;

/** How far the embedding is: a bar that is redrawn on a terminal, else a line for every tenth. */
final class Progress {
  private static final int BAR_CELLS = 24;

  private final PrintStream out;
  private final boolean terminal;
  private final LongSupplier nanoTime;
  private final int first;
  private final int total;
  private final long start;
  private int lastTenth;

  /**
   * @param first done before the clock started
   */
  Progress(PrintStream out, boolean terminal, LongSupplier nanoTime, int first, int total) {
    this.out = out;
    this.terminal = terminal;
    this.nanoTime = nanoTime;
    this.first = first;
    this.total = total;
    this.start = nanoTime.getAsLong();
    this.lastTenth = tenth(first);
    if (terminal) {
      draw(first);
    } else {
      out.printf(Locale.ROOT, "Embedding %,d of %,d definitions%n", total - first, total);
    }
  }

  void update(int done) {
    if (terminal) {
      draw(done);
    } else if (tenth(done) > lastTenth) {
      lastTenth = tenth(done);
      out.printf(Locale.ROOT, "Embedded %,d of %,d%n", done, total);
    }
  }

  /** Leaves the line of the bar. */
  void close() {
    if (terminal) {
      out.println();
    }
  }

  private int tenth(int done) {
    return (int) (10L * done / total);
  }

  private void draw(int done) {
    int cells = (int) ((long) BAR_CELLS * done / total);
    double seconds = (nanoTime.getAsLong() - start) / 1e9;
    String rest = "";
    if (done > first && seconds > 0) {
      double perSecond = (done - first) / seconds;
      rest =
          "  %,.0f/s  %s left"
              .formatted(perSecond, clock(Duration.ofSeconds((long) ((total - done) / perSecond))));
    }
    // Blanks at the end wipe what a longer line left behind.
    out.printf(
        Locale.ROOT,
        "\rEmbedding [%s%s] %,d/%,d%s    ",
        "#".repeat(cells),
        ".".repeat(BAR_CELLS - cells),
        done,
        total,
        rest);
    out.flush();
  }

  private static String clock(Duration left) {
    return "%d:%02d".formatted(left.toMinutes(), left.toSecondsPart());
  }
}
