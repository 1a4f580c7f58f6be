// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.Encoding;
import dev.nearfield.FallbackReason;
import dev.nearfield.IndexStats;
import java.util.Map;

/** The one implementation of {@link IndexStats}. */
public record StatsInfo(
    long live,
    long deleted,
    long slots,
    long deviceBytes,
    Encoding encoding,
    long codeBytes,
    int lists,
    long smallestList,
    long largestList,
    double drift,
    long hostBytes,
    long queries,
    long certified,
    double codesRead,
    long batches,
    long queued,
    long compactions,
    long trainings,
    Map<FallbackReason, Long> fallbacks)
    implements IndexStats {}
