// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** A made-up dictionary, and an embedder that needs no model. */
final class Texts {
  private Texts() {}

  static List<Definition> definitions(int count) {
    List<Definition> definitions = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      definitions.add(new Definition("word " + i, "the meaning of number " + i + ", naïvely"));
    }
    return definitions;
  }

  /** Counts the pairs of neighbouring letters, so that texts with the same words are near. */
  static final class Bigrams implements Embedder {
    static final int DIMENSION = 64;
    final AtomicInteger embedded = new AtomicInteger();

    @Override
    public int dimension() {
      return DIMENSION;
    }

    @Override
    public float[] vector(String text) {
      embedded.incrementAndGet();
      float[] counts = new float[DIMENSION];
      counts[0] = 0.1f; // never a zero vector
      for (int i = 1; i < text.length(); i++) {
        counts[(31 * text.charAt(i - 1) + text.charAt(i)) % DIMENSION]++;
      }
      return counts;
    }
  }
}
