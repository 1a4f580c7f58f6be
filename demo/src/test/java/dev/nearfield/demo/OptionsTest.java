// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nearfield.BackendKind;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class OptionsTest {
  @Test
  void hasDefaults() {
    assertEquals(
        new Options(10_000, List.of(), 10, Optional.empty(), false, Optional.empty()),
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
            true,
            Optional.of(Path.of("there", "a.fbin"))),
        Options.parse(
            "--json",
            "--query",
            " a b ",
            "--k",
            "3",
            "--backend",
            "Java",
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

  @ParameterizedTest
  @ValueSource(strings = {"--limit", "--k", "--query", "--backend", "--export"})
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
