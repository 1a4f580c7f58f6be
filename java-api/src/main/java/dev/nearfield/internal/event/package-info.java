// SPDX-License-Identifier: Apache-2.0
/** Counters, and how fallbacks are told. */
@NullMarked
package dev.nearfield.internal.event;

import org.jspecify.annotations.NullMarked;
