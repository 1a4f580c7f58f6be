// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.StringReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The protocol of bench/README.md, on the plain-Java backend, which is always there. */
class WorkerTest {
  private static final int DIM = 2;

  @TempDir Path folder;

  /** Row i is (i, 0). */
  private Path fbin(String name, int rows) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(8 + rows * DIM * Float.BYTES);
    bytes.order(ByteOrder.LITTLE_ENDIAN).putInt(rows).putInt(DIM);
    for (int i = 0; i < rows; i++) {
      bytes.putFloat(i).putFloat(0);
    }
    return Files.write(folder.resolve(name), bytes.array());
  }

  private List<Map<String, Object>> serve(String... commands) throws IOException {
    ByteArrayOutputStream replies = new ByteArrayOutputStream();
    String input = String.join("\n", commands).replace('\'', '"').replace("DIR", folder.toString());
    Worker.serve(
        new BufferedReader(new StringReader(input)),
        new PrintStream(replies, true, StandardCharsets.UTF_8));
    return replies.toString(StandardCharsets.UTF_8).lines().map(FlatJson::read).toList();
  }

  private static void failed(Map<String, Object> reply, String... words) {
    assertEquals(false, reply.get("ok"));
    for (String word : words) {
      assertTrue(reply.get("error").toString().contains(word), reply.toString());
    }
  }

  @Test
  void measuresAndAnswers() throws IOException {
    fbin("base", 20);
    fbin("queries", 7);
    List<Map<String, Object>> replies =
        serve(
            "{'command':'hello','backend':'java'}",
            "{'command':'load','base':'DIR/base','metric':'l2'}",
            "{'command':'workload','queries':'DIR/queries','batch':3,'k':4,'clients':2}",
            "{'command':'run','calls':5}",
            "{'command':'answers','to':'DIR/found'}",
            "{'command':'insert','base':'DIR/base','metric':'cosine','batch':6}",
            "{'command':'insert','base':'DIR/base','metric':'l2','batch':6}",
            "{'command':'quit'}",
            "{'command':'never read'}");
    assertEquals(8, replies.size());
    assertEquals("nearfield-java", replies.get(0).get("system"));
    assertEquals("java", replies.get(0).get("backend"));
    assertEquals(20.0, replies.get(1).get("rows"));
    Map<String, Object> run = replies.get(3);
    assertTrue((double) run.get("p50_s") <= (double) run.get("p90_s"));
    assertTrue((double) run.get("p99_s") <= (double) run.get("max_s"));
    assertTrue((double) run.get("max_s") <= (double) run.get("seconds"));
    failed(replies.get(5), "COSINE", "norm"); // row 0 is zero
    assertEquals(20.0, replies.get(6).get("rows"));
    ByteBuffer rows = read("found.rows", 7 * 4 * Long.BYTES);
    ByteBuffer distances = read("found.distances", 7 * 4 * Float.BYTES);
    for (int query = 0; query < 7; query++) {
      assertEquals(query, rows.getLong());
      assertEquals(0, distances.getFloat());
      for (int hit = 1; hit < 4; hit++) {
        long away = rows.getLong() - query;
        assertEquals(away * away, distances.getFloat());
      }
    }
  }

  private ByteBuffer read(String name, int bytes) throws IOException {
    byte[] all = Files.readAllBytes(folder.resolve(name));
    assertEquals(bytes, all.length);
    return ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN);
  }

  @Test
  void fewerRowsThanAskedForAreMarked() throws IOException {
    fbin("base", 1);
    serve(
        "{'command':'hello','backend':'java'}",
        "{'command':'load','base':'DIR/base','metric':'l2'}",
        "{'command':'workload','queries':'DIR/base','k':2}",
        "{'command':'answers','to':'DIR/found'}");
    ByteBuffer rows = read("found.rows", 2 * Long.BYTES);
    ByteBuffer distances = read("found.distances", 2 * Float.BYTES);
    assertEquals(0, rows.getLong());
    assertEquals(-1, rows.getLong());
    assertEquals(0, distances.getFloat());
    assertTrue(Float.isNaN(distances.getFloat()));
  }

  @Test
  void mistakesAreNamedAndHarmless() throws IOException {
    fbin("base", 3);
    Files.write(folder.resolve("short"), new byte[5]);
    List<Map<String, Object>> replies =
        serve(
            "{'command':'run'}",
            "{'command':'load','base':'DIR/base'}",
            "{'command':'hello','backend':'java','threads':1000}",
            "{'command':'hello','backend':'java','path':'avx2'}",
            "{'command':'hello','backend':'tpu'}",
            "{'command':'hello','backend':'java'}",
            "{'command':'load','base':'DIR/absent','metric':'l2'}",
            "{'command':'load','base':'DIR/short','metric':'l2'}",
            "{'command':'load','base':'DIR/base','metric':'hamming'}",
            "{'command':'load','base':'DIR/base','metric':'l2'}",
            "{'command':'run'}",
            "{'command':'workload','queries':'DIR/base','batch':4}",
            "{'command':'workload','queries':'DIR/base','batch':-1}",
            "{'command':'workload'}",
            "{'command':'dance'}",
            "{'command':'run'",
            "{'command':'workload','queries':'DIR/base','batch':2}");
    String[][] words = {
      {"load comes first"}, {"hello comes first"}, {"[1000] threads"}, {"[avx2]"}, {"[tpu]"}, {},
      {"absent"}, {"[5] bytes"}, {"[hamming]"}, {}, {"workload comes first"}, {"[4]", "3 queries"},
      {"[-1.0]"}, {"[queries] is missing"}, {"[dance]"}, {"character [16]"}, {}
    };
    assertEquals(words.length, replies.size());
    for (int i = 0; i < words.length; i++) {
      if (words[i].length == 0) {
        assertEquals(true, replies.get(i).get("ok"), replies.get(i).toString());
      } else {
        failed(replies.get(i), words[i]);
      }
      assertEquals(i == 2 || i == 3 ? true : null, replies.get(i).get("unsupported"));
    }
  }

  @Test
  void jsonIsReadAsWritten() {
    Map<String, Object> members =
        FlatJson.read(" { \"a\" : \"x\\\"\\\\\\u00e9\\n\" , \"b\":-1.5e3,\"c\":true,\"d\":null } ");
    assertEquals("x\"\\é\n", members.get("a"));
    assertEquals(-1500.0, members.get("b"));
    assertEquals(true, members.get("c"));
    assertTrue(members.containsKey("d"));
    assertEquals(members, FlatJson.read(FlatJson.write(members)));
    assertEquals(Map.of(), FlatJson.read("{}"));
    for (String wrong :
        List.of(
            "",
            "[]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":[1]}",
            "{\"a\":1}x",
            "{\"a\":\"\\q\"}",
            "{\"a\":\"")) {
      assertThrows(IllegalArgumentException.class, () -> FlatJson.read(wrong), wrong);
    }
  }
}
