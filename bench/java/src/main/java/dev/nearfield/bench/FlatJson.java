// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.bench;

import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * JSON objects whose values are strings, numbers, booleans or null: all that the worker protocol
 * (bench/README.md) needs.
 */
final class FlatJson {
  private final String text;
  private int at;

  private FlatJson(String text) {
    this.text = text;
  }

  /**
   * The members of one object; numbers as {@link Double}, null as null.
   *
   * @throws IllegalArgumentException naming the position of what is no flat object
   */
  static Map<String, @Nullable Object> read(String line) {
    return new FlatJson(line).object();
  }

  static String write(Map<String, ?> members) {
    StringBuilder out = new StringBuilder("{");
    members.forEach(
        (name, value) -> {
          out.append(out.length() == 1 ? "" : ",");
          writeString(name, out);
          out.append(':');
          if (value instanceof Number || value instanceof Boolean || value == null) {
            out.append(value);
          } else {
            writeString(value.toString(), out);
          }
        });
    return out.append('}').toString();
  }

  private static void writeString(String value, StringBuilder out) {
    out.append('"');
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < ' ') {
        out.append("\\u%04x".formatted((int) c));
      } else {
        out.append(c);
      }
    }
    out.append('"');
  }

  private Map<String, @Nullable Object> object() {
    Map<String, @Nullable Object> members = new LinkedHashMap<>();
    expect('{');
    if (peek() == '}') {
      at++;
    } else {
      do {
        peek();
        String name = string();
        expect(':');
        members.put(name, value());
      } while (comma());
      expect('}');
    }
    if (peek() != 0) {
      throw wrong("the end");
    }
    return members;
  }

  private boolean comma() {
    if (peek() != ',') {
      return false;
    }
    at++;
    return true;
  }

  private @Nullable Object value() {
    char c = peek();
    if (c == '"') {
      return string();
    }
    int start = at;
    while (at < text.length() && ",}".indexOf(text.charAt(at)) < 0) {
      at++;
    }
    String word = text.substring(start, at).strip();
    switch (word) {
      case "true":
        return true;
      case "false":
        return false;
      case "null":
        return null;
      default:
        try {
          return Double.valueOf(word);
        } catch (NumberFormatException e) {
          at = start;
          throw wrong("a string, a number, true, false or null");
        }
    }
  }

  private String string() {
    expect('"');
    StringBuilder out = new StringBuilder();
    while (at < text.length()) {
      char c = text.charAt(at++);
      if (c == '"') {
        return out.toString();
      }
      out.append(c == '\\' ? escaped() : c);
    }
    throw wrong("a closing quote");
  }

  private char escaped() {
    char c = at < text.length() ? text.charAt(at++) : 0;
    switch (c) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'b':
        return '\b';
      case 'f':
        return '\f';
      case 'u':
        if (at + 4 <= text.length()) {
          String digits = text.substring(at, at + 4);
          at += 4;
          return (char) Integer.parseInt(digits, 16);
        }
        throw wrong("four hexadecimal digits");
      case '"', '\\', '/':
        return c;
      default:
        throw wrong("an escape of JSON");
    }
  }

  /** The next character after white space; 0 at the end. */
  private char peek() {
    while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
      at++;
    }
    return at < text.length() ? text.charAt(at) : 0;
  }

  private void expect(char wanted) {
    if (peek() != wanted) {
      throw wrong("[" + wanted + "]");
    }
    at++;
  }

  private IllegalArgumentException wrong(String wanted) {
    return new IllegalArgumentException(
        "command: character [%d] of [%s], expected %s".formatted(at, text, wanted));
  }
}
