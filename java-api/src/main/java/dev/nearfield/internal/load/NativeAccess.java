// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.load;

/**
 * Whether the JVM lets this module call native code. Asked before any restricted method is touched,
 * so that neither an exception nor a warning of the JVM comes first.
 */
public final class NativeAccess {
  private static final Module MODULE = NativeAccess.class.getModule();

  private NativeAccess() {}

  public static boolean granted() {
    return MODULE.isNativeAccessEnabled();
  }

  /** {@code module dev.nearfield}, or {@code the class path} when it was loaded from there. */
  public static String who() {
    return MODULE.isNamed() ? "module " + MODULE.getName() : "the class path (unnamed module)";
  }

  /** The option of java that grants it. */
  public static String flag() {
    return "--enable-native-access=" + (MODULE.isNamed() ? MODULE.getName() : "ALL-UNNAMED");
  }
}
