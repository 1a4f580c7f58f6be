// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Accelerators;
import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import dev.nearfield.BackendStatus.Available;
import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.BackendStatus.Unavailable;
import dev.nearfield.Properties;
import dev.nearfield.internal.device.Backends;
import java.io.IOException;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Libraries in jars: right ones load, wrong ones are named. CUDA stands for any backend. */
class PackagedLibraryTest {
  private static final String FILE = System.mapLibraryName("nearfield_cuda");

  private final Properties properties = new Properties();
  private final Thread thread = Thread.currentThread();
  private final ClassLoader before = thread.getContextClassLoader();
  @TempDir Path folder;
  private Path workdir;
  private final List<URLClassLoader> loaders = new ArrayList<>();

  @BeforeEach
  void useOwnWorkdir() {
    workdir = folder.resolve("work dir");
    properties.set(Workdir.PROPERTY, workdir.toString());
    properties.set("java.library.path", "");
  }

  @AfterEach
  void restore() throws IOException {
    for (URLClassLoader loader : loaders) {
      loader.close();
    }
    thread.setContextClassLoader(before);
    properties.close();
    Backends.forget(BackendKind.CUDA);
  }

  private BackendStatus statusWith(NativeJar... jars) throws IOException {
    Path[] files = new Path[jars.length];
    for (int i = 0; i < jars.length; i++) {
      files[i] = jars[i].write(folder.resolve("native " + loaders.size() + " " + i + ".jar"));
    }
    loaders.add(NativeJar.loader(files)); // open until the end of the test: reports read it again
    thread.setContextClassLoader(loaders.getLast());
    Backends.forget(BackendKind.CUDA);
    return Backends.status(BackendKind.CUDA);
  }

  private Path loadedFrom(NativeJar... jars) throws IOException {
    BackendStatus status = statusWith(jars);
    Available available = assertInstanceOf(Available.class, status, status.toString());
    assertTrue(available.attempts().getLast().outcome().endsWith(": loaded"));
    return available.library().orElseThrow().path();
  }

  private Unavailable refused(NativeJar jar, Reason reason, String... parts) throws IOException {
    BackendStatus status = statusWith(jar);
    Unavailable why = assertInstanceOf(Unavailable.class, status, status.toString());
    assertEquals(reason, why.reason(), status.toString());
    for (String part : parts) {
      assertTrue(why.detail().contains(part), "no [" + part + "] in: " + why.detail());
    }
    assertTrue(why.hint().endsWith("."), why.hint());
    String report = Accelerators.report();
    assertTrue(report.contains("cuda    not available: " + why.detail()), report);
    assertTrue(report.contains("Next step: cuda: " + why.hint()), report);
    return why;
  }

  private List<String> unpacked() throws IOException {
    try (Stream<Path> all = Files.walk(workdir)) {
      return all.filter(Files::isRegularFile)
          .map(p -> p.getFileName().toString())
          .sorted()
          .toList();
    }
  }

  @Test
  void loadsAndIsUsedAgain() throws IOException {
    Path library = loadedFrom(NativeJar.of("status").with("beside.txt", new byte[] {1, 2}));
    assertEquals(workdir, library.getParent().getParent());
    String name = library.getParent().getFileName().toString();
    assertTrue(name.matches("\\Q" + NearfieldVersion.current() + "\\E-[0-9a-f]{16}"), name);
    assertEquals(List.of("beside.txt", FILE), unpacked());
    FileTime old = FileTime.fromMillis(1_000_000_000_000L);
    Files.setLastModifiedTime(library, old);
    assertEquals(library, loadedFrom(NativeJar.of("status").with("beside.txt", new byte[] {1, 2})));
    assertEquals(old, Files.getLastModifiedTime(library));
    Files.delete(library); // what is loaded is not looked at again
    assertEquals(library, loadedFrom(NativeJar.of("status").with("beside.txt", new byte[] {1, 2})));
    assertFalse(Files.exists(library));
  }

  @Test
  void otherContentHasAnotherFolder() throws IOException {
    Path one = loadedFrom(NativeJar.of("status"));
    Path other = loadedFrom(NativeJar.of("software"));
    assertFalse(one.equals(other));
  }

