// SPDX-License-Identifier: Apache-2.0
/** Which row a handle names, and which rows live. */
@NullMarked
package dev.nearfield.internal.table;

import org.jspecify.annotations.NullMarked;
