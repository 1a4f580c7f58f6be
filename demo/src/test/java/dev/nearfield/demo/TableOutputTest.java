// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class TableOutputTest {
  private static final Answer ANSWER =
      new Answer(
          "a device for making coffee",
          List.of(
              new Answer.Hit(
                  0.25f, 0.875f, new Definition("coffeepot", "tall pot in which coffee is brewed")),
              new Answer.Hit(
                  1.5f, 0.25f, new Definition("a word of many letters indeed", "short"))),
          "cpu:0 (Some CPU)",
          12_345,
          1.2345,
          Optional.empty());

  private static String print(Answer answer, int width) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    TableOutput output =
        new TableOutput(new PrintStream(bytes, true, StandardCharsets.UTF_8), width);
    output.print(answer);
    output.close();
    return bytes.toString(StandardCharsets.UTF_8);
  }

  @Test
  void alignsAndWraps() {
    assertEquals(
        """
        a device for making coffee
        distance  word                      definition
        --------  ------------------------  --------------------
          0.2500  coffeepot                 tall pot in which
                                            coffee is brewed
          1.5000  a word of many letters    short
                  indeed
        --------  ------------------------  --------------------
        cpu:0 (Some CPU) searched 12,345 definitions in 1.23 ms

        """,
        print(ANSWER, 56).replace(System.lineSeparator(), "\n"));
  }

  private static final Answer LISTED =
      new Answer(
          ANSWER.query(),
          ANSWER.hits(),
          ANSWER.device(),
          ANSWER.searched(),
          ANSWER.millis(),
          Optional.of(new Answer.Lists(1_234, 65_536, 0.9567, 0.9)));

  @Test
  void namesTheEstimateOfListsAnEstimate() {
    assertTrue(
        print(LISTED, 80)
            .lines()
            .toList()
            .contains("1,234 of 65,536 lists scanned; recall: estimate 0.957, measured 0.900"),
        print(LISTED, 80));
  }

  @Test
  void noLineIsWiderThanTheTerminal() {
    for (int width = 60; width < 200; width++) {
      int limit = width;
      for (Answer answer : List.of(ANSWER, LISTED)) {
        assertTrue(print(answer, width).lines().allMatch(line -> line.length() <= limit));
      }
    }
  }

  @Test
  void saysSoWhenNothingWasFound() {
    String text = print(new Answer("x", List.of(), "java:0 (JVM)", 0, 0, Optional.empty()), 80);
    assertEquals(5, text.strip().lines().count(), text);
  }

  @Test
  void wrapBreaksAtBlanksElseAnywhere() {
    assertEquals(List.of("a bc", "def"), TableOutput.wrap("a bc def", 4));
    assertEquals(List.of("abcd", "efgh", "i"), TableOutput.wrap("abcdefghi", 4));
    assertEquals(List.of(""), TableOutput.wrap("", 4));
  }
}
