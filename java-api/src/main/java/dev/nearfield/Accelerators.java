// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.BackendStatus.Available;
import dev.nearfield.BackendStatus.Unavailable;
import dev.nearfield.internal.device.Backends;
import dev.nearfield.internal.device.Report;
import java.util.ArrayList;
import java.util.List;

/**
 * What this machine can run on. Native libraries load at the first call that needs them; what
 * failed is tried again in the same JVM, by {@link #probe()} and {@link
 * AcceleratedVectorIndex#retryAcceleration()} at once, by other calls after ten seconds or when one
 * of the properties below has changed. Safe for use by many threads.
 *
 * <table>
 *   <caption>System properties</caption>
 *   <tr><td>{@code nearfield.native.<backend>.path}
 *       <td>the library file of a backend; when set, no other place is tried
 *   <tr><td>{@systemProperty nearfield.native.workdir}
 *       <td>the folder that libraries from jars are unpacked to; by default the user's cache folder, or
 *       the temporary folder where that cannot be used
 *   <tr><td>{@code nearfield.<backend>.enabled}
 *       <td>{@code false} switches a backend off
 *   <tr><td>{@systemProperty nearfield.acceleration}
 *       <td>{@code required}, {@code preferred} or {@code disabled}: the policy where a caller names
 *       none; the environment variable {@code NEARFIELD_ACCELERATION} comes after it
 * </table>
 */
public final class Accelerators {
  private Accelerators() {}

  /**
   * Looks at every backend anew. Never throws: what is wrong with a backend is in its status.
   *
   * @return one status for each {@link BackendKind}, in their order
   */
  public static List<BackendStatus> probe() {
    List<BackendStatus> statuses = new ArrayList<>();
    for (BackendKind kind : BackendKind.values()) {
      Backends.forget(kind);
      statuses.add(Backends.status(kind));
    }
    return List.copyOf(statuses);
  }

  /**
   * A page for people: platform, JDK, native access, every backend with its devices or the reason
   * for its absence, and what to do next. The text is not meant to be parsed.
   */
  public static String report() {
    return Report.of(probe());
  }

  /**
   * The device of that name: {@code wgpu:0} as {@link Device#id()} gives it, or only {@code wgpu}
   * for the first device of a backend. The way to ask for a software adapter.
   *
   * @throws IllegalArgumentException when the name is not of that form, or names no backend
   * @throws BackendUnavailableException when the backend cannot be used or has no such device
   */
  public static Device device(String name) {
    int colon = name.indexOf(':');
    BackendKind kind = BackendKind.of(colon < 0 ? name : name.substring(0, colon));
    if (colon >= 0 && !name.substring(colon + 1).matches("\\d{1,9}")) {
      throw new IllegalArgumentException(
          "Accelerators.device: [%s] is no device name such as %s:0".formatted(name, kind.id()));
    }
    int ordinal = colon < 0 ? 0 : Integer.parseInt(name.substring(colon + 1));
    BackendStatus status = Backends.status(kind);
    return switch (status) {
      case Unavailable why ->
          throw new BackendUnavailableException(
              "Accelerators.device: [%s] cannot be used: %s".formatted(name, why.detail()),
              List.of(why));
      case Available available -> {
        if (ordinal >= available.devices().size()) {
          throw new BackendUnavailableException(
              "Accelerators.device: there is no [%s], %s has %d device(s)"
                  .formatted(name, kind.id(), available.devices().size()),
              List.of(available));
        }
        yield available.devices().get(ordinal);
      }
    };
  }
}
