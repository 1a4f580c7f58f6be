// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** The one implementation of {@link Hit}. */
record HitInfo(VectorHandle handle, float distance, float score) implements Hit {}
