// SPDX-License-Identifier: Apache-2.0
/**
 * GPU-first vector search. Native backends need {@code --enable-native-access=dev.nearfield} on the
 * module path and {@code --enable-native-access=ALL-UNNAMED} on the class path.
 */
module dev.nearfield {
  requires static transitive org.jspecify;

  exports dev.nearfield;
}
