// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The code of README.md compiles, and runs with the very command lines that stand beneath it. */
class ReadmeTest {
  private static final Pattern SNIPPET = between("snippet");
  private static final Pattern LISTS = between("lists");
  private static final Pattern CLUSTERS = between("clusters");

  /** What the text around the snippets after the first takes for granted. */
  private static final String GIVEN =
      """
      java.util.Random random = new java.util.Random(1);
      float[][] rows = new float[1000][32];
      for (float[] row : rows) {
        for (int i = 0; i < row.length; i++) {
          row[i] = (float) random.nextGaussian();
        }
      }
      VectorBatch vectors = VectorBatch.of(rows);
      float[] query = rows[0];
      """;

  private static final Path ROOT = root();

  @TempDir Path folder;

  private static Pattern between(String name) {
    return Pattern.compile(
        "<!-- %1$s[^>]*-->\\s*```java\\n(.*?)```\\s*<!-- end of %1$s -->".formatted(name),
        Pattern.DOTALL);
  }

  /** The checkout: above java-api, where Maven runs the tests. */
  private static Path root() {
    for (Path path = Path.of("").toAbsolutePath(); path != null; path = path.getParent()) {
      if (Files.exists(path.resolve("README.md")) && Files.exists(path.resolve("nearfield"))) {
        return path;
      }
    }
    throw new AssertionError("no README.md above " + Path.of("").toAbsolutePath());
  }

  private static String readme() throws IOException {
    return Files.readString(ROOT.resolve("README.md"));
  }

  private static Path classes(Class<?> type) throws URISyntaxException {
    return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
  }

