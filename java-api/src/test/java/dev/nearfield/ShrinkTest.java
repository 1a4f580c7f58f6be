// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ShrinkTest {
  private static final List<Integer> HUNDRED = IntStream.range(0, 100).boxed().toList();

  @Test
  void keepsWhatIsNeeded() {
    List<Integer> needed = List.of(7, 50, 51, 98);
    assertEquals(needed, Shrink.minimise(HUNDRED, 1000, some -> some.containsAll(needed)));
  }

  @Test
  void stopsAfterTheAttempts() {
    AtomicInteger attempts = new AtomicInteger();
    Shrink.minimise(
        HUNDRED,
        5,
        some -> {
          attempts.incrementAndGet();
          return false;
        });
    assertEquals(5, attempts.get());
  }

  @Test
  void mayShrinkToNothing() {
    assertEquals(List.of(), Shrink.minimise(HUNDRED, 1000, some -> true));
  }
}
