// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.zip.CRC32;

/**
 * A definition with what decides how early it is taken.
 *
 * @param kind what the word names
 * @param uses how often the sense occurs in the texts that WordNet's authors tagged
 * @param meanings how many senses the word has
 * @param relations how many other senses it is related to
 */
record Sense(Definition definition, Kind kind, int uses, int meanings, int relations) {
  /** The order is that of {@link #ORDER}. */
  enum Kind {
    /** A noun for something that can be seen or touched. */
    THING,
    /** Any other noun that is no proper name. */
    NOUN,
    /** Verbs, adjectives, adverbs, and the names of persons and places. */
    OTHER
  }

  /**
   * The order in which a limit takes definitions; it does not depend on the limit. A search by
   * meaning shows most on words that people know, so senses that occur in real texts come before
   * those that do not, and things before abstractions. Of these, words with fewest meanings first:
   * their one definition says it all. Then those with most relations: they have neighbours to be
   * told apart from. A hash breaks ties, because the order of the dictionary is by subject.
   */
  static final Comparator<Sense> ORDER =
      Comparator.comparing((Sense sense) -> sense.uses == 0)
          .thenComparing(Sense::kind)
          .thenComparingInt(Sense::meanings)
          .thenComparing(Comparator.comparingInt(Sense::relations).reversed())
          .thenComparingLong(Sense::hash)
          .thenComparing(sense -> sense.definition.word())
          .thenComparing(sense -> sense.definition.text());

  /**
   * To be raised whenever {@link #ORDER} or the text of a definition changes: caches depend on it.
   */
  static final int ORDER_VERSION = 1;

  private long hash() {
    CRC32 crc = new CRC32();
    crc.update(definition.word().getBytes(StandardCharsets.UTF_8));
    crc.update(definition.text().getBytes(StandardCharsets.UTF_8));
    return crc.getValue();
  }
}
