// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.nearfield.BackendKind;
import dev.nearfield.Properties;
import dev.nearfield.internal.load.Workdir.UnusableException;
import dev.nearfield.internal.natives.LoadException;
import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Where libraries are unpacked to, and whose folders are not trusted. */
class WorkdirTest {
  private final Properties properties = new Properties();
  private final List<String> reasons = new ArrayList<>();
  @TempDir Path folder;

  @AfterEach
  void restore() {
    properties.close();
  }

  private static PackagedLibrary library() {
    return library(new Read(NativeJar.of("status")));
  }

  private static PackagedLibrary library(PackagedLibrary.Folder jar) {
    try {
      return Objects.requireNonNull(PackagedLibrary.read(BackendKind.CUDA, "a jar", jar));
    } catch (LoadException e) {
      throw new AssertionError(e);
    }
  }

  /** The files of a jar. */
  private record Read(NativeJar jar) implements PackagedLibrary.Folder {
    @Override
    public InputStream open(String file) {
      StringBuilder text = new StringBuilder();
      jar.properties.forEach((key, value) -> text.append(key + "=" + value + "\n"));
      return new ByteArrayInputStream(
          file.endsWith(".properties")
              ? text.toString().getBytes(StandardCharsets.UTF_8)
              : Objects.requireNonNull(jar.files.get(file)));
    }
  }

  private void refused(Workdir workdir, String part) {
    UnusableException e = assertThrows(UnusableException.class, () -> workdir.unpack(library()));
    assertTrue(Objects.toString(e.getMessage()).contains(part), e.getMessage());
  }

  @Test
  void cacheOfTheUserComesBeforeTheTemporaryFolder() {
    properties.set("user.home", folder.toString());
    properties.set("user.name", "J. R/x");
    properties.set("java.io.tmpdir", folder.resolve("tmp").toString());
    Workdir last = new Workdir(folder.resolve("tmp/nearfield-J._R_x"), true);
    assertEquals(
        List.of(new Workdir(folder.resolve(".cache/nearfield/native"), false), last),
        candidates(null, Map.of("XDG_CACHE_HOME", ""), "linux"));
    assertEquals(
        List.of(new Workdir(folder.resolve("xdg/nearfield/native"), false), last),
        candidates(null, Map.of("XDG_CACHE_HOME", folder.resolve("xdg").toString()), "linux"));
    assertEquals(
        List.of(new Workdir(folder.resolve("Library/Caches/nearfield/native"), false), last),
        candidates(null, Map.of(), "osx"));
    assertEquals(
        List.of(new Workdir(folder.resolve("local/nearfield/native"), false), last),
        candidates(null, Map.of("LOCALAPPDATA", folder.resolve("local").toString()), "windows"));
    properties.set("user.home", "?"); // what Java says of a user without an entry
    assertEquals(List.of(last), candidates(null, Map.of(), "linux"));
    assertEquals(List.of(last), candidates(" ", Map.of(), "linux"));
    assertEquals(
        List.of(new Workdir(folder, false)), candidates(folder.toString(), Map.of(), "linux"));
    assertEquals(List.of(), reasons);
  }

  @Test
  void namesThatAreNoPathsArePassedOver() {
    properties.set("user.name", "x");
    properties.set("java.io.tmpdir", folder.toString());
    Workdir last = new Workdir(folder.resolve("nearfield-x"), true);
    assertEquals(List.of(last), candidates(null, Map.of("XDG_CACHE_HOME", "\0"), "linux"));
    properties.set("user.home", "\0");
    assertEquals(List.of(last), candidates(null, Map.of(), "osx"));
    assertEquals(2, reasons.size(), reasons.toString());
    assertTrue(reasons.getFirst().startsWith("the user's cache folder is no path"));
    properties.set("java.io.tmpdir", "\0");
    assertEquals(List.of(), candidates(null, Map.of(), "linux"));
    assertFalse(reasons.toString().contains(Workdir.PROPERTY), reasons.toString());
    assertEquals(List.of(), candidates("\0", Map.of(), "linux"));
    assertTrue(reasons.getLast().startsWith("-D" + Workdir.PROPERTY + " is no path"));
  }

