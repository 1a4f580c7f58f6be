// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.internal.natives.LoadException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.jspecify.annotations.Nullable;

/**
 * A native library in a jar: what its {@code .properties} say ({@code version}, {@code abi}, {@code
 * files} with the backend's own library first, {@code sha256.<file>}), and how to read its files.
 */
final class PackagedLibrary {
  /** One file of the library, which is unpacked beside the others. */
  record Part(String name, String sha256) {}

  /** Reads the files of one resource folder. */
  @FunctionalInterface
  interface Folder {
    /** Null when there is no such file. The caller closes it. */
    @Nullable InputStream open(String file) throws IOException;
  }

  private final String source;
  private final Folder folder;
  private final String text;
  private final Properties properties = new Properties();
  private final List<Part> parts = new ArrayList<>();

  private PackagedLibrary(String source, Folder folder, String text) throws IOException {
    this.source = source;
    this.folder = folder;
    this.text = text;
    properties.load(new StringReader(text));
  }

  /** {@code META-INF/nearfield/cpu/linux-x86_64/}, the folder of a backend's library in a jar. */
  static String folder(BackendKind kind, String platform) {
    return "META-INF/nearfield/" + kind.id() + "/" + platform + "/";
  }

  static String propertiesFile(BackendKind kind) {
    return "nearfield_" + kind.id() + ".properties";
  }

  /** Null when the folder has no properties of this backend. */
  static @Nullable PackagedLibrary read(BackendKind kind, String source, Folder folder)
      throws LoadException {
    String file = propertiesFile(kind);
    try (InputStream in = folder.open(file)) {
      if (in == null) {
        return null;
      }
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      PackagedLibrary library = new PackagedLibrary(source, folder, text);
      library.readParts(file);
      return library;
    } catch (IOException | IllegalArgumentException e) {
      throw damaged(file + " cannot be read: " + e);
    }
  }

  private void readParts(String file) throws LoadException {
    for (String name : value(file, "files").split(",")) {
      if (!name.matches("[\\w.-]*\\w")) { // it becomes a file name of ours
        throw damaged(file + " names the file [" + name + "]");
      }
      parts.add(new Part(name, value(file, "sha256." + name)));
    }
    value(file, "version");
    value(file, "abi");
  }

  private String value(String file, String key) throws LoadException {
    String value = properties.getProperty(key, "");
    if (value.isEmpty()) {
      throw damaged(file + " has no [" + key + "]");
    }
    return value;
  }

  static LoadException damaged(String detail) {
    return new LoadException(
        Reason.LOAD_FAILED,
        detail + ": the jar is damaged or was changed",
        "Delete this jar, from the local Maven repository too, and download it again.");
  }

  /** Where the folder is, for people. */
  String source() {
    return source;
  }

  String version() {
    return properties.getProperty("version");
  }

  String abi() {
    return properties.getProperty("abi");
  }

  /** The backend's own library first. */
  List<Part> parts() {
    return parts;
  }

  /**
   * Name of the folder for the unpacked files, which no other content has: version and the first 16
   * digits of the SHA-256 of the properties, which hold those of the files.
   */
  Path unpackedName() {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    String digits = Sha256.of(bytes).substring(0, 16);
    return Path.of(version().replaceAll("[^\\w.-]", "_") + "-" + digits);
  }

  /** Throws when the part is not in the jar. The caller closes it. */
  InputStream open(Part part) throws ReadException, LoadException {
    InputStream in;
    try {
      in = folder.open(part.name());
    } catch (IOException e) {
      throw new ReadException(part, e);
    }
    if (in == null) {
      throw damaged(part.name() + " is not in " + source);
    }
    return new PartStream(part, in);
  }

  /** The jar cannot be read; whoever copies a part tells it from a file that cannot be written. */
  final class ReadException extends IOException {
    private static final long serialVersionUID = 1;

    private ReadException(Part part, IOException cause) {
      super("%s in %s cannot be read (%s)".formatted(part.name(), source, cause), cause);
    }
  }

  private final class PartStream extends FilterInputStream {
    private final Part part;

    PartStream(Part part, InputStream in) {
      super(in);
      this.part = part;
    }

    @Override
    public int read() throws ReadException {
      try {
        return in.read();
      } catch (IOException e) {
        throw new ReadException(part, e);
      }
    }

    @Override
    public int read(byte[] bytes, int from, int count) throws ReadException {
      try {
        return in.read(bytes, from, count);
      } catch (IOException e) {
        throw new ReadException(part, e);
      }
    }
  }
}
