// SPDX-License-Identifier: Apache-2.0
/** Every downcall there is, and the native engine made of them. */
@NullMarked
package dev.nearfield.internal.natives;

import org.jspecify.annotations.NullMarked;
