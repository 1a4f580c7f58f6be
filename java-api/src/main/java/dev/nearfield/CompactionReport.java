// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.time.Duration;

/**
 * What a compaction did.
 *
 * @param reclaimed rows of removed vectors that were dropped
 * @param moved vectors that were given another row
 * @param took from its first to its last step, with what ran in between
 */
public record CompactionReport(long reclaimed, long moved, Duration took) {}
