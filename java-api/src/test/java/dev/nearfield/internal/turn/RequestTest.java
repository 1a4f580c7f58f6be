// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.SearchTimeoutException;
import dev.nearfield.internal.index.BatchingTest;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The end of a request when there is no memory to tell of it. */
@Timeout(60)
class RequestTest {
  /** Cannot be told of its end the first few times. */
  private static final class Quiet extends Request<Integer> {
    private final int failures;
    final AtomicInteger tries = new AtomicInteger();

    Quiet(int failures, Duration timeout) {
      super("test", timeout);
      this.failures = failures;
    }

    @Override
    protected void onEnd() {
      if (tries.incrementAndGet() <= failures) {
        throw new OutOfMemoryError("made up, logged in this test on purpose");
      }
      super.onEnd();
    }
  }

  @Test
  void whatCouldNotBeToldIsToldByTheNextEnd() throws Exception {
    Quiet request = new Quiet(2, null);
    CompletableFuture<Integer> future = request.toFuture(new Completer(null));
    assertTrue(request.start());
    assertThrows(OutOfMemoryError.class, () -> request.succeed(5));
    assertTrue(request.ended());
    assertThrows(OutOfMemoryError.class, () -> request.fail(new IllegalStateException("too late")));
    assertFalse(future.isDone());
    request.fail(new IllegalStateException("too late"));
    assertEquals(5, future.get(20, TimeUnit.SECONDS), "the first verdict counts");
    request.fail(new IllegalStateException("much too late"));
    request.succeed(6);
    assertEquals(3, request.tries.get(), "it is told once");
  }

  @Test
  void aTimeOutThatCouldNotBeToldIsToldLater() throws Exception {
    Quiet request = new Quiet(1, Duration.ofMillis(20));
    CompletableFuture<Integer> future = request.toFuture(new Completer(null));
    AtomicInteger withdrawn = new AtomicInteger();
    request.onWithdraw(withdrawn::incrementAndGet);
    ExecutionException e =
        assertThrows(ExecutionException.class, () -> future.get(20, TimeUnit.SECONDS));
    assertInstanceOf(SearchTimeoutException.class, e.getCause());
    assertEquals(1, withdrawn.get());
    assertEquals(2, request.tries.get());
  }

  @Test
  void whoWaitsIsWoken() throws Exception {
    Quiet request = new Quiet(0, null);
    Thread waiter = Thread.ofVirtual().start(() -> assertEquals(5, request.await()));
    BatchingTest.await(() -> waiter.getState() == Thread.State.WAITING);
    assertTrue(request.start());
    request.succeed(5);
    assertTrue(waiter.join(Duration.ofSeconds(20)));
  }

  /** It rings before anyone could keep what cancels it. */
  @Test
  void aTimeOutOfNothingEndsAtOnceAndRingsNoMore() throws Exception {
    int others = Alarms.pending();
    Quiet request = new Quiet(0, Duration.ofNanos(1));
    CompletableFuture<Integer> future = request.toFuture(new Completer(null));
    assertThrows(ExecutionException.class, () -> future.get(20, TimeUnit.SECONDS));
    BatchingTest.await(() -> Alarms.pending() <= others);
    assertEquals(1, request.tries.get());
  }
}
