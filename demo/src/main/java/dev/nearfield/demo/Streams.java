// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * What the program reads and writes.
 *
 * @param in queries, one a line
 * @param out answers and nothing else
 * @param messages progress, prompt, errors
 * @param prompt whether someone types at {@code in}
 * @param redraw whether {@code messages} can redraw its line
 * @param width columns of {@code out}
 */
record Streams(
    BufferedReader in,
    PrintStream out,
    PrintStream messages,
    boolean prompt,
    boolean redraw,
    int width) {

  /** Queries are UTF-8: what terminals and files hold today. */
  static Streams ofProcess() {
    return new Streams(
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)),
        System.out,
        System.err,
        Terminal.is(Terminal.INPUT),
        Terminal.is(Terminal.ERROR),
        Terminal.is(Terminal.OUTPUT) ? Terminal.width() : Terminal.DEFAULT_WIDTH);
  }
}
