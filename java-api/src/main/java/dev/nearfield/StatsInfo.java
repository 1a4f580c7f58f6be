// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import java.util.Map;

/** The one implementation of {@link IndexStats}. */
record StatsInfo(
    long live,
    long deleted,
    long slots,
    long deviceBytes,
    long hostBytes,
    long queries,
    long batches,
    long queued,
    long compactions,
    Map<FallbackReason, Long> fallbacks)
    implements IndexStats {}
