// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;

/** What Maven wrote into the jars on the class path. */
final class Artifact {
  private Artifact() {}

  static String version(String group, String artifact) {
    String name = "/META-INF/maven/%s/%s/pom.properties".formatted(group, artifact);
    try (InputStream stream = Artifact.class.getResourceAsStream(name)) {
      if (stream == null) {
        throw new IllegalStateException("demo: no " + name + " on the class path");
      }
      Properties properties = new Properties();
      properties.load(stream);
      return artifact + " " + properties.getProperty("version");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
