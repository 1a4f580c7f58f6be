// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/**
 * Names one vector of one index: a slot and the generation of that slot, 32 bits each. A handle
 * stays valid through compaction and moves between devices; once its vector is removed or replaced
 * it is stale for good, because the slot is handed out again only under another generation.
 *
 * <p>Generations start at a random value per index, so a handle of another index is very probably,
 * but not certainly, refused as never issued.
 *
 * @param bits slot in the upper, generation in the lower 32 bits
 */
public record VectorHandle(long bits) {
  /** 16 hexadecimal digits that {@link #parse} reads back. */
  @Override
  public String toString() {
    String digits = Long.toHexString(bits);
    return "0".repeat(16 - digits.length()) + digits;
  }

  /**
   * The handle that {@link #toString()} wrote.
   *
   * @throws IllegalArgumentException unless the text is 16 hexadecimal digits
   */
  public static VectorHandle parse(String text) {
    if (text.length() == 16 && text.chars().allMatch(c -> Character.digit(c, 16) >= 0 && c < 128)) {
      return new VectorHandle(Long.parseUnsignedLong(text, 16));
    }
    throw new IllegalArgumentException(
        "VectorHandle.parse: [" + text + "], 16 hexadecimal digits are needed");
  }
}
