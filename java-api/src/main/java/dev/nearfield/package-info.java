// SPDX-License-Identifier: Apache-2.0
/**
 * Exact vector search on GPUs and CPUs. {@link dev.nearfield.Accelerators} says what this machine
 * offers, {@link dev.nearfield.Knn} answers one-off searches over a matrix, and {@link
 * dev.nearfield.AcceleratedVectorIndex} keeps vectors on a device.
 */
@NullMarked
package dev.nearfield;

import org.jspecify.annotations.NullMarked;
