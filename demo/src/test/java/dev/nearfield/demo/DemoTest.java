// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole program over a made-up dictionary, on the plain-Java backend. */
class DemoTest {
  private static final int SIZE = 600;

  @TempDir Path folder;
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream messages = new ByteArrayOutputStream();
  private final Texts.Bigrams embedder = new Texts.Bigrams();
  private int dictionaryReads;

  private Path cache() {
    return folder.resolve("cache");
  }

  private int run(String input, boolean prompt, String... args) throws InterruptedException {
    out.reset();
    messages.reset();
    List<String> all = new ArrayList<>(List.of("--backend", "java"));
    all.addAll(List.of(args));
    return Demo.run(
        all.toArray(String[]::new),
        new Sources(
            cache(),
            "test",
            Texts.Bigrams.DIMENSION,
            () -> {
              dictionaryReads++;
              return Texts.definitions(SIZE);
            },
            () -> embedder),
        new Streams(
            new BufferedReader(new StringReader(input)),
            new PrintStream(out, true, StandardCharsets.UTF_8),
            new PrintStream(messages, true, StandardCharsets.UTF_8),
            prompt,
            false,
            100));
  }

  private String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  private String messages() {
    return messages.toString(StandardCharsets.UTF_8);
  }

  /** All values of a field of the JSON on the output, which must be well formed. */
  private List<String> field(String name) throws IOException {
    List<String> values = new ArrayList<>();
    try (JsonParser parser = new JsonFactory().createParser(out())) {
      assertEquals(JsonToken.START_ARRAY, parser.nextToken());
      while (parser.nextToken() != null) {
        if (parser.currentToken() == JsonToken.FIELD_NAME && parser.currentName().equals(name)) {
          parser.nextToken();
          values.add(parser.getText());
        }
      }
    }
    return values;
  }

  @Test
  void findsTheDefinitionItself() throws Exception {
    assertEquals(0, run("", false, "--query", Texts.definitions(SIZE).get(417).text(), "--k", "3"));
    List<String> lines = out().lines().toList();
    assertTrue(lines.get(3).startsWith("  0.0000  word 417"), out());
    assertTrue(out().contains("java:0"), out());
    assertTrue(out().contains("searched 600 definitions in "), out());
  }

  @Test
  void jsonIsAloneOnTheOutput() throws Exception {
    assertEquals(
        0, run("", false, "--json", "--k", "2", "--query", "number 1", "--query", "number 2"));
    assertEquals(List.of("number 1", "number 2"), field("query"));
    assertEquals(4, field("word").size());
    assertEquals(4, field("definition").size());
    for (int i = 0; i < 4; i++) {
      float distance = Float.parseFloat(field("distance").get(i));
      assertEquals((2 - distance) / 2, Float.parseFloat(field("score").get(i)), 1e-6);
    }
    assertEquals(2, field("millis").size());
    assertTrue(messages().contains("Embedded 600 of 600"), messages());
  }

  @Test
  void aSecondRunEmbedsNothingButTheQuery() throws Exception {
    run("", false, "--query", "number 5");
    int before = embedder.embedded.get();
    assertEquals(SIZE + 1, before);
    assertEquals(1, dictionaryReads);
    String first = out().replaceAll("in [0-9.]+ ms", "");
    assertEquals(0, run("", false, "--query", "number 5"));
    assertEquals(before + 1, embedder.embedded.get());
    assertEquals(1, dictionaryReads);
    assertEquals(first, out().replaceAll("in [0-9.]+ ms", ""));
    assertEquals("", messages());
  }

  @Test
  void aLargerLimitEmbedsTheDifference() throws Exception {
    run("", false, "--limit", "300", "--query", "a");
    assertEquals(301, embedder.embedded.get());
    run("", false, "--limit", "0", "--query", "a");
    assertEquals(SIZE + 2, embedder.embedded.get());
    run("", false, "--limit", "10", "--query", "a");
    assertEquals(SIZE + 3, embedder.embedded.get());
    assertTrue(out().contains("searched 10 definitions"), out());
  }

  @Test
  void readsQueriesFromTheInputLineByLine() throws Exception {
    assertEquals(0, run("number 1\n\n number 2 \n", false, "--json"));
    assertEquals(List.of("number 1", "number 2"), field("query"));
    assertTrue(!messages().contains("> "), messages());
  }

  @Test
  void promptsUntilAnEmptyLine() throws Exception {
    assertEquals(0, run("number 1\n\nnumber 2\n", true, "--json"));
    assertEquals(List.of("number 1"), field("query"));
    assertTrue(messages().endsWith("> > "), messages());
  }

  @Test
  void anUnusableCacheFolderIsAWarning() throws Exception {
    Files.writeString(cache(), ""); // a file where the folder should be
    Path blocked = cache().resolve("demo");
    int status =
        Demo.run(
            new String[] {"--backend", "java", "--query", "number 1"},
            new Sources(
                blocked,
                "test",
                Texts.Bigrams.DIMENSION,
                () -> Texts.definitions(SIZE),
                () -> embedder),
            new Streams(
                new BufferedReader(new StringReader("")),
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(messages, true, StandardCharsets.UTF_8),
                false,
                false,
                100));
    assertEquals(0, status);
    assertTrue(messages().contains("not kept on disk"), messages());
  }

