// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Accelerators;
import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The report of other JVMs, with and without native access: from the class path, from the module
 * path, and with {@code --illegal-native-access=deny} (JDK 24 and later). Nothing may be printed
 * beside the report, neither an exception nor a warning of the JVM.
 */
class NativeAccessTest {
  private static final boolean CAN_DENY = Runtime.version().feature() >= 24;

  @TempDir Path folder;

  private static String classes() {
    try {
      return Path.of(Accelerators.class.getProtectionDomain().getCodeSource().getLocation().toURI())
          .toString();
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  private String java(String... arguments) throws IOException, InterruptedException {
    Path out = folder.resolve("out");
    Path errors = folder.resolve("errors");
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Dnearfield.native.cpu.path=" + NativeBuild.backend("planted"));
    command.add("-Dnearfield.wgpu.enabled=false");
    command.addAll(Arrays.asList(arguments));
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().remove("JAVA_TOOL_OPTIONS"); // announces itself on standard error
    Process process = builder.redirectOutput(out.toFile()).redirectError(errors.toFile()).start();
    int status = process.waitFor();
    assertEquals("", Files.readString(errors));
    assertEquals(0, status);
    return Files.readString(out);
  }

  private static void assertDenied(String report, String flag) {
    assertTrue(report.contains("start java with " + flag), report);
    assertTrue(report.contains("cpu     not available: the JVM does not allow native"), report);
    assertTrue(report.contains("Searches run on java:0"), report);
  }

  private static void assertGranted(String report) {
    assertTrue(report.contains("native access   granted to"), report);
    assertTrue(report.contains("cpu     available"), report);
    assertTrue(report.contains("Searches run on cpu:0"), report);
    assertFalse(report.contains("--enable-native-access"), report);
  }

  @Test
  void classPath() throws Exception {
    String main = "dev.nearfield.Main";
    String flag = "--enable-native-access=ALL-UNNAMED";
    assertDenied(java("-cp", classes(), main), flag);
    assertGranted(java(flag, "-cp", classes(), main));
    if (CAN_DENY) {
      String deny = "--illegal-native-access=deny";
      assertDenied(java(deny, "-cp", classes(), main), flag);
      assertGranted(java(deny, flag, "-cp", classes(), main));
    }
  }

  @Test
  void modulePath() throws Exception {
    String path = classes() + File.pathSeparator;
    String main = "dev.nearfield/" + "dev.nearfield.Main";
    String flag = "--enable-native-access=dev.nearfield";
    assertDenied(java("-p", path, "-m", main), flag);
    assertGranted(java(flag, "-p", path, "-m", main));
    if (CAN_DENY) {
      String deny = "--illegal-native-access=deny";
      assertDenied(java(deny, "-p", path, "-m", main), flag);
      assertGranted(java(deny, flag, "-p", path, "-m", main));
    }
  }
}
