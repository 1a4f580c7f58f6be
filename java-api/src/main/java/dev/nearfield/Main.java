// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** {@code java -m dev.nearfield} prints what {@link Accelerators#report()} finds. */
final class Main {
  private Main() {}

  public static void main(String[] arguments) {
    System.out.print(Accelerators.report());
  }
}
