// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.Random;

/** The seed of a randomised test: a new one each run, or that of {@code -Dnearfield.test.seed}. */
public final class Seed {
  private static final long BASE =
      Long.getLong("nearfield.test.seed", new Random().nextLong(1, 1_000_000_000));

  private final String test;

  /**
   * Prints the seed and the line that runs the test with it again.
   *
   * @param test {@code Class#method} as surefire takes it
   */
  public Seed(String test) {
    this.test = test;
    System.out.println(this);
  }

  long value() {
    return BASE;
  }

  /** A generator of its own for each use: a test that draws more must not change the next. */
  public Random random(int use) {
    return new Random(BASE * 31 + use);
  }

  @Override
  public String toString() {
    return "seed %d: mvn -pl java-api -am test -Dtest=%s -Dsurefire.failIfNoSpecifiedTests=false -Dnearfield.test.seed=%d"
        .formatted(BASE, test, BASE);
  }
}
