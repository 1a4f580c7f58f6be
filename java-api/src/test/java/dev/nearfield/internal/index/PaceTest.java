// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** How many queries a device call takes. */
class PaceTest {
  private static final long TURN = 10_000_000;
  private static final int MOST = 1024;

  private final Pace pace = new Pace(TURN);

  @Test
  void beginsWithFewAndGrowsToATurn() {
    assertEquals(Pace.LEAST_QUERIES, pace.queries(100_000, MOST));
    pace.took(64, 100_000, 2_000_000); // a fifth of a turn
    assertEquals(320, pace.queries(100_000, MOST));
    assertEquals(160, pace.queries(200_000, MOST));
    assertEquals(MOST, pace.queries(1_000, MOST));
  }

  @Test
  void neverBelowWhatIsAsCheapPerQuery() {
    pace.took(64, 10_000_000, 1_000_000_000);
    assertEquals(Pace.LEAST_QUERIES, pace.queries(10_000_000, MOST));
    assertEquals(5, pace.queries(10_000_000, 5));
  }

  @Test
  void aDearSingleQueryTellsNothingOfMany() {
    pace.took(64, 100_000, 640_000);
    int before = pace.queries(100_000, MOST);
    pace.took(1, 100_000, 5_000_000);
    assertEquals(before, pace.queries(100_000, MOST));
  }

  @Test
  void followsTheMachine() {
    pace.took(Pace.LEAST_QUERIES, 100_000, Pace.LEAST_QUERIES * 10_000);
    for (int i = 0; i < 20; i++) {
      pace.took(Pace.LEAST_QUERIES, 100_000, Pace.LEAST_QUERIES * 100_000); // ten times slower
    }
    int slow = pace.queries(100_000, MOST);
    assertTrue(95 <= slow && slow <= 105, "queries in a turn: " + slow);
  }

  @Test
  void emptyIndexes() {
    assertEquals(Pace.LEAST_QUERIES, pace.queries(0, MOST));
    pace.took(64, 0, 1);
    assertEquals(Pace.LEAST_QUERIES, pace.queries(100, MOST));
  }
}
