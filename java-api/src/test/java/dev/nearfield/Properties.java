// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Sets system properties for one test and puts back what was there. */
public final class Properties implements AutoCloseable {
  private final Map<String, @Nullable String> before = new HashMap<>();

  public Properties set(String name, String value) {
    String old = System.setProperty(name, value);
    if (!before.containsKey(name)) { // the value may be null, which putIfAbsent would replace
      before.put(name, old);
    }
    return this;
  }

  @Override
  public void close() {
    before.forEach(
        (name, value) -> {
          if (value == null) {
            System.clearProperty(name);
          } else {
            System.setProperty(name, value);
          }
        });
  }
}
