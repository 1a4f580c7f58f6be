// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.LoadAttempt;
import dev.nearfield.internal.load.Workdir.UnusableException;
import dev.nearfield.internal.natives.LoadException;
import dev.nearfield.internal.natives.NativeCalls;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Finds and loads the native library of a backend, at first use and never in a static initializer,
 * so that a failure can be read, mended and tried again. Looks at
 *
 * <ol>
 *   <li>{@code -Dnearfield.native.<backend>.path}, a file; when set, nothing else,
 *   <li>the folders of {@code java.library.path},
 *   <li>jars on the class path and the module path ({@link PackagedLibraries}), whose library is
 *       unpacked to a {@link Workdir}.
 * </ol>
 *
 * A library stays loaded until the JVM ends: its handles are in use by other threads.
 */
public final class LibraryLoader {
  private static final String LIBRARY_PATH = "java.library.path";

  /** What glibc says where a file system is mounted noexec; truncated files are refused earlier. */
  private static final String FORBIDDEN = "failed to map segment";

  /** What glibc says of a library that was linked against a later one. */
  private static final Pattern NEEDED_GLIBC =
      Pattern.compile("version `GLIBC_(\\d[\\d.]*)' not found");

  /** By absolute path; only libraries whose table was accepted. */
  private static final Map<Path, NativeCalls> LOADED = new ConcurrentHashMap<>();

  private final BackendKind kind;
  private final Platform platform;
  private final List<LoadAttempt> attempts = new ArrayList<>();
  private @Nullable LoadException firstFailure;

  private LibraryLoader(BackendKind kind, Platform platform) {
    this.kind = kind;
    this.platform = platform;
  }

  /** What came of it: a library or the reason, and in both cases where it was looked for. */
  public record Outcome(
      @Nullable NativeCalls calls,
      @Nullable Path path,
      @Nullable LoadException failure,
      List<LoadAttempt> attempts) {}

  public static Outcome load(BackendKind kind, Platform platform) {
    return new LibraryLoader(kind, platform).load();
  }

  /** What {@link #load} depends on and may change between two calls; keeps no class loader. */
  public static List<Object> settings(BackendKind kind) {
    return List.of(
        System.getProperty(property(kind), ""),
        System.getProperty(LIBRARY_PATH, ""),
        System.getProperty(Workdir.PROPERTY, ""),
        System.identityHashCode(Thread.currentThread().getContextClassLoader()));
  }

  private static String property(BackendKind kind) {
    return "nearfield.native." + kind.id() + ".path";
  }

  private Outcome load() {
    String property = property(kind);
    String explicit = System.getProperty(property);
    String unsupported = platform.unsupported(kind);
    if (explicit == null && unsupported != null) {
      return failed(
          new LoadException(
              Reason.UNSUPPORTED_PLATFORM, unsupported, "Use another backend on this platform."));
    }
    if (!NativeAccess.granted()) {
      return failed(
          new LoadException(
              Reason.NATIVE_ACCESS_DENIED,
              "the JVM does not allow native access to " + NativeAccess.who(),
              "Start java with " + NativeAccess.flag() + "."));
    }
    if (explicit != null) {
      return tryExplicit(property, explicit);
    }
    attempts.add(new LoadAttempt("-D" + property, "not set"));
    Loaded loaded = fromLibraryPath();
    if (loaded == null) {
      loaded = fromJars();
    }
    if (loaded != null) {
      return new Outcome(loaded.calls, loaded.path, null, List.copyOf(attempts));
    }
    return failed(firstFailure != null ? firstFailure : notFound(property));
  }

  private record Loaded(NativeCalls calls, Path path) {}