  /**
   * Compiles a snippet as the main method of {@code readme.Main}, in a module of its own or not.
   */
  private Path compile(Pattern which, String given, boolean module) throws Exception {
    Matcher snippet = which.matcher(readme());
    assertTrue(snippet.find(), "README.md has no snippet between its markers");
    Path source = Files.createDirectories(folder.resolve("source").resolve("readme"));
    Files.writeString(
        source.resolve("Main.java"),
        "package readme;\nimport dev.nearfield.*;\nclass Main {\n"
            + "public static void main(String[] args) {\n"
            + given
            + snippet.group(1)
            + "}\n}\n");
    Path target = folder.resolve("target");
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--release",
                "22",
                "-Xlint:all",
                "-Werror",
                "-d",
                target.toString(),
                source.resolve("Main.java").toString()));
    if (module) {
      Path info = source.resolveSibling("module-info.java");
      Files.writeString(info, "module readme { requires dev.nearfield; }");
      arguments.addAll(
          List.of(
              info.toString(),
              "-p",
              classes(VectorBatch.class) + File.pathSeparator + annotations()));
    } else {
      arguments.addAll(List.of("-cp", classes(VectorBatch.class).toString()));
    }
    javac(arguments);
    return target;
  }

  /** The jar that the module needs to be compiled against, not to run. */
  private static String annotations() {
    String paths =
        System.getProperty("jdk.module.path", "")
            + File.pathSeparator
            + System.getProperty("java.class.path");
    return Arrays.stream(paths.split(File.pathSeparator))
        .filter(
            path ->
                !path.isEmpty() && Path.of(path).getFileName().toString().startsWith("jspecify"))
        .findFirst()
        .orElseThrow();
  }

  private static Path tool(String name) {
    return Path.of(System.getProperty("java.home"), "bin", name);
  }

  /** In a process: the module under test does not read the compiler's. */
  private static void javac(List<String> arguments) throws Exception {
    List<String> command = new ArrayList<>(arguments);
    command.addFirst(tool("javac").toString());
    assertEquals(0, new ProcessBuilder(command).inheritIO().start().waitFor(), command::toString);
  }

  /** Runs a command line of the README, its dots filled in order, and answers what it printed. */
  private List<String> run(String start, String... dots) throws Exception {
    String line = readme().lines().filter(l -> l.startsWith(start)).findFirst().orElseThrow();
    List<String> command = new ArrayList<>();
    int dot = 0;
    for (String word : line.split(" ")) {
      command.add(word.equals("...") ? dots[dot++] : word);
    }
    assertEquals(dots.length, dot, line);
    command.set(0, tool("java").toString());
    Path out = folder.resolve("out");
    Path err = folder.resolve("err");
    int status =
        new ProcessBuilder(command)
            .directory(ROOT.toFile())
            .redirectOutput(out.toFile())
            .redirectError(err.toFile())
            .start()
            .waitFor();
    String errors = Files.readString(err); // the log, and what the JVM says of native access
    assertEquals(0, status, line + errors);
    assertTrue(!errors.contains("native-access") && !errors.contains("restricted"), errors);
    return Files.readAllLines(out, StandardCharsets.UTF_8);
  }

  private static void check(List<String> printed) {
    assertEquals(4, printed.size(), printed::toString);
    assertTrue(printed.get(0).matches("[0-9a-f]{16} at distance 0[.]00\\d+"), printed::toString);
    assertTrue(printed.get(1).matches("[0-9a-f]{16} at distance 0[.]0\\d+"), printed::toString);
    String backends =
        String.join("|", Arrays.stream(BackendKind.values()).map(Enum::name).toList());
    assertTrue(printed.get(2).matches("computed by (" + backends + ")"), printed::toString);
    assertEquals("true", printed.get(3));
  }

  @Test
  void runsOnTheModulePath() throws Exception {
    Path main = compile(SNIPPET, "", true);
    String path = main + File.pathSeparator + classes(VectorBatch.class);
    check(run("java --enable-native-access=dev.nearfield", path, "readme/readme.Main"));
  }

  @Test
  void runsOnTheClassPath() throws Exception {
    Path main = compile(SNIPPET, "", false);
    // The README's main class is `Main`, of the reader's own.
    Path launcher = Files.createDirectories(folder.resolve("launcher"));
    Files.writeString(
        launcher.resolve("Main.java"),
        "public class Main { public static void main(String[] a) throws Exception {"
            + " var m = Class.forName(\"readme.Main\").getDeclaredMethod(\"main\", String[].class);"
            + " m.setAccessible(true); m.invoke(null, (Object) a); } }");
    javac(List.of(launcher.resolve("Main.java").toString()));
    String path =
        launcher + File.pathSeparator + main + File.pathSeparator + classes(VectorBatch.class);
    check(run("java --enable-native-access=ALL-UNNAMED", path));
  }

  private List<String> runInModule(Pattern which) throws Exception {
    Path main = compile(which, GIVEN, true);
    String path = main + File.pathSeparator + classes(VectorBatch.class);
    return run("java --enable-native-access=dev.nearfield", path, "readme/readme.Main");
  }

  @Test
  void listsRun() throws Exception {
    List<String> printed = runInModule(LISTS);
    assertEquals(2, printed.size(), printed::toString);
    Matcher scanned = Pattern.compile("10 hits, (\\d+) lists scanned").matcher(printed.getFirst());
    assertTrue(scanned.matches(), printed::toString);
    double estimate = Double.parseDouble(printed.getLast().replace("estimate of recall: ", ""));
    assertTrue(estimate >= 0.9 && estimate <= 1, printed::toString);
    assertTrue(!scanned.group(1).equals("0") || estimate == 1, printed::toString);
  }

  @Test
  void clustersRun() throws Exception {
    List<String> printed = runInModule(CLUSTERS);
    assertEquals(2, printed.size(), printed::toString);
    assertTrue(printed.getFirst().matches("vector 0 is in cluster \\d+ of 16"), printed::toString);
    assertTrue(
        Double.parseDouble(printed.getLast().replace("inertia: ", "")) > 0, printed::toString);
  }
}
