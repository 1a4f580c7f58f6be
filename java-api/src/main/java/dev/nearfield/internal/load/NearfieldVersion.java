// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;

/**
 * The version of this jar. From a resource: a manifest or a module's descriptor is not always
 * there.
 */
public final class NearfieldVersion {
  private static final String CURRENT = read();

  private NearfieldVersion() {}

  public static String current() {
    return CURRENT;
  }

  private static String read() {
    try (InputStream in =
        NearfieldVersion.class.getResourceAsStream("/dev/nearfield/version.properties")) {
      Properties properties = new Properties();
      if (in != null) {
        properties.load(in);
      }
      return properties.getProperty("version", "(version unknown)");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
