// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import dev.nearfield.BackendStatus.Available;
import dev.nearfield.BackendStatus.Unavailable;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** How often a backend is looked at. */
class StatusCacheTest {
  private static final BackendKind KIND = BackendKind.CUDA;
  private static final BackendStatus HERE =
      new Available(KIND, Optional.empty(), List.of(), List.of());
  private static final BackendStatus GONE =
      new Unavailable(KIND, BackendStatus.Reason.NOT_FOUND, "none", "none", List.of());

  private BackendStatus found = GONE;
  private String settings = "";
  private long now = Long.MAX_VALUE - 5; // nanoTime may overflow
  private int looks;
  private final StatusCache cache =
      new StatusCache(
          kind -> {
            looks++;
            return found;
          },
          kind -> settings,
          () -> now);

  private void get(BackendStatus expected, int looksSoFar) {
    assertEquals(expected, cache.get(KIND));
    assertEquals(looksSoFar, looks);
  }

  @Test
  void aFailureIsBelievedForAWhile() {
    get(GONE, 1);
    now += StatusCache.FAILURE_NANOS - 1;
    get(GONE, 1);
    found = HERE;
    get(GONE, 1);
    now++;
    get(HERE, 2);
  }

  @Test
  void aSuccessIsBelievedForGood() {
    found = HERE;
    get(HERE, 1);
    found = GONE;
    settings = "changed";
    now += 1000 * StatusCache.FAILURE_NANOS;
    get(HERE, 1);
    cache.forgetFailures();
    get(HERE, 1);
    cache.forget(KIND);
    get(GONE, 2);
  }

  @Test
  void aChangeOfTheSettingsIsSeenAtOnce() {
    get(GONE, 1);
    settings = "changed";
    get(GONE, 2);
    found = HERE;
    get(GONE, 2);
    settings = "";
    get(HERE, 3);
  }

  @Test
  void aFailureCanBeForgotten() {
    get(GONE, 1);
    cache.forgetFailures();
    get(GONE, 2);
    found = HERE;
    cache.forget(KIND);
    get(HERE, 3);
  }

  /** What a second thread found meanwhile. */
  @Test
  void aSuccessIsNotReplacedByAFailure() {
    StatusCache[] both = new StatusCache[1];
    both[0] =
        new StatusCache(
            kind -> {
              if (looks++ == 0) {
                found = HERE;
                both[0].get(kind);
                return GONE;
              }
              return found;
            },
            kind -> settings,
            () -> now);
    assertEquals(GONE, both[0].get(KIND));
    assertInstanceOf(Available.class, both[0].get(KIND));
    assertEquals(2, looks);
  }
}
