// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.PackagedLibrary.Part;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.zip.ZipException;
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

  /** Those of this process, to be tried in order. */
  static List<Workdir> candidates() throws LoadException {
    try {
      return candidates(System.getProperty(PROPERTY), System.getenv(), Platform.current().os());
    } catch (InvalidPathException e) {
      throw refused("-D" + PROPERTY + " is no path: " + e.getMessage());
    }
  }

  /** What a person sets is not second-guessed: no other folder is tried then. */
  static List<Workdir> candidates(
      @Nullable String property, Map<String, String> environment, String os) {
    if (property != null) {
      return List.of(new Workdir(Path.of(property).toAbsolutePath(), false));
    }
    List<Workdir> workdirs = new ArrayList<>();
    Path home = Path.of(System.getProperty("user.home", ""));
    Path cache =
        switch (os) {
          case "windows" -> Path.of(environment.getOrDefault("LOCALAPPDATA", ""));
          case "osx" -> home.resolve("Library/Caches");
          default -> {
            Path xdg = Path.of(environment.getOrDefault("XDG_CACHE_HOME", ""));
            yield xdg.isAbsolute() ? xdg : home.resolve(".cache");
          }
        };
    if (cache.isAbsolute()) { // there are users without a home
      workdirs.add(new Workdir(cache.resolve("nearfield/native"), false));
    }
    String user = System.getProperty("user.name", "").replaceAll("[^\\w.-]", "_");
    Path temporary = Path.of(System.getProperty("java.io.tmpdir", "")).toAbsolutePath();
    workdirs.add(new Workdir(temporary.resolve("nearfield-" + user), true));
    return workdirs;
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
      for (Part part : library.parts()) {
        Path target = folder.resolve(part.name());
        if (!holds(target, part)) {
          unpack(library, part, target);
        }
      }
    } catch (IOException | UnsupportedOperationException e) {
      throw new UnusableException("[%s] cannot be written (%s)".formatted(path, why(e)));
    }
    return folder.resolve(library.parts().getFirst().name());
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
      Files.createDirectories(folder, mode);
      return;
    }
    if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
      try {
        Files.createDirectory(folder, mode);
      } catch (FileAlreadyExistsException e) {
        // another JVM was faster
      }
    }
    if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
      throw new UnusableException("[%s] is no folder".formatted(folder));
    }
    Set<PosixFilePermission> allowed =
        Files.getPosixFilePermissions(folder, LinkOption.NOFOLLOW_LINKS);
    if (allowed.contains(PosixFilePermission.GROUP_WRITE)
        || allowed.contains(PosixFilePermission.OTHERS_WRITE)) {
      throw new UnusableException("[%s] can be written by other users".formatted(folder));
    }
    // A new file belongs to this process, whatever its user is called.
    Path probe = Files.createTempFile(folder, "owner", ".part");
    try {
      if (!Files.getOwner(probe).equals(Files.getOwner(folder))) {
        throw new UnusableException(
            "[%s] belongs to [%s]".formatted(folder, Files.getOwner(folder).getName()));
      }
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
      } catch (ZipException e) {
        throw PackagedLibrary.damaged(
            "%s in %s cannot be read (%s)".formatted(part.name(), library.source(), e));
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
