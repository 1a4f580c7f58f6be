// SPDX-License-Identifier: Apache-2.0
/** The backend without natives. */
@NullMarked
package dev.nearfield.internal.plain;

import org.jspecify.annotations.NullMarked;