  private List<Workdir> candidates(
      @Nullable String property, Map<String, String> environment, String os) {
    return Workdir.candidates(property, environment, os, reasons::add);
  }

  @Test
  void jarThatCannotBeReadIsDamagedAndNoFolderBlamed() throws Exception {
    Workdir workdir = new Workdir(folder.resolve("work"), true);
    Read good = new Read(NativeJar.of("status"));
    InputStream breaks =
        new InputStream() {
          @Override
          public int read() throws IOException {
            throw new EOFException("half");
          }
        };
    List<PackagedLibrary.Folder> broken =
        List.of(
            file -> file.endsWith(".properties") ? good.open(file) : breaks,
            file -> {
              if (file.endsWith(".properties")) {
                return good.open(file);
              }
              throw new NoSuchFileException("vanished.jar");
            });
    for (PackagedLibrary.Folder jar : broken) {
      LoadException e = assertThrows(LoadException.class, () -> workdir.unpack(library(jar)));
      assertContains(Objects.toString(e.getMessage()), "in a jar cannot be read (java.");
      assertContains(Objects.toString(e.getMessage()), "the jar is damaged or was changed");
    }
    try (Stream<Path> files = Files.walk(folder).filter(Files::isRegularFile)) {
      assertEquals(List.of(), files.toList());
    }
  }

  @Test
  void changedFileIsWrittenAnew() throws Exception {
    Workdir workdir = new Workdir(folder.resolve("work"), true);
    Path file = workdir.unpack(library());
    byte[] right = Files.readAllBytes(file);
    Files.write(file, new byte[] {0x7f, 'E', 'L', 'F'});
    assertEquals(file, workdir.unpack(library()));
    assertArrayEquals(right, Files.readAllBytes(file));
  }

  @Test
  void leftoversOfKilledProcessesAreDeleted() throws Exception {
    Workdir workdir = new Workdir(folder.resolve("work"), true);
    Path inner = workdir.unpack(library()).getParent();
    Path old = Files.createFile(inner.resolve("old.part"));
    Files.setLastModifiedTime(old, FileTime.from(Instant.now().minus(Duration.ofHours(2))));
    Path young = Files.createFile(inner.resolve("young.part"));
    workdir.unpack(library());
    assertFalse(Files.exists(old));
    assertTrue(Files.exists(young));
  }

