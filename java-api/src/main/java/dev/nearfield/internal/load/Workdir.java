// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.internal.load.PackagedLibrary.Part;
import dev.nearfield.internal.natives.LoadException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A folder that libraries from jars are unpacked to. Every JVM of a user shares it: a file appears
 * under its name by one atomic move and is checked by its SHA-256 before every use, so there are no
 * locks and nothing to delete at the end.
 *
 * @param shared lies in a folder that other users write to as well
 */
record Workdir(Path path, boolean shared) {
  static final String PROPERTY = "nearfield.native.workdir";

  private static final String HINT =
      "Set -D" + PROPERTY + " to a folder that this user may write to and run programs from.";

  /** Belongs to this process, on Linux; to root where the process hides from its user. */
  private static final Path PROCESS = Path.of("/proc/self");

  /** Nobody takes this long to write a file. */
  private static final Duration LEFT_OVER = Duration.ofHours(1);

  /** Those of this process, to be tried in order; {@code refused} gets a sentence on each other. */
  static List<Workdir> candidates(Consumer<String> refused) {
    return candidates(
        System.getProperty(PROPERTY), System.getenv(), Platform.current().os(), refused);
  }

  /** What a person sets is not second-guessed: no other folder is tried then. */
  static List<Workdir> candidates(
      @Nullable String property,
      Map<String, String> environment,
      String os,
      Consumer<String> refused) {
    List<Workdir> workdirs = new ArrayList<>();
    if (property != null && !property.isBlank()) {
      Path set = path("-D" + PROPERTY, () -> Path.of(property).toAbsolutePath(), refused);
      if (set != null) {
        workdirs.add(new Workdir(set, false));
      }
      return workdirs;
    }
    Path cache = path("the user's cache folder", () -> cache(environment, os), refused);
    if (cache != null && cache.isAbsolute()) { // there are users without a home
      workdirs.add(new Workdir(cache.resolve("nearfield/native"), false));
    }
    Path temporary =
        path(
            "the temporary folder",
            () -> Path.of(System.getProperty("java.io.tmpdir", "")).toAbsolutePath(),
            refused);
    if (temporary != null) {
      String user = System.getProperty("user.name", "").replaceAll("[^\\w.-]", "_");
      workdirs.add(new Workdir(temporary.resolve("nearfield-" + user), true));
    }
    return workdirs;
  }

  private static Path cache(Map<String, String> environment, String os) {
    if (os.equals("windows")) {
      return Path.of(environment.getOrDefault("LOCALAPPDATA", ""));
    }
    Path xdg = Path.of(os.equals("osx") ? "" : environment.getOrDefault("XDG_CACHE_HOME", ""));
    if (xdg.isAbsolute()) {
      return xdg;
    }
    Path home = Path.of(System.getProperty("user.home", ""));
    return home.resolve(os.equals("osx") ? "Library/Caches" : ".cache");
  }

  /** Null for a name that the locale of this process cannot say: LC_ALL=C and letters beyond it. */
  private static @Nullable Path path(
      String what, Supplier<Path> supplier, Consumer<String> refused) {
    try {
      return supplier.get();
    } catch (InvalidPathException e) {
      refused.accept("%s is no path (%s)".formatted(what, e.getMessage()));
      return null;
    }
  }

  /** No folder will do: {@code reasons} holds a sentence about each. */
  static LoadException refused(String reasons) {
    return new LoadException(
        Reason.LOAD_FAILED, "the library cannot be unpacked: " + reasons, HINT);
  }

  /** A folder that cannot be used, said in a sentence. */
  static final class UnusableException extends Exception {
    private static final long serialVersionUID = 1;

    UnusableException(String message) {
      super(message);
    }
  }

  /**
   * Puts the files of the library there, unless they are already, and answers the path of its
   * first.
   *
   * @throws LoadException when the jar is at fault, whatever the folder
   */
  Path unpack(PackagedLibrary library) throws UnusableException, LoadException {
    Path folder = path.resolve(library.unpackedName());
    try {
      createOwned(path, shared);
      createOwned(folder, true);
      deleteLeftovers(folder);
      for (Part part : library.parts()) {
        Path target = folder.resolve(part.name());
        if (!holds(target, part)) {
          unpack(library, part, target);
        }
      }
    } catch (PackagedLibrary.ReadException e) {
      throw PackagedLibrary.damaged(Objects.toString(e.getMessage()));
    } catch (IOException | UnsupportedOperationException e) {
      throw new UnusableException("[%s] cannot be written (%s)".formatted(path, why(e)));
    }
    return fileOf(library);
  }

