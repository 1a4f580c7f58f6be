// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

/** One meaning in the dictionary: a word that has it, and what it says. Neither is blank. */
record Definition(String word, String text) {}
