// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import java.util.Objects;
import org.junit.jupiter.api.Test;

class PlatformTest {
  private static final String GLIBC = "7f1 r-xp /usr/lib/x86_64-linux-gnu/libc.so.6\n";
  private static final String MUSL = "7f1 r-xp /lib/ld-musl-x86_64.so.1\n";

  @Test
  void namesAreThoseOfOsMavenPlugin() {
    assertEquals("linux-x86_64", Platform.of("Linux", "amd64", GLIBC).toString());
    assertEquals("linux-aarch_64", Platform.of("Linux", "aarch64", GLIBC).toString());
    assertEquals("osx-aarch_64", Platform.of("Mac OS X", "aarch64", "").toString());
    assertEquals("windows-x86_64", Platform.of("Windows 11", "amd64", "").toString());
    assertEquals("linux-x86_64 (musl)", Platform.of("Linux", "amd64", MUSL).toString());
  }

  @Test
  void whatCannotExistIsNamed() {
    assertUnsupported(BackendKind.METAL, Platform.of("Linux", "amd64", GLIBC), "Apple");
    assertUnsupported(BackendKind.CUDA, Platform.of("Mac OS X", "aarch64", ""), "osx-aarch_64");
    assertUnsupported(BackendKind.CPU, Platform.of("Linux", "amd64", MUSL), "musl");
    assertUnsupported(BackendKind.CPU, Platform.of("Linux", "riscv64", GLIBC), "[riscv64]");
    for (BackendKind kind :
        new BackendKind[] {BackendKind.CUDA, BackendKind.WGPU, BackendKind.CPU}) {
      assertNull(Platform.of("Linux", "amd64", GLIBC).unsupported(kind));
    }
    assertNull(Platform.of("Mac OS X", "aarch64", "").unsupported(BackendKind.METAL));
  }

  @Test
  void muslIsReportedWithoutTryingToLoad() {
    LibraryLoader.Outcome outcome =
        LibraryLoader.load(BackendKind.CUDA, Platform.of("Linux", "amd64", MUSL));
    assertEquals(
        BackendStatus.Reason.UNSUPPORTED_PLATFORM,
        Objects.requireNonNull(outcome.failure()).reason());
    assertTrue(outcome.attempts().isEmpty(), outcome.attempts().toString());
  }

  private static void assertUnsupported(BackendKind kind, Platform platform, String part) {
    String why = Objects.requireNonNull(platform.unsupported(kind));
    assertTrue(why.contains(part), why);
  }
}