  /** Where {@link #unpack} puts the library's first file, which depends on the content. */
  Path fileOf(PackagedLibrary library) {
    return path.resolve(library.unpackedName()).resolve(library.parts().getFirst().name());
  }

  /** Files of JVMs that were killed while they wrote. */
  private static void deleteLeftovers(Path folder) throws IOException {
    FileTime old = FileTime.from(Instant.now().minus(LEFT_OVER));
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.part")) {
      for (Path file : files) {
        if (Files.getLastModifiedTime(file, LinkOption.NOFOLLOW_LINKS).compareTo(old) < 0) {
          Files.deleteIfExists(file);
        }
      }
    } catch (FileSystemException | DirectoryIteratorException e) {
      // another JVM was faster, or the folder cannot be written, which is no fault of a filled one
    }
  }

  /** Without the path, which most of these repeat. */
  private static String why(Exception e) {
    String text = e instanceof FileSystemException f ? f.getReason() : e.getMessage();
    return text != null ? text : e.getClass().getSimpleName();
  }

  /**
   * Creates the folder for this user alone. One that exists and has to be private is looked at
   * first.
   */
  private static void createOwned(Path folder, boolean isPrivate)
      throws IOException, UnusableException {
    boolean posix = folder.getFileSystem().supportedFileAttributeViews().contains("posix");
    FileAttribute<?>[] mode =
        posix
            ? new FileAttribute<?>[] {
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"))
            }
            : new FileAttribute<?>[0];
    if (!isPrivate || !posix) {
      if (!Files.isDirectory(folder)) {
        Files.createDirectories(folder, mode);
      }
      return;
    }
    if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
      try {
        Files.createDirectory(folder, mode);
      } catch (FileAlreadyExistsException e) {
        // another JVM was faster
      }
    }
    requireFolder(folder);
    Set<PosixFilePermission> allowed =
        Files.getPosixFilePermissions(folder, LinkOption.NOFOLLOW_LINKS);
    if (allowed.contains(PosixFilePermission.GROUP_WRITE)
        || allowed.contains(PosixFilePermission.OTHERS_WRITE)) {
      throw new UnusableException("[%s] can be written by other users".formatted(folder));
    }
    UserPrincipal owner = Files.getOwner(folder, LinkOption.NOFOLLOW_LINKS);
    if (!owner.equals(ownerOfProcess()) && !owner.equals(ownerOfNewFile(folder))) {
      throw new UnusableException("[%s] belongs to [%s]".formatted(folder, owner.getName()));
    }
    requireFolder(folder); // still, after what was looked at and written
  }

  private static void requireFolder(Path folder) throws UnusableException {
    if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
      throw new UnusableException("[%s] is no folder".formatted(folder));
    }
  }

  /** Found without writing, so that a filled folder may be read-only; null where it is not told. */
  private static @Nullable UserPrincipal ownerOfProcess() throws IOException {
    return Files.isDirectory(PROCESS) ? Files.getOwner(PROCESS) : null;
  }

  /** That is this process, whatever its user is called. */
  private static UserPrincipal ownerOfNewFile(Path folder) throws IOException {
    Path probe = Files.createTempFile(folder, "owner", ".part");
    try {
      return Files.getOwner(probe, LinkOption.NOFOLLOW_LINKS);
    } finally {
      Files.deleteIfExists(probe);
    }
  }

  private static boolean holds(Path file, Part part) throws IOException {
    if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
      return false;
    }
    try (InputStream in = Files.newInputStream(file)) {
      return Sha256.copy(in, OutputStream.nullOutputStream()).equals(part.sha256());
    }
  }

  private static void unpack(PackagedLibrary library, Part part, Path target)
      throws IOException, LoadException {
    Path temporary = Files.createTempFile(target.getParent(), part.name(), ".part");
    try {
      String sha256;
      try (InputStream in = library.open(part);
          OutputStream out = Files.newOutputStream(temporary)) {
        sha256 = Sha256.copy(in, out);
      }
      if (!sha256.equals(part.sha256())) {
        throw PackagedLibrary.damaged(
            "%s in %s has SHA-256 [%s], its properties say [%s]"
                .formatted(part.name(), library.source(), sha256, part.sha256()));
      }
      Files.move(
          temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }
}
