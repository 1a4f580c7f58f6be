// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.device;

import dev.nearfield.Acceleration;
import dev.nearfield.BackendKind;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What system properties and the environment say where a caller leaves the choice open. */
public final class Settings {
  static final String ACCELERATION_PROPERTY = "nearfield.acceleration";
  static final String ACCELERATION_VARIABLE = "NEARFIELD_ACCELERATION";

  private Settings() {}

  static String enabledProperty(BackendKind kind) {
    return "nearfield." + kind.id() + ".enabled";
  }

  /** Plain Java is the last resort and cannot be switched off. */
  static boolean enabled(BackendKind kind) {
    return kind == BackendKind.JAVA
        || !"false".equalsIgnoreCase(System.getProperty(enabledProperty(kind)));
  }

  /** The policy of a caller who names none: property, then environment, then PREFERRED. */
  public static Acceleration acceleration() {
    return acceleration(
        System.getProperty(ACCELERATION_PROPERTY), System.getenv(ACCELERATION_VARIABLE));
  }

  public static Acceleration acceleration(@Nullable String property, @Nullable String variable) {
    if (property != null) {
      return parse("-D" + ACCELERATION_PROPERTY, property);
    }
    if (variable != null && !variable.isBlank()) {
      return parse(ACCELERATION_VARIABLE, variable);
    }
    return Acceleration.PREFERRED;
  }

  private static Acceleration parse(String source, String value) {
    for (Acceleration policy : Acceleration.values()) {
      if (policy.name().equalsIgnoreCase(value.strip())) {
        return policy;
      }
    }
    throw new IllegalArgumentException(
        "%s: [%s] is none of %s"
            .formatted(
                source,
                value,
                Arrays.stream(Acceleration.values())
                    .map(policy -> policy.name().toLowerCase(Locale.ROOT))
                    .collect(Collectors.joining(", "))));
  }
}
