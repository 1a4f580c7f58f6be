// SPDX-License-Identifier: Apache-2.0
/** The index: its front, its actor and their jobs. */
@NullMarked
package dev.nearfield.internal.index;

import org.jspecify.annotations.NullMarked;