  @Test
  void changedLibraryInTheJarIsRefused() throws IOException {
    NativeJar jar = NativeJar.of("status");
    jar.files.get(FILE)[1000] ^= 1;
    String wanted = jar.properties.get("sha256." + FILE);
    refused(jar, Reason.LOAD_FAILED, FILE, "[" + wanted + "]", "damaged or was changed");
    assertEquals(List.of(), unpacked());
  }

  @Test
  void incompleteJarsAreRefused() throws IOException {
    NativeJar empty = NativeJar.of("status");
    empty.files.clear();
    refused(empty, Reason.LOAD_FAILED, FILE + " is not in ");
    NativeJar unsummed = NativeJar.of("status");
    unsummed.properties.remove("sha256." + FILE);
    refused(unsummed, Reason.LOAD_FAILED, "has no [sha256." + FILE + "]");
    NativeJar outside = NativeJar.of("status").with("files", "../" + FILE);
    refused(outside, Reason.LOAD_FAILED, "names the file [../" + FILE + "]");
    refused(NativeJar.of("status").with("version", "\\u12"), Reason.LOAD_FAILED, "cannot be read");
  }

  @Test
  void otherVersionIsNamedAndPassedOver() throws IOException {
    NativeJar old = NativeJar.of("status").with("version", "0.0.9");
    String both = "has version [0.0.9], nearfield has " + NearfieldVersion.current();
    Unavailable why = refused(old, Reason.LOAD_FAILED, "nearfield-native-cuda " + both);
    assertTrue(why.hint().contains("nearfield-native-cuda:" + NearfieldVersion.current()));
    Path library = loadedFrom(old, NativeJar.of("status"));
    assertTrue(library.startsWith(workdir), library.toString());
  }

  @Test
  void otherAbiIsNamed() throws IOException {
    refused(NativeJar.of("status").with("abi", "2"), Reason.ABI_MISMATCH, "major [2]", "speaks 1");
    refused(NativeJar.of("abi_2"), Reason.ABI_MISMATCH, "ABI major 1", "[2]");
  }

  @Test
  void otherPlatformIsNamed() throws IOException {
    NativeJar jar = NativeJar.of("status");
    String here = jar.platform;
    jar.platform = here.startsWith("windows") ? "linux-x86_64" : "windows-x86_64";
    Unavailable why =
        refused(
            jar, Reason.LOAD_FAILED, "there for [" + jar.platform + "], this is [" + here + "]");
    assertTrue(why.hint().contains(":" + here), why.hint());
  }

  @Test
  void folderThatCannotBeWrittenIsNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");
    Path impossible = file.resolve("work");
    properties.set(Workdir.PROPERTY, impossible.toString());
    Unavailable why =
        refused(
            NativeJar.of("status"), Reason.LOAD_FAILED, "[" + impossible + "] cannot be written");
    assertTrue(why.hint().contains("-D" + Workdir.PROPERTY), why.hint());
    properties.set(Workdir.PROPERTY, "\0");
    refused(NativeJar.of("status"), Reason.LOAD_FAILED, "-D" + Workdir.PROPERTY + " is no path");
  }

  @Test
  void libraryPathComesFirstAndAnExplicitFileAlone() throws IOException {
    Path good = Files.createDirectory(folder.resolve("good"));
    Files.copy(NativeBuild.fixture("status"), good.resolve(FILE));
    properties.set("java.library.path", good.toString());
    BackendStatus status = statusWith(NativeJar.of("status"));
    assertEquals(
        good.resolve(FILE),
        assertInstanceOf(Available.class, status).library().orElseThrow().path());
    properties.set("java.library.path", "");
    properties.set("nearfield.native.cuda.path", folder.resolve("absent").toString());
    status = statusWith(NativeJar.of("status"));
    assertEquals(Reason.NOT_FOUND, assertInstanceOf(Unavailable.class, status).reason());
  }

  @Test
  void jarIsTriedAfterABrokenLibraryPath() throws IOException {
    Path broken = Files.createDirectory(folder.resolve("broken"));
    Files.copy(NativeBuild.fixture("no_entry"), broken.resolve(FILE));
    properties.set("java.library.path", broken.toString());
    assertTrue(loadedFrom(NativeJar.of("status")).startsWith(workdir));
  }
}
