// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.io.Closeable;
import java.io.IOException;

/** Where answers go, one after the other; closed after the last. */
interface Output extends Closeable {
  void print(Answer answer) throws IOException;
}
