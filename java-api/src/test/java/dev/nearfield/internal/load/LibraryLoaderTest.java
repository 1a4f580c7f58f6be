// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import dev.nearfield.BackendStatus.Available;
import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.BackendStatus.Unavailable;
import dev.nearfield.Device;
import dev.nearfield.LoadAttempt;
import dev.nearfield.Properties;
import dev.nearfield.internal.device.Backends;
import dev.nearfield.internal.natives.LoadException;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Every way in which a library can be missing or wrong. CUDA stands for any backend. */
class LibraryLoaderTest {
  private static final String PATH = "nearfield.native.cuda.path";

  private final Properties properties = new Properties();
  @TempDir Path folder;

  @AfterEach
  void restore() {
    properties.close();
    Backends.forget(BackendKind.CUDA);
  }

  private BackendStatus statusOf(Path library) {
    properties.set(PATH, library.toString());
    Backends.forget(BackendKind.CUDA);
    return Backends.status(BackendKind.CUDA);
  }

  private Unavailable refused(Path library, Reason reason, String... parts) {
    Unavailable status = assertInstanceOf(Unavailable.class, statusOf(library));
    assertEquals(reason, status.reason(), status.toString());
    for (String part : parts) {
      assertTrue(status.detail().contains(part), status.detail());
    }
    assertTrue(status.hint().endsWith("."), status.hint());
    assertEquals(1, status.attempts().size(), status.attempts().toString());
    assertEquals("-D" + PATH + "=" + library, status.attempts().getFirst().source());
    return status;
  }

  @Test
  void missingFile() {
    Path library = folder.resolve("libnearfield_cuda.so");
    refused(library, Reason.NOT_FOUND, "[" + library + "]", "no such file");
  }

  @Test
  void folderInsteadOfFile() {
    refused(folder, Reason.NOT_FOUND, "no such file");
  }

  @Test
  @EnabledOnOs(OS.LINUX) // ELF
  void textFile() throws IOException {
    Path library = Files.writeString(folder.resolve("libtext.so"), "not a library, ".repeat(100));
    refused(library, Reason.LOAD_FAILED, library.toString(), "no ELF file");
    refused(Files.writeString(folder.resolve("short.so"), "x"), Reason.LOAD_FAILED, "no ELF file");
  }