  /** Rows in the dictionary's order, with the vectors that are searched. */
  @Test
  void exportsTheVectorsAsAFile() throws Exception {
    Path file = folder.resolve("vectors.fbin");
    assertEquals(0, run("number 1\n", false, "--limit", "500", "--export", file.toString()));
    assertEquals("", out()); // nothing was asked
    assertTrue(messages().endsWith("Wrote 500 vectors to " + file + "\n"), messages());
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    assertEquals(8 + 500 * Texts.Bigrams.DIMENSION * Float.BYTES, bytes.capacity());
    assertEquals(500, bytes.getInt());
    assertEquals(Texts.Bigrams.DIMENSION, bytes.getInt());
    for (Definition definition : Texts.definitions(SIZE).subList(0, 500)) {
      float[] row = new float[Texts.Bigrams.DIMENSION];
      for (int i = 0; i < row.length; i++) {
        row[i] = bytes.getFloat();
      }
      assertArrayEquals(embedder.vector(definition.text()), row);
    }
    byte[] first = Files.readAllBytes(file);
    assertEquals(
        0, run("", false, "--limit", "500", "--export", file.toString(), "--query", "number 1"));
    assertTrue(out().contains("searched 500 definitions"), out());
    assertArrayEquals(first, Files.readAllBytes(file));
    assertEquals(
        List.of(file),
        Files.list(folder).filter(each -> each.toString().contains("vectors")).toList());
  }

  @Test
  void anExportThatCannotBeWrittenIsOneSentenceAndOne() throws Exception {
    Path file = folder.resolve("none").resolve("vectors.fbin");
    assertEquals(1, run("", false, "--limit", "10", "--export", file.toString()));
    assertEquals(1, messages().lines().count(), messages());
    assertTrue(messages().contains(file.toString()), messages());
    assertEquals(0, embedder.embedded.get());
  }

  @Test
  void wrongUsageIsOneSentenceAndTwo() throws Exception {
    assertEquals(2, run("", false, "--k", "0"));
    assertEquals("", out());
    assertEquals(1, messages().lines().count());
  }

  /** On the CPU backend: plain Java has no lists. */
  @Test
  void listsAreTrainedAndSearched() throws Exception {
    String query = Texts.definitions(SIZE).get(417).text();
    String[] lists = {"--backend", "cpu", "--index", "ivf", "--k", "3", "--query", query};
    assertEquals(0, run("", false, lists), this::messages);
    assertTrue(
        messages().lines().anyMatch(line -> line.matches("Trained 2\\d lists in \\d+[.]\\d\\d s")),
        messages());
    List<String> lines = out().lines().toList();
    assertTrue(lines.get(3).startsWith("  0.0000  word 417"), out());
    assertTrue(
        lines.stream()
            .anyMatch(
                line ->
                    line.matches(
                        "\\d+ of 2\\d lists scanned; recall: estimate [01][.]\\d+, measured"
                            + " [01][.]\\d+")),
        out());
  }

  @Test
  void aHigherTargetScansMoreLists() throws Exception {
    List<Integer> scanned = new ArrayList<>();
    for (String target : List.of("0.01", "1")) {
      assertEquals(
          0,
          run(
              "number 1\nanother number 2\nnaïvely, number 77\n",
              false,
              "--backend",
              "cpu",
              "--index",
              "ivf",
              "--recall",
              target,
              "--json"),
          this::messages);
      scanned.add(field("listsScanned").stream().mapToInt(Integer::parseInt).sum());
      assertEquals(3, field("recallEstimate").size());
    }
    assertTrue(scanned.get(0) >= 3 && scanned.get(0) < scanned.get(1), scanned::toString);
    // With the highest target nothing is missed.
    assertEquals(List.of("1.0", "1.0", "1.0"), field("recall"));
  }

  @Test
  void aDeviceWithoutListsSaysSo() throws Exception {
    assertEquals(0, run("", false, "--index", "ivf", "--json", "--query", "number 5"));
    assertTrue(messages().contains("java:0"), messages());
    assertTrue(messages().contains("has no lists: every search is exact"), messages());
    for (String field : List.of("listsScanned", "recallEstimate", "recall")) {
      assertEquals(List.of("null"), field(field));
    }
  }

  @Test
  void tooFewForListsIsOneSentenceAndOne() throws Exception {
    run("", false, "--limit", "1", "--query", "a");
    assertEquals(1, run("", false, "--limit", "1", "--index", "ivf", "--query", "a"));
    assertEquals("", out());
    assertEquals(
        List.of("demo: train: [1] vectors, lists are trained on at least 2"),
        messages().lines().toList());
  }

  @Test
  void anAbsentBackendIsOneSentenceAndOne() throws Exception {
    assertEquals(1, run("", false, "--backend", "metal", "--query", "a"));
    assertEquals("", out());
    assertEquals(1, messages().lines().count(), messages());
    assertEquals(0, embedder.embedded.get());
  }

  @Test
  void theCacheFolderFollowsTheSpecification() {
    Path home = Path.of("/home/someone");
    assertEquals(home.resolve(".cache").resolve("nearfield"), Sources.cacheFolder(Map.of(), home));
    assertEquals(
        Path.of("/var/cache/nearfield"),
        Sources.cacheFolder(Map.of("XDG_CACHE_HOME", "/var/cache"), home));
    assertEquals(
        home.resolve(".cache").resolve("nearfield"),
        Sources.cacheFolder(Map.of("XDG_CACHE_HOME", "relative"), home));
  }
}
