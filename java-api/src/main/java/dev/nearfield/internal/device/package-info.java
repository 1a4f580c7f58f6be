// SPDX-License-Identifier: Apache-2.0
/** What this machine has, and which device to take. */
@NullMarked
package dev.nearfield.internal.device;

import org.jspecify.annotations.NullMarked;
