// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import dev.nearfield.BackendKind;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** A jar such as nearfield-native-cuda, whose every part a test can get wrong. */
final class NativeJar {
  final Map<String, String> properties = new LinkedHashMap<>();
  final Map<String, byte[]> files = new LinkedHashMap<>();
  String platform = Platform.current().toString();

  /** A good one, of this platform and version, with that fixture as its library. */
  static NativeJar of(String fixture) {
    NativeJar jar = new NativeJar();
    Path library = NativeBuild.fixture(fixture);
    String name = System.mapLibraryName("nearfield_cuda");
    byte[] bytes;
    try {
      bytes = Files.readAllBytes(library);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    jar.files.put(name, bytes);
    jar.properties.put("version", NearfieldVersion.current());
    jar.properties.put("abi", "1");
    jar.properties.put("files", name);
    jar.properties.put("sha256." + name, Sha256.of(bytes));
    return jar;
  }

  /** A second file, which the library would open beside itself. */
  NativeJar with(String name, byte[] bytes) {
    files.put(name, bytes);
    properties.merge("files", name, (all, more) -> all + "," + more);
    properties.put("sha256." + name, Sha256.of(bytes));
    return this;
  }

  NativeJar with(String property, String value) {
    properties.put(property, value);
    return this;
  }

  Path write(Path jar) throws IOException {
    String folder = PackagedLibrary.folder(BackendKind.CUDA, platform);
    StringBuilder text = new StringBuilder();
    properties.forEach((key, value) -> text.append(key).append('=').append(value).append('\n'));
    try (OutputStream out = Files.newOutputStream(jar);
        ZipOutputStream zip = new ZipOutputStream(out)) {
      zip.putNextEntry(new ZipEntry(folder + PackagedLibrary.propertiesFile(BackendKind.CUDA)));
      zip.write(text.toString().getBytes(StandardCharsets.UTF_8));
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        zip.putNextEntry(new ZipEntry(folder + file.getKey()));
        zip.write(file.getValue());
      }
    }
    return jar;
  }

  static URLClassLoader loader(Path... jars) throws IOException {
    URL[] urls = new URL[jars.length];
    for (int i = 0; i < jars.length; i++) {
      urls[i] = jars[i].toUri().toURL();
    }
    return new URLClassLoader(urls, NativeJar.class.getClassLoader());
  }
}