  private @Nullable Loaded fromLibraryPath() {
    String file = System.mapLibraryName("nearfield_" + kind.id());
    String searchPath = System.getProperty(LIBRARY_PATH, "");
    boolean found = false;
    for (String folder : searchPath.split(File.pathSeparator)) {
      Path path;
      try {
        path = Path.of(folder.isEmpty() ? "." : folder, file).toAbsolutePath();
      } catch (InvalidPathException e) {
        attempts.add(new LoadAttempt("java.library.path " + folder, "this is not a path"));
        continue;
      }
      if (Files.isRegularFile(path)) {
        found = true;
        NativeCalls calls = tryFile("java.library.path " + path, path);
        if (calls != null) {
          return new Loaded(calls, path);
        }
      }
    }
    if (!found) {
      attempts.add(new LoadAttempt("java.library.path", "no " + file + " in [" + searchPath + "]"));
    }
    return null;
  }

  private @Nullable Loaded fromJars() {
    String folder = PackagedLibrary.folder(kind, platform.toString());
    try {
      Map<String, PackagedLibrary.Folder> folders =
          PackagedLibraries.folders(kind, platform.toString());
      for (Map.Entry<String, PackagedLibrary.Folder> at : folders.entrySet()) {
        Loaded loaded = fromJar(at.getKey(), at.getValue());
        if (loaded != null) {
          return loaded;
        }
      }
      if (folders.isEmpty()) {
        attempts.add(new LoadAttempt("class path and module path", "no " + folder));
        List<String> others = PackagedLibraries.otherPlatforms(kind, platform.toString());
        if (!others.isEmpty()) {
          throw new LoadException(
              Reason.LOAD_FAILED,
              "%s is there for %s, this is [%s]".formatted(artifact(), others, platform),
              dependencyHint());
        }
      }
    } catch (IOException e) {
      attempts.add(new LoadAttempt(folder, "it cannot be looked for: " + e));
    } catch (LoadException e) {
      remember("class path and module path", e);
    }
    return null;
  }

  private @Nullable Loaded fromJar(String source, PackagedLibrary.Folder folder) {
    try {
      PackagedLibrary library = PackagedLibrary.read(kind, source, folder);
      if (library == null) {
        return null;
      }
      checkVersion(library);
      return fromWorkdirs(source, library);
    } catch (LoadException e) {
      remember(source, e);
      return null;
    }
  }

  private void checkVersion(PackagedLibrary library) throws LoadException {
    String version = NearfieldVersion.current();
    if (!library.version().equals(version)) {
      throw new LoadException(
          Reason.LOAD_FAILED,
          "%s has version [%s], nearfield has %s".formatted(artifact(), library.version(), version),
          dependencyHint());
    }
    if (!library.abi().equals(String.valueOf(NativeCalls.ownAbiMajor()))) {
      throw new LoadException(
          Reason.ABI_MISMATCH,
          "%s speaks ABI major [%s], nearfield speaks %d"
              .formatted(artifact(), library.abi(), NativeCalls.ownAbiMajor()),
          dependencyHint());
    }
  }

  /** The next folder is tried where one cannot be written or forbids execution. */
  private @Nullable Loaded fromWorkdirs(String source, PackagedLibrary library)
      throws LoadException {
    List<String> reasons = new ArrayList<>();
    Consumer<String> refused =
        reason -> {
          reasons.add(reason);
          attempts.add(new LoadAttempt(source, reason));
        };
    for (Workdir workdir : Workdir.candidates(refused)) {
      try {
        Path path = workdir.fileOf(library);
        NativeCalls calls = LOADED.get(path);
        if (calls == null) {
          calls = NativeCalls.bind(open(workdir.unpack(library)));
          LOADED.put(path, calls);
        }
        attempts.add(new LoadAttempt(source, "unpacked to " + path + ": loaded"));
        return new Loaded(calls, path);
      } catch (UnusableException e) {
        refused.accept(Objects.toString(e.getMessage()));
      }
    }
    keep(Workdir.refused(String.join("; ", reasons))); // each has its attempt already
    return null;
  }

  private String artifact() {
    return "nearfield-native-" + kind.id();
  }

  private String dependencyHint() {
    return "Add the dependency dev.nearfield:%s:%s:%s, of the same version as nearfield itself."
        .formatted(artifact(), NearfieldVersion.current(), platform);
  }

