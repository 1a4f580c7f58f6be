// SPDX-License-Identifier: Apache-2.0
/** An index goes to another device. */
@NullMarked
package dev.nearfield.internal.move;

import org.jspecify.annotations.NullMarked;
