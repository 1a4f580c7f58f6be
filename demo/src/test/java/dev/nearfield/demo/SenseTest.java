// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SenseTest {
  private static Sense sense(String word, Sense.Kind kind, int uses, int meanings, int relations) {
    return new Sense(new Definition(word, "what " + word + " is"), kind, uses, meanings, relations);
  }

  @Test
  void usedThingsOfOneMeaningComeFirst() {
    List<Sense> expected =
        List.of(
            sense("coffeepot", Sense.Kind.THING, 1, 1, 4),
            sense("percolator", Sense.Kind.THING, 7, 1, 2),
            sense("coffee", Sense.Kind.THING, 46, 4, 16),
            sense("joy", Sense.Kind.NOUN, 20, 1, 9),
            sense("brew", Sense.Kind.OTHER, 3, 1, 9),
            sense("teapot", Sense.Kind.THING, 0, 1, 2),
            sense("arachnophobia", Sense.Kind.NOUN, 0, 1, 1),
            sense("Brazil", Sense.Kind.OTHER, 0, 1, 38));
    List<Sense> shuffled = new ArrayList<>(expected);
    Collections.shuffle(shuffled, new Random(3));
    assertEquals(expected, shuffled.stream().sorted(Sense.ORDER).toList());
  }

  @Test
  void tiesAreSpreadAndDoNotDependOnTheOrderOfTheDictionary() {
    List<Sense> alphabetical = new ArrayList<>();
    for (char c = 'a'; c <= 'z'; c++) {
      alphabetical.add(sense(String.valueOf(c), Sense.Kind.THING, 1, 1, 1));
    }
    List<Sense> sorted = alphabetical.stream().sorted(Sense.ORDER).toList();
    List<Sense> reversed = alphabetical.reversed().stream().sorted(Sense.ORDER).toList();
    assertEquals(sorted, reversed);
    assertEquals(false, sorted.equals(alphabetical));
  }
}
