// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import dev.nearfield.BackendKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Operating system, processor and C library, in the spelling of os-maven-plugin: {@code
 * linux-x86_64}, {@code osx-aarch_64}.
 */
public record Platform(String os, String arch, boolean musl) {
  public static Platform current() {
    return of(
        System.getProperty("os.name", ""), System.getProperty("os.arch", ""), mappedLibraries());
  }

  /** {@code maps}: the text of /proc/self/maps, empty where there is none. */
  static Platform of(String osName, String osArch, String maps) {
    String name = osName.toLowerCase(Locale.ROOT);
    String os =
        name.startsWith("linux")
            ? "linux"
            : name.startsWith("mac") ? "osx" : name.startsWith("windows") ? "windows" : name;
    String arch =
        switch (osArch.toLowerCase(Locale.ROOT)) {
          case "amd64", "x86_64", "x64" -> "x86_64";
          case "aarch64", "arm64" -> "aarch_64";
          default -> osArch;
        };
    // The loader in use decides, not a file in /lib: glibc systems can have musl installed beside
    // it.
    return new Platform(os, arch, maps.contains("/ld-musl-"));
  }

  private static String mappedLibraries() {
    Path maps = Path.of("/proc/self/maps");
    if (!Files.isReadable(maps)) {
      return "";
    }
    try {
      return Files.readString(maps);
    } catch (IOException e) {
      return ""; // a /proc that cannot be read says nothing about the C library
    }
  }

  /** Why this backend can have no library here, or null when it can. */
  @org.jspecify.annotations.Nullable
  String unsupported(BackendKind kind) {
    boolean exists =
        switch (kind) {
          case METAL -> os.equals("osx");
          case CUDA -> os.equals("linux") || os.equals("windows");
          default -> true;
        };
    if (!exists) {
      return kind == BackendKind.METAL
          ? "Metal exists on Apple systems only, this is " + this
          : "CUDA exists on Linux and Windows only, this is " + this;
    }
    if (!arch.equals("x86_64") && !arch.equals("aarch_64")) {
      return "there is no library for processor [" + arch + "], only for x86_64 and aarch_64";
    }
    if (musl) {
      return "this JVM runs on musl, the libraries need glibc";
    }
    return null;
  }

  @Override
  public String toString() {
    return os + "-" + arch + (musl ? " (musl)" : "");
  }
}
