// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.Objects;

/**
 * One place where a native library was looked for.
 *
 * @param source the place: a system property, or a folder of {@code java.library.path}
 * @param outcome what happened there, in one sentence
 */
public record LoadAttempt(String source, String outcome) {
  public LoadAttempt {
    Objects.requireNonNull(source, "source");
    Objects.requireNonNull(outcome, "outcome");
  }
}
