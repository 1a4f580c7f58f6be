// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** A table for each answer, wrapped to a width. */
final class TableOutput implements Output {
  private static final String[] HEADER = {"distance", "word", "definition"};
  private static final int GAP = 2;

  /** A longer word is wrapped; nine words in ten of WordNet are shorter. */
  private static final int MAX_WORD = 24;

  /** Narrower, nothing can be read; such terminals wrap the lines themselves. */
  private static final int MIN_DEFINITION = 20;

  private final PrintStream out;
  private final int width;

  TableOutput(PrintStream out, int width) {
    this.out = out;
    this.width = width;
  }

  @Override
  public void print(Answer answer) {
    int word = HEADER[1].length();
    for (Answer.Hit hit : answer.hits()) {
      word = Math.max(word, Math.min(MAX_WORD, hit.definition().word().length()));
    }
    int distance = HEADER[0].length();
    int definition = Math.max(MIN_DEFINITION, width - distance - word - 2 * GAP);
    out.println(answer.query());
    row(distance, word, List.of(HEADER[0]), List.of(HEADER[1]), List.of(HEADER[2]));
    rule(distance, word, definition);
    for (Answer.Hit hit : answer.hits()) {
      row(
          distance,
          word,
          List.of(String.format(Locale.ROOT, "%8.4f", hit.distance())),
          wrap(hit.definition().word(), word),
          wrap(hit.definition().text(), definition));
    }
    rule(distance, word, definition);
    out.printf(
        Locale.ROOT,
        "%s searched %,d definitions in %.2f ms%n",
        answer.device(),
        answer.searched(),
        answer.millis());
    answer.lists().ifPresent(this::lists);
    out.println();
    out.flush();
  }

  private void lists(Answer.Lists lists) {
    String text =
        String.format(
            Locale.ROOT,
            "%,d of %,d lists scanned; recall: estimate %.3f, measured %.3f",
            lists.scanned(),
            lists.all(),
            lists.recallEstimate(),
            lists.recall());
    wrap(text, width).forEach(out::println);
  }

  private void rule(int... widths) {
    List<String> rules = new ArrayList<>();
    for (int cells : widths) {
      rules.add("-".repeat(cells));
    }
    out.println(String.join(" ".repeat(GAP), rules));
  }

  /** Cells of one or more lines side by side. */
  private void row(
      int distanceWidth,
      int wordWidth,
      List<String> distance,
      List<String> word,
      List<String> definition) {
    for (int line = 0; line < Math.max(word.size(), definition.size()); line++) {
      String text =
          pad(distance, line, distanceWidth)
              + pad(word, line, wordWidth)
              + (line < definition.size() ? definition.get(line) : "");
      out.println(text.stripTrailing());
    }
  }

  private static String pad(List<String> cell, int line, int width) {
    String text = line < cell.size() ? cell.get(line) : "";
    return text + " ".repeat(width + GAP - text.length());
  }

  /** Lines of at most {@code width} characters, broken at blanks where there are any. */
  static List<String> wrap(String text, int width) {
    List<String> lines = new ArrayList<>();
    String rest = text.strip();
    while (rest.length() > width) {
      int blank = rest.lastIndexOf(' ', width);
      int end = blank > 0 ? blank : width;
      lines.add(rest.substring(0, end).stripTrailing());
      rest = rest.substring(end).strip();
    }
    lines.add(rest);
    return lines;
  }

  @Override
  public void close() {
    out.flush();
  }
}
