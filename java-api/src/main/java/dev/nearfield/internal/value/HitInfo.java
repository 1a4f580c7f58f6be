// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.Hit;
import dev.nearfield.VectorHandle;

/** The one implementation of {@link Hit}. */
public record HitInfo(VectorHandle handle, float distance, float score) implements Hit {}
