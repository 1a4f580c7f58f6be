# SPDX-License-Identifier: Apache-2.0
"""The packaged library beside a local build: what is shipped must not be slower than what a developer measures.

Both take turns in one run, on the same rows, and the ratio is that of the medians. A run scatters by s = 3.4% on a shared machine (median of
the workloads in docs/benchmarks/records.json, from each one's least, most and count), by 5.3% in the worst of their batches of a thousand and
by 6.5% for single queries. A median of n runs scatters by 1.25 s / sqrt(n), the ratio of two of them by sqrt(2) times that: 2.4% for 5.3% and
15 rounds, 2.1% for 6.5% and the 30 that single queries get. So 5% is at least 2.1 of these, which chance exceeds once in 50; but no
number of rounds removes where a process's pages came to lie. Therefore a library that seems slow is measured again, in new processes, and
is slow only if it is so twice: by chance once in 2,500.
"""

from __future__ import annotations

import output
from errors import BenchError, say
from flat import Outcome

MOST = 1.05  # times the local build's median


def behind(records: list[dict]) -> float:
    """The packaged library's median over the local build's."""
    ours, local = ([r for r in records if r["system"] == system] for system in ("nearfield", "nearfield-local"))
    if not (ours and local):
        raise BenchError("the packaged library and the local build were not both measured")
    (ours,), (local,) = ours, local
    return ours["median_s"] / local["median_s"]


def measure(run) -> tuple[Outcome, str | None]:
    """run() measures in new processes. The last outcome, and a sentence with figures where the packaged library is too slow."""
    outcome = run()
    if behind(outcome.records) > MOST:
        say(f"The packaged library takes {behind(outcome.records):.2f} x the local build's time: measuring again")
        outcome = run()
    if behind(outcome.records) <= MOST:
        return outcome, None
    ours, local = outcome.records[:2]
    return outcome, (f"{output.seconds(ours['median_s'])} over {output.seconds(local['median_s'])} "
                     f"is {behind(outcome.records):.2f} x, the limit is {MOST:.2f} x")  # fmt: skip
