// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.time.Duration;

/**
 * What a training did.
 *
 * @param lists there are now; 0 on a device that has none, where answers stay exact
 * @param took from its first to its last step, with what ran in between
 */
public record TrainingReport(int lists, Duration took) {}
