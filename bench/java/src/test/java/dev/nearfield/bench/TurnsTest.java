// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The command {@code turns} on the plain-Java backend, and how waits are counted. */
class TurnsTest {
  private static final long MILLI = 1_000_000;

  private static Map<String, Object> turns(String scenario) throws IOException {
    String input =
        """
        {"command":"hello","backend":"java"}
        {"command":"turns","scenario":"%s","rows":5000,"dim":16,"queries":400,"probes":3,"seconds":20,"rounds":1,"pace_us":200}
        """
            .formatted(scenario);
    ByteArrayOutputStream replies = new ByteArrayOutputStream();
    Worker.serve(
        new BufferedReader(new StringReader(input)),
        new PrintStream(replies, true, StandardCharsets.UTF_8));
    return replies.toString(StandardCharsets.UTF_8).lines().map(FlatJson::read).toList().get(1);
  }

  private static double figure(Map<String, Object> reply, String name) {
    assertTrue(reply.get(name) instanceof Double, name + " in " + reply);
    return (double) reply.get(name);
  }

  @ParameterizedTest
  @CsvSource({
    "search,search get,true",
    "knn,search get,true",
    "close,close,false",
    "queue,async,false",
    "changes,add mask remove compact,true",
    "build,build,false",
    "small-knn,none-open one-open,false",
    "single,plain timed async async-timed,false"
  })
  void waits(String scenario, String lines, boolean besideSomething) throws IOException {
    Map<String, Object> reply = turns(scenario);
    for (String line : lines.split(" ")) {
      assertTrue(figure(reply, line + ".count") > 0, reply.toString());
      assertTrue(figure(reply, line + ".p50_s") > 0, reply.toString());
      assertTrue(figure(reply, line + ".p50_s") <= figure(reply, line + ".p99_s"));
      assertTrue(figure(reply, line + ".p99_s") <= figure(reply, line + ".max_s"));
      assertEquals(besideSomething, reply.containsKey(line + ".alone_s"), reply.toString());
      assertEquals(besideSomething, reply.containsKey(line + ".beside_s"), reply.toString());
    }
  }

  @Test
  void values() throws IOException {
    Map<String, Object> sets = turns("sets");
    assertTrue(figure(sets, "held") > 0);
    assertTrue(figure(sets, "dropped") >= 0);
    assertTrue(figure(sets, "closed") >= 0);
    Map<String, Object> single = turns("single");
    for (String line : List.of("plain", "timed", "async", "async-timed")) {
      assertTrue(figure(single, line + ".bytes") > 0);
    }
    Map<String, Object> clients = turns("clients");
    for (String line : List.of("linger", "no-linger")) {
      double cpu = figure(clients, line + ".cpu");
      double each = figure(clients, line + ".cpu_s_each");
      assertEquals(cpu, each * figure(clients, line + ".qps"), 1e-9 * cpu);
    }
  }

  @Test
  void anUnknownScenarioIsNamed() throws IOException {
    Map<String, Object> reply = turns("dance");
    assertEquals(false, reply.get("ok"));
    assertTrue(reply.get("error").toString().contains("[dance]"), reply.toString());
  }

  /** A stall of 50 ms at a pace of 1 ms is 50 waits, from the longest to nearly none. */
  @Test
  void whoeverWouldHaveAskedHasWaited() throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    CountDownLatch over = new CountDownLatch(1);
    Waits waits = new Waits("it", MILLI);
    waits.beside(
        () -> {
          asked.await();
          Thread.sleep(50);
          over.countDown();
          return null;
        },
        () -> {
          asked.countDown();
          over.await();
          return null;
        });
    Map<String, Object> reply = new HashMap<>();
    waits.reportTo(reply);
    assertTrue(waits.count() >= 50, reply.toString());
    assertTrue((double) reply.get("it.max_s") >= 0.050, reply.toString());
    assertTrue((double) reply.get("it.p50_s") >= 0.020, reply.toString());
    assertTrue((double) reply.get("it.beside_s") >= 0.050, reply.toString());
    assertFalse(reply.containsKey("it.alone_s"));
  }

  @Test
  void failuresAreNotMeasured() {
    Waits waits = new Waits("it", MILLI);
    IOException thrown =
        assertThrows(
            IOException.class,
            () ->
                waits.beside(
                    () -> {
                      throw new IOException("bulk");
                    },
                    () -> null));
    assertEquals("bulk", thrown.getMessage());
    Map<String, Object> reply = new HashMap<>();
    assertThrows(
        IllegalStateException.class, () -> new Waits("it", MILLI).reportTo(reply), "no probe");
  }
}
