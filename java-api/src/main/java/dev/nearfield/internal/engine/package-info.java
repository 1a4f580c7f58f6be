// SPDX-License-Identifier: Apache-2.0
/** The seam that every backend answers. */
@NullMarked
package dev.nearfield.internal.engine;

import org.jspecify.annotations.NullMarked;
