// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nearfield.BackendKind;
import dev.nearfield.IndexSpec;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class OptionsTest {
  @Test
  void hasDefaults() {
    assertEquals(
        new Options(
            10_000,
            List.of(),
            10,
            Optional.empty(),
            IndexSpec.flat(),
            OptionalDouble.empty(),
            false,
            Optional.empty()),
        Options.parse());
  }

  @Test
  void takesAllInAnyOrder() {
    assertEquals(
        new Options(
            2000,
            List.of("a b", "--json"),
            3,
            Optional.of(BackendKind.JAVA),
            IndexSpec.ivf(0),
            OptionalDouble.of(0.9),
            true,
            Optional.of(Path.of("there", "a.fbin"))),
        Options.parse(
            "--json",
            "--query",
            " a b ",
            "--k",
            "3",
            "--recall",
            "0.9",
            "--backend",
            "Java",
            "--index",
            "IVF",
            "--export",
            "there/a.fbin",
            "--limit",
            "2000",
            "--query",
            "--json"));
  }

  @Test
  void limitZeroIsAll() {
    assertEquals(Integer.MAX_VALUE, Options.parse("--limit", "0").limit());
  }

  @Test
  void autoBackendIsNone() {
    assertEquals(Optional.empty(), Options.parse("--backend", "auto").backend());
  }

  @ParameterizedTest
  @CsvSource({
    "--limit, -1, 0", "--limit, many, 0", "--limit, 2147483648, 0", "--limit, 1.5, 0",
    "--k, 0, 1 to 1000", "--k, -3, 1 to 1000", "--k, 1001, 1 to 1000", "--k, '', 1 to 1000",
  })
  void refusesBadNumbersNamingValueAndLimit(String option, String value, String limit) {
    String message = refusal(option, value);
    assertContains(message, option);
    assertContains(message, "'" + value + "'");
    assertContains(message, limit);
  }

  @Test
  void refusesUnknownBackendNamingTheKnown() {
    String message = refusal("--backend", "vulkan");
    assertContains(message, "'vulkan'");
    assertContains(message, "cuda, metal, wgpu, cpu, java and auto");
  }

  @Test
  void refusesUnknownIndexNamingTheKnown() {
    assertContains(refusal("--index", "hnsw"), "'hnsw', known are flat and ivf");
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-0.5", "1.01", "NaN", "most", ""})
  void refusesRecallsThatAreNone(String value) {
    String message = refusal("--index", "ivf", "--recall", value);
    assertContains(message, "--recall is '" + value + "'");
    assertContains(message, "above 0 and at most 1");
  }

  @Test
  void refusesARecallWithoutLists() {
    assertContains(refusal("--recall", "0.9"), "--recall is 0.9, it needs --index ivf");
    assertContains(refusal("--recall", "1", "--index", "flat"), "needs --index ivf");
    assertEquals(OptionalDouble.of(1), Options.parse("--recall", "1", "--index", "ivf").recall());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"--limit", "--k", "--query", "--backend", "--index", "--recall", "--export"})
  void refusesMissingValues(String option) {
    assertContains(refusal(option), option + " needs a value");
  }

  @Test
  void refusesUnknownArgumentsAndBlankQueries() {
    assertContains(refusal("coffee"), "'coffee'");
    assertContains(refusal("--limit=5"), "'--limit=5'");
    assertContains(refusal("--query", "  "), "--query is blank");
    assertContains(refusal("--export", "a.fvecs"), "'a.fvecs'");
    assertContains(refusal("--export", "a.fvecs"), ".fbin");
  }

  private static String refusal(String... args) {
    String message = assertThrows(UsageException.class, () -> Options.parse(args)).getMessage();
    assertEquals(1, message.lines().count(), message);
    return message;
  }

  private static void assertContains(String message, String part) {
    assertEquals(true, message.contains(part), () -> "[" + message + "] lacks [" + part + "]");
  }
}