  @Test
  @EnabledOnOs(OS.LINUX) // ELF
  void truncatedLibrary() throws IOException {
    byte[] whole = Files.readAllBytes(NativeBuild.fixture("status"));
    for (int length : new int[] {64, 100, 4096, whole.length / 2}) {
      Path library = folder.resolve("cut" + length + ".so");
      Files.write(library, Arrays.copyOf(whole, length));
      refused(library, Reason.LOAD_FAILED, "truncated", "[" + length + "]");
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX) // ELF
  void otherProcessorPassesOnWhatTheLinkerSays() throws IOException {
    byte[] library = Files.readAllBytes(NativeBuild.fixture("status"));
    library[18] = (byte) 0xf3; // e_machine: RISC-V
    Path path = Files.write(folder.resolve("riscv.so"), library);
    Unavailable status = refused(path, Reason.LOAD_FAILED);
    assertTrue(status.detail().startsWith(path + ": "), status.detail());
    assertTrue(status.detail().length() > (path + ": ").length() + 10, status.detail());
  }

  @Test
  void olderGlibcIsNamed() {
    LoadException e =
        LibraryLoader.failure(
            "/lib64/libc.so.6: version `GLIBC_2.28' not found (required by libnearfield_cuda.so)");
    assertEquals(Reason.UNSUPPORTED_PLATFORM, e.reason());
    assertTrue(String.valueOf(e.getMessage()).contains("needs glibc 2.28 or later"), e::toString);
    assertTrue(e.hint().contains("glibc 2.28 or later"), e.hint());
    LoadException other = LibraryLoader.failure("libgcc_s.so.1: cannot open shared object file");
    assertEquals(Reason.LOAD_FAILED, other.reason());
    assertEquals(LoadException.REINSTALL_HINT, other.hint());
  }

  @Test
  void libraryWithoutTheEntry() {
    refused(NativeBuild.fixture("no_entry"), Reason.LOAD_FAILED, "does not export nf_get_api");
  }

  @Test
  void otherAbiMajorNamesBothNumbers() {
    refused(NativeBuild.fixture("abi_2"), Reason.ABI_MISMATCH, "ABI major 1", "[2]");
  }

  @Test
  void olderTableNamesBothSizes() {
    refused(NativeBuild.fixture("short_table"), Reason.ABI_MISMATCH, "[112] bytes", "needs 224");
  }

  @Test
  void missingFunctionIsNamed() {
    refused(NativeBuild.fixture("null_entry"), Reason.ABI_MISMATCH, "[index_search]");
  }

  @Test
  void noDeviceNoDriverOldDriver() {
    refused(NativeBuild.fixture("no_device"), Reason.NO_DEVICE, "no device");
    refused(NativeBuild.fixture("no_driver"), Reason.DRIVER_MISSING, "device_count: status 14");
    refused(NativeBuild.fixture("old_driver"), Reason.DRIVER_TOO_OLD, "device_count: status 9");
    // As the shipped libraries say it: the call succeeds, and describes why there is none.
    refused(NativeBuild.fixture("absent_driver"), Reason.DRIVER_MISSING, "for reason 14");
    refused(NativeBuild.fixture("outdated_driver"), Reason.DRIVER_TOO_OLD, "for reason 9");
    refused(NativeBuild.fixture("driver_alone"), Reason.NO_DEVICE, "for reason 0");
  }

  @Test
  void loadedLibraryTellsItsVersionAndDevices() {
    Path library = NativeBuild.fixture("status");
    Available status = assertInstanceOf(Available.class, statusOf(library));
    BackendStatus.NativeLibrary loaded = status.library().orElseThrow();
    assertEquals(library, loaded.path());
    assertEquals(1, loaded.abiMajor());
    assertEquals(7, loaded.abiMinor());
    assertEquals("0.0.0 fixture", loaded.build());
    assertEquals(16, status.devices().size());
    Device device = status.devices().get(1);
    assertEquals("cuda:1", device.id());
    assertEquals("Fixture 1", device.name());
    assertEquals("d".repeat(128), device.driver()); // an array without a terminator
    assertEquals(1024, device.totalMemoryBytes());
    assertTrue(device.software());
    assertEquals(
        List.of(new LoadAttempt("-D" + PATH + "=" + library, "loaded")), status.attempts());
  }

  @Test
  void failureIsNotRemembered() {
    refused(folder.resolve("absent.so"), Reason.NOT_FOUND);
    assertInstanceOf(Available.class, statusOf(NativeBuild.fixture("status")));
  }

  @Test
  void libraryPathIsSearchedPastABrokenLibrary() throws IOException {
    String file = System.mapLibraryName("nearfield_cuda");
    Path broken = Files.createDirectory(folder.resolve("broken"));
    Files.copy(NativeBuild.fixture("no_entry"), broken.resolve(file));
    Path good = Files.createDirectory(folder.resolve("good"));
    Files.copy(NativeBuild.fixture("status"), good.resolve(file));
    properties.set(
        "java.library.path",
        String.join(File.pathSeparator, "\0", broken.toString(), good.toString()));
    Backends.forget(BackendKind.CUDA);
    Available status = assertInstanceOf(Available.class, Backends.status(BackendKind.CUDA));
    assertEquals(good.resolve(file), status.library().orElseThrow().path());
    List<LoadAttempt> attempts = status.attempts();
    assertEquals(4, attempts.size(), attempts.toString());
    assertEquals(new LoadAttempt("-D" + PATH, "not set"), attempts.get(0));
    assertEquals("this is not a path", attempts.get(1).outcome());
    assertTrue(attempts.get(2).source().contains(broken.toString()), attempts.toString());
    assertTrue(attempts.get(2).outcome().contains("nf_get_api"), attempts.toString());
    assertEquals("loaded", attempts.get(3).outcome());
  }

  @Test
  void nothingFoundNamesFileAndFolders() {
    properties.set("java.library.path", folder.toString());
    Backends.forget(BackendKind.CUDA);
    Unavailable status = assertInstanceOf(Unavailable.class, Backends.status(BackendKind.CUDA));
    assertEquals(Reason.NOT_FOUND, status.reason());
    assertTrue(status.detail().contains(System.mapLibraryName("nearfield_cuda")), status.detail());
    List<LoadAttempt> attempts = status.attempts();
    assertTrue(attempts.get(1).outcome().contains("[" + folder + "]"), attempts.toString());
    assertTrue(attempts.get(2).outcome().contains("META-INF/nearfield/cuda/"), attempts.toString());
    assertEquals(3, attempts.size(), attempts.toString());
    assertTrue(status.hint().contains("dev.nearfield:nearfield-native-cuda:"), status.hint());
  }

  @Test
  void switchedOffByProperty() {
    assertInstanceOf(Available.class, statusOf(NativeBuild.fixture("status")));
    properties.set("nearfield.cuda.enabled", "false");
    Unavailable status = assertInstanceOf(Unavailable.class, Backends.status(BackendKind.CUDA));
    assertEquals(Reason.DISABLED_BY_CONFIG, status.reason());
    assertTrue(status.detail().contains("-Dnearfield.cuda.enabled=false"), status.detail());
  }
}
