// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.time.Duration;

/**
 * What a maintenance of lists did; nothing where none was needed.
 *
 * @param split lists that were split into several
 * @param merged lists whose vectors went to others
 * @param moved vectors that went to another list than theirs, in every round of it, with those
 *     removed since the last compaction
 * @param took from its first to its last step, with what ran in between
 */
public record MaintenanceReport(long split, long merged, long moved, Duration took) {}
