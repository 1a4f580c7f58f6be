// SPDX-License-Identifier: Apache-2.0
/** Implementations of the public interfaces through which answers are read. */
@NullMarked
package dev.nearfield.internal.value;

import org.jspecify.annotations.NullMarked;
