// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.table;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.nearfield.Seed;
import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;

class PagedBitsTest {
  @Test
  void agreesWithABitSet() {
    Seed seed = new Seed("PagedBitsTest#agreesWithABitSet");
    Random random = seed.random(0);
    int size = (1 << 19) + 100; // a page has 2^19 bits
    PagedBits bits = new PagedBits();
    bits.ensure(size);
    BitSet model = new BitSet();
    for (int i = 0; i < 400; i++) {
      int around = random.nextBoolean() ? 1 << 19 : random.nextInt(size);
      int from = Math.clamp(around - random.nextInt(100), 0, size);
      int to = Math.min(size, from + random.nextInt(random.nextBoolean() ? 70 : 2000));
      boolean in = random.nextInt(3) > 0;
      bits.set(from, to, in);
      model.set(from, to, in);
      for (int at = Math.max(0, from - 40); at < Math.min(size, to + 40); at++) {
        int bit = at;
        assertEquals(model.get(at), bits.get(at), () -> "bit " + bit + ", " + seed);
      }
    }
    for (int at = 0; at < size; at++) {
      assertEquals(model.get(at), bits.get(at), seed.toString());
    }
    assertFalse(bits.get(Integer.MAX_VALUE), "there is no room for it");
  }
}
