// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class JsonOutputTest {
  private static String print(Answer... answers) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonOutput output = new JsonOutput(bytes)) {
      for (Answer answer : answers) {
        output.print(answer);
      }
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  @Test
  void isOneArrayOfTheDocumentedObjects() throws IOException {
    Answer answer =
        new Answer(
            "say \"naïve\"",
            List.of(new Answer.Hit(0.25f, 0.875f, new Definition("w", "a\tb"))),
            "cpu:0 (Some CPU)",
            10,
            1.23456,
            Optional.of(new Answer.Lists(3, 12, 0.95678f, 0.9)));
    assertEquals(
        """
        [ {
          "query" : "say \\"naïve\\"",
          "hits" : [ {
            "distance" : 0.25,
            "score" : 0.875,
            "word" : "w",
            "definition" : "a\\tb"
          } ],
          "device" : "cpu:0 (Some CPU)",
          "millis" : 1.235,
          "listsScanned" : 3,
          "recallEstimate" : 0.957,
          "recall" : 0.9
        }, {
          "query" : "none",
          "hits" : [ ],
          "device" : "d",
          "millis" : 0.0,
          "listsScanned" : null,
          "recallEstimate" : null,
          "recall" : null
        } ]
        """,
        print(answer, new Answer("none", List.of(), "d", 0, 0, Optional.empty()))
            .replace(System.lineSeparator(), "\n"));
  }

  @Test
  void noQueriesAreAnEmptyArray() throws IOException {
    assertEquals("[ ]", print().strip());
  }
}
