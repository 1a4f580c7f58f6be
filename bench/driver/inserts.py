# SPDX-License-Identifier: Apache-2.0
"""Appending rows to a new index, natively and through Java, or with codes and without, beside memcpy into pages that were never touched."""

from __future__ import annotations

import coded
import dataset
import flat
import machine
import stats
from errors import say
from flat import Outcome, System
from options import Flat


WARM = 3  # rounds for Java's compiler


def measure_insert(options: Flat, folder: str) -> Outcome:
    """options.batch is the rows of one call. The limit is one thread's memcpy of as many bytes into fresh pages. Where there are codes, every
    index has its first rows, and its codes their basis, before the clock starts."""
    threads = options.threads or machine.threads()
    helper = flat.tool(folder)
    notes: list[str] = []
    systems = flat.start_ours(options, folder, threads, notes)
    made = dataset.prepare(options, helper, folder, len(systems))
    before = min(coded.FITTED_ROWS, made.rows // 2) if coded.I8 in options.scans else 0
    rows = made.rows - before
    say(f"Inserting {rows} rows x {made.dim} dimensions, {options.batch} a call")
    size = rows * made.dim * 4
    reached = [helper.ask("copying", bytes=size)]
    facts: dict = {}
    for number in range(WARM + options.repeats):
        for system in systems:
            reply = system.worker.ask("insert", base=made.base, metric=made.metric, batch=options.batch, **coded.insert_keys(system, before))
            if number >= WARM:
                system.seconds.append(reply["seconds"])
                system.p50.append(reply["p50_s"])
    reached.append(helper.ask("copying", bytes=size))
    best = {key: max(r[key] for r in reached) for key in reached[0] if key.endswith("_per_s")}
    for system in systems:
        facts[system.name] = {"p50_s": stats.rounded(stats.summary(system.p50)["median_s"])}
        system.worker.stop()
    helper.stop()
    records = [_record(system, systems[0], options, made, rows, best) for system in systems]
    return Outcome(records, best, "memory", notes, facts, systems[0].library)


def _record(system: System, ours: System, options: Flat, made: dataset.Dataset, inserted: int, limits: dict) -> dict:
    times = stats.summary(system.seconds)
    copying = inserted * made.dim * 4 / limits["memcpy_cold_bytes_per_s"]
    return {
        "system": system.name, "backend": system.about["backend"], "device": system.device, "workload": options.workload, "data": options.data,
        "rows": made.rows, "dim": made.dim, "batch": options.batch, "k": 0, "metric": options.metric,
        **{key: stats.rounded(value) for key, value in times.items()},
        "qps": stats.rounded(inserted / times["median_s"]),
        "limit_fraction": stats.rounded(copying / times["median_s"], 4),
        "recall": None,
        "ratio": stats.rounded(times["median_s"] / stats.summary(ours.seconds)["median_s"], 4),
    }  # fmt: skip