  private LoadException notFound(String property) {
    return new LoadException(
        Reason.NOT_FOUND,
        "no %s was found".formatted(System.mapLibraryName("nearfield_" + kind.id())),
        "Add the dependency dev.nearfield:%s:%s:%s, or build the library and set -D%s=FILE."
            .formatted(artifact(), NearfieldVersion.current(), platform, property));
  }

  private Outcome tryExplicit(String property, String value) {
    Path path;
    try {
      path = Path.of(value).toAbsolutePath();
    } catch (InvalidPathException e) {
      path = null;
    }
    if (path == null || !Files.isRegularFile(path)) {
      attempts.add(new LoadAttempt("-D" + property + "=" + value, "there is no such file"));
      return failed(
          new LoadException(
              Reason.NOT_FOUND,
              "-D%s names [%s], and there is no such file".formatted(property, value),
              "Correct or remove -D" + property + "; while it is set, no other place is tried."));
    }
    NativeCalls calls = tryFile("-D" + property + "=" + value, path);
    return calls != null
        ? new Outcome(calls, path, null, List.copyOf(attempts))
        : failed(Objects.requireNonNull(firstFailure));
  }

  private Outcome failed(LoadException failure) {
    return new Outcome(null, null, failure, List.copyOf(attempts));
  }

  private @Nullable NativeCalls tryFile(String source, Path path) {
    try {
      NativeCalls calls = LOADED.get(path);
      if (calls == null) {
        calls = NativeCalls.bind(open(path));
        LOADED.put(path, calls);
      }
      attempts.add(new LoadAttempt(source, "loaded"));
      return calls;
    } catch (LoadException e) {
      attempts.add(new LoadAttempt(source, Objects.toString(e.getMessage())));
      keep(new LoadException(e.reason(), path + ": " + e.getMessage(), e.hint()));
      return null;
    } catch (UnusableException e) {
      attempts.add(new LoadAttempt(source, Objects.toString(e.getMessage())));
      keep(
          new LoadException(
              Reason.LOAD_FAILED,
              path + ": " + e.getMessage(),
              "Move the library to a folder that programs may be run from."));
      return null;
    }
  }

  private void remember(String source, LoadException e) {
    attempts.add(new LoadAttempt(source, Objects.toString(e.getMessage())));
    keep(e);
  }

  private void keep(LoadException failure) {
    if (firstFailure == null) {
      firstFailure = failure;
    }
  }

  /** Each library is opened by itself: all of them export the same symbol. */
  @SuppressWarnings("restricted")
  private SymbolLookup open(Path path) throws LoadException, UnusableException {
    if (platform.os().equals("linux")) {
      ElfFile.check(path);
    }
    try {
      return SymbolLookup.libraryLookup(path, Arena.global());
    } catch (IllegalArgumentException e) {
      String why = whyNot(path);
      if (why.contains(FORBIDDEN)) {
        throw new UnusableException(
            "[%s] forbids execution (mounted noexec?)".formatted(path.getParent()));
      }
      throw failure(why);
    }
  }

  /** What a message of the dynamic linker means for whoever reads the report. */
  static LoadException failure(String why) {
    Matcher glibc = NEEDED_GLIBC.matcher(why);
    if (glibc.find()) {
      return new LoadException(
          Reason.UNSUPPORTED_PLATFORM,
          "the library needs glibc %s or later, this system has an older one (%s)"
              .formatted(glibc.group(1), why),
          "Use a system with glibc %s or later, or build the library on this one."
              .formatted(glibc.group(1)));
    }
    return new LoadException(Reason.LOAD_FAILED, why, LoadException.REINSTALL_HINT);
  }

  /** libraryLookup does not pass on what the dynamic linker said; System.load does. */
  @SuppressWarnings("restricted")
  private static String whyNot(Path path) {
    try {
      System.load(path.toString());
      return "the dynamic linker refused it once and accepted it the second time";
    } catch (UnsatisfiedLinkError e) {
      // Both the JVM and the dynamic linker put the file name in front.
      return String.valueOf(e.getMessage()).replace(path + ": ", "");
    }
  }
}
