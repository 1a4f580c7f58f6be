// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** What docs/architecture.md names is there: files, and members of classes. */
class ArchitectureTest {
  private static final Pattern QUOTED = Pattern.compile("`([^`\n]+)`");

  private static final Pattern FILE =
      Pattern.compile("([\\w-]+/)*[\\w-]+\\.(java|cpp|hpp|h|cuh|cu|sh)");

  /** A class, perhaps with one inside, and a member. */
  private static final Pattern MEMBER = Pattern.compile("([A-Z]\\w*(?:\\.[A-Z]\\w*)*)\\.(\\w+)");

  /** A file or class, and what to look at in it. */
  private static final Pattern WITHIN =
      Pattern.compile("`([\\w/-]+\\.\\w+|[A-Z]\\w+)` \\((`\\w+`(?:, `\\w+`)*)\\)");

  private static final List<String> SOURCES = List.of("native", "java-api/src/main", "bindings");

  private final Path root = root();
  private final String text = Files.readString(root.resolve("docs/architecture.md"));
  private final List<Path> files = files();
  private final List<String> wrong = new ArrayList<>();

  ArchitectureTest() throws IOException {}

  /** The checkout: above java-api, where Maven runs the tests. */
  private static Path root() {
    for (Path path = Path.of("").toAbsolutePath(); path != null; path = path.getParent()) {
      if (Files.exists(path.resolve("docs/architecture.md"))) {
        return path;
      }
    }
    throw new AssertionError("no docs/architecture.md above " + Path.of("").toAbsolutePath());
  }

  private List<Path> files() throws IOException {
    List<Path> found = new ArrayList<>();
    for (String source : SOURCES) {
      try (Stream<Path> walk = Files.walk(root.resolve(source))) {
        walk.filter(Files::isRegularFile).map(root::relativize).forEach(found::add);
      }
    }
    return found;
  }

  /** By the end of its path; null: there is none. */
  private @Nullable Path file(String end) {
    return files.stream().filter(file -> file.endsWith(end)).findFirst().orElse(null);
  }

  private @Nullable Class<?> type(String name) {
    String[] parts = name.split("\\.");
    Path file = file(parts[0] + ".java");
    if (file == null) {
      return null;
    }
    Path source = Path.of("java-api", "src", "main", "java").relativize(file);
    StringBuilder full = new StringBuilder(source.toString().replace(".java", ""));
    for (String inner : Arrays.asList(parts).subList(1, parts.length)) {
      full.append('$').append(inner);
    }
    try {
      return Class.forName(
          full.toString().replace('/', '.').replace('\\', '.'), false, getClass().getClassLoader());
    } catch (ClassNotFoundException e) {
      return null;
    }
  }

  private static boolean has(@Nullable Class<?> type, String member) {
    return type != null
        && Stream.of(
                Arrays.stream(type.getDeclaredMethods()).map(method -> method.getName()),
                Arrays.stream(type.getDeclaredFields()).map(field -> field.getName()),
                Arrays.stream(type.getDeclaredClasses()).map(inner -> inner.getSimpleName()))
            .flatMap(names -> names)
            .anyMatch(member::equals);
  }

  private void check(boolean there, String what) {
    if (!there) {
      wrong.add(what);
    }
  }

  @Test
  void whatIsNamedIsThere() throws IOException {
    Map<String, Integer> looked = new TreeMap<>();
    for (Matcher m = QUOTED.matcher(text); m.find(); ) {
      String name = m.group(1);
      Matcher member = MEMBER.matcher(name);
      if (FILE.matcher(name).matches()) {
        looked.merge("files", 1, Integer::sum);
        check(file(name) != null, name);
      } else if (member.lookingAt()) {
        looked.merge("members", 1, Integer::sum);
        check(has(type(member.group(1)), member.group(2)), name);
      }
    }
    for (Matcher m = WITHIN.matcher(text); m.find(); ) {
      for (Matcher part = QUOTED.matcher(m.group(2)); part.find(); ) {
        looked.merge("parts", 1, Integer::sum);
        check(contains(m.group(1), part.group(1)), m.group());
      }
    }
    assertEquals(List.of(), wrong, "named in docs/architecture.md");
    for (String kind : List.of("files", "members", "parts")) {
      assertTrue(looked.getOrDefault(kind, 0) >= 15, () -> "only " + looked + " were found");
    }
  }

  private boolean contains(String where, String part) throws IOException {
    if (where.endsWith(".java") || !where.contains(".")) {
      String name = where.substring(where.lastIndexOf('/') + 1).replace(".java", "");
      return has(type(name), part);
    }
    Path file = file(where);
    return file != null
        && Pattern.compile("\\b" + part + "\\b")
            .matcher(Files.readString(root.resolve(file)))
            .find();
  }
}
