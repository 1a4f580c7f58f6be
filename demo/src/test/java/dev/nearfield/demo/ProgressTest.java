// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class ProgressTest {
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final AtomicLong clock = new AtomicLong();

  private Progress progress(boolean terminal, int first, int total) {
    PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    return new Progress(out, terminal, clock::get, first, total);
  }

  private String text() {
    return bytes.toString(StandardCharsets.UTF_8).replace(System.lineSeparator(), "\n");
  }

  @Test
  void redrawsABarOnATerminal() {
    Progress progress = progress(true, 1000, 4000);
    clock.addAndGet(10_000_000_000L);
    progress.update(2000);
    progress.close();
    assertEquals(
        List.of(
            "",
            "Embedding [######..................] 1,000/4,000    ",
            "Embedding [############............] 2,000/4,000  100/s  0:20 left    \n"),
        List.of(text().split("\r")));
  }

  @Test
  void printsALineForEachTenthElsewhere() {
    Progress progress = progress(false, 0, 1000);
    for (int done = 50; done <= 1000; done += 50) {
      progress.update(done);
    }
    progress.close();
    List<String> lines = text().lines().toList();
    assertEquals(11, lines.size(), lines::toString);
    assertEquals("Embedding 1,000 of 1,000 definitions", lines.getFirst());
    assertEquals("Embedded 100 of 1,000", lines.get(1));
    assertEquals("Embedded 1,000 of 1,000", lines.getLast());
  }
}