  @Test
  @DisabledOnOs(OS.WINDOWS) // permissions of POSIX
  void foldersBelongToTheUserAlone() throws Exception {
    Workdir workdir = new Workdir(folder.resolve("a/b"), false);
    Path file = workdir.unpack(library());
    for (Path p = file.getParent(); !p.equals(folder); p = p.getParent()) {
      assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(p)));
    }
  }

  @Test
  @DisabledOnOs(OS.WINDOWS) // permissions of POSIX
  void foldersThatOthersCanChangeAreRefused() throws Exception {
    Path open = Files.createDirectory(folder.resolve("open"));
    Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rwxrwxrwx"));
    refused(new Workdir(open, true), "can be written by other users");
    Path mine = Files.createDirectory(folder.resolve("mine"));
    Path link = Files.createSymbolicLink(folder.resolve("link"), mine);
    refused(new Workdir(link, true), "is no folder");
    Workdir workdir = new Workdir(mine, false);
    Path inner = workdir.unpack(library()).getParent();
    Files.setPosixFilePermissions(inner, PosixFilePermissions.fromString("rwxrwx---"));
    refused(workdir, "[" + inner + "] can be written by other users");
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void foldersOfSomebodyElseAreRefused() throws Exception {
    assumeTrue(root(), "only root can make a folder of another user");
    Path theirs = Files.createDirectory(folder.resolve("theirs"));
    Files.setAttribute(theirs, "unix:uid", 54321);
    refused(new Workdir(theirs, true), "belongs to [54321]");
  }

  @Test
  void manyAtOnceUnpackTheSameLibrary() throws Exception {
    Workdir workdir = new Workdir(folder.resolve("work"), true);
    List<Callable<Path>> calls = new ArrayList<>();
    for (int i = 0; i < 16; i++) {
      calls.add(() -> workdir.unpack(library()));
    }
    try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
      for (Future<Path> path : threads.invokeAll(calls)) {
        assertEquals(workdir.unpack(library()), path.get());
      }
    }
    try (Stream<Path> files = Files.walk(folder).filter(Files::isRegularFile)) {
      assertEquals(1, files.count());
    }
  }

  /** A JVM in a mount namespace of its own, where {@code folder/noexec} forbids execution. */
  private String reportWhereExecutionIsForbidden(String... options) throws Exception {
    return reportAfter("mount -t tmpfs -o noexec none \"$1\"", "noexec", options);
  }

  private String reportAfter(String mount, String place, String... options) throws Exception {
    assumeTrue(root() && mayMount(), "mounting a file system is not allowed here");
    Path mounted = Files.createDirectories(folder.resolve(place));
    Path jar = NativeJar.of("status").write(folder.resolve("native.jar"));
    List<String> command = new ArrayList<>();
    command.addAll(List.of("unshare", "-m", "sh", "-c"));
    command.add(mount + " && shift && exec \"$@\"");
    command.addAll(List.of("sh", mounted.toString()));
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("--enable-native-access=ALL-UNNAMED");
    command.add("-Djava.library.path=");
    command.addAll(List.of(options));
    command.addAll(List.of("-cp", classes() + File.pathSeparator + jar, "dev.nearfield.Main"));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().remove("XDG_CACHE_HOME");
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    return output;
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void filledFolderMayBeReadOnly() throws Exception {
    new Workdir(folder.resolve("filled"), false).unpack(library());
    String readOnly = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    String option = "-D" + Workdir.PROPERTY + "=" + folder + "/filled";
    assertContains(reportAfter(readOnly, "filled", option), "cuda    available");
    try (Stream<Path> files = Files.walk(folder.resolve("filled"))) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.delete(file);
      }
    }
    assertContains(reportAfter(readOnly, "filled", option), "filled] cannot be written (Read-only");
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void folderThatForbidsExecutionIsNamed() throws Exception {
    String report =
        reportWhereExecutionIsForbidden("-D" + Workdir.PROPERTY + "=" + folder + "/noexec/work");
    assertContains(report, "cuda    not available: the library cannot be unpacked: [");
    assertContains(report, "noexec/work");
    assertContains(report, "forbids execution (mounted noexec?)");
    assertContains(report, "Next step: cuda: Set -D" + Workdir.PROPERTY + " to a folder");
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void nextFolderIsTriedWhereExecutionIsForbidden() throws Exception {
    Path temporary = Files.createDirectory(folder.resolve("tmp"));
    String report =
        reportWhereExecutionIsForbidden(
            "-Duser.home=" + folder + "/noexec", "-Djava.io.tmpdir=" + temporary);
    assertContains(report, "noexec/.cache/nearfield/native");
    assertContains(report, "forbids execution");
    assertContains(report, "unpacked to " + temporary + "/nearfield-");
    assertContains(report, "cuda    available");
  }

  private static void assertContains(String text, String part) {
    assertTrue(text.contains(part), () -> "no [" + part + "] in:\n" + text);
  }

  private static boolean root() throws IOException {
    Path self = Path.of("/proc/self");
    return Files.exists(self) && Files.getAttribute(self, "unix:uid").equals(0);
  }

  /** Root of a container often may not. */
  private static boolean mayMount() throws Exception {
    return new ProcessBuilder("unshare", "-m", "mount", "-t", "tmpfs", "none", "/tmp")
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start()
            .waitFor()
        == 0;
  }

  private static Path classes() throws URISyntaxException {
    return Path.of(LibraryLoader.class.getProtectionDomain().getCodeSource().getLocation().toURI());
  }
}
