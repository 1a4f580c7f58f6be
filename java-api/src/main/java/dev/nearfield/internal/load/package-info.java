// SPDX-License-Identifier: Apache-2.0
/** Finding, unpacking and loading native libraries. */
@NullMarked
package dev.nearfield.internal.load;

import org.jspecify.annotations.NullMarked;
