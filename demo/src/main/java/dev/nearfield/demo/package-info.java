// SPDX-License-Identifier: Apache-2.0
/** Searches the definitions of WordNet by meaning; an application, no API. */
@NullMarked
package dev.nearfield.demo;

import org.jspecify.annotations.NullMarked;
