// SPDX-License-Identifier: Apache-2.0
/** Requests, and the one owner thread of a device. */
@NullMarked
package dev.nearfield.internal.turn;

import org.jspecify.annotations.NullMarked;
