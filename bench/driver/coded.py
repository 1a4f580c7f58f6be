# SPDX-License-Identifier: Apache-2.0
"""What a scan of codes has beside one of f32 rows: what it read and certified, what its codes take and cost."""

from __future__ import annotations

import filecmp
import statistics
import time
from dataclasses import dataclass, field

import stats
from errors import BenchError

F32, I8 = "f32", "i8"
# As the native worker answers `load` with codes.
FACTS = ("code_bytes", "fit_s", "fit_steps", "fit_longest_step_s", "rotated", "level_dims")
# Before rows are inserted against the clock so many are there, and the basis fitted to them: rows are then rotated as well. At most half.
FITTED_ROWS = 50_000
INSERTS, INSERT_SECONDS = 3, 10.0  # of each, in turns; no more once they took so long: every one with codes fits a basis


def suffix(dtype: str) -> str:
    """Of a system's name: the f32 scan is the base of the ratios."""
    return "" if dtype == F32 else f"-{dtype}"


@dataclass
class Totals:
    """Of the runs of an index with codes."""

    queries: int = 0
    certified: int = 0
    scanned_bytes: int = 0
    whole_bytes: int = 0
    rescored_p50: list[int] = field(default_factory=list)  # a run each

    def add(self, reply: dict) -> None:
        if "rescored_p50" not in reply:
            return
        for key in ("queries", "certified", "scanned_bytes", "whole_bytes"):
            setattr(self, key, getattr(self, key) + reply[key])
        self.rescored_p50.append(reply["rescored_p50"])


def search_keys(system, options) -> dict:
    """For the command `workload`."""
    return {"max_oversample": options.max_oversample} if system.scan_dtype == I8 and options.max_oversample else {}


def keys(system) -> dict:
    """Beside those of every record; null for who has no codes."""
    totals = system.coded
    return {
        "scan_dtype": system.scan_dtype or None,
        "bytes_read_fraction": stats.rounded(totals.scanned_bytes / totals.whole_bytes, 4) if totals.whole_bytes else None,
        "candidates_p50": statistics.median(totals.rescored_p50) if totals.rescored_p50 else None,
        "certified_fraction": stats.rounded(totals.certified / totals.queries, 6) if totals.queries else None,
    }


def insert_keys(system, before: int) -> dict:
    """For the command `insert`. A system without codes has as many rows before the clock."""
    keys = {"before": before} if before else {}
    return {**keys, "scan_dtype": system.scan_dtype} if system.scan_dtype == I8 else keys


def inserts(systems: list, made) -> dict:
    """Seconds of appending the rows behind the first to an index, with and without codes, in turns."""
    before = min(FITTED_ROWS, made.rows // 2)
    seconds: dict[str, list[float]] = {system.name: [] for system in systems}
    begun = time.monotonic()
    for number in range(INSERTS):
        if number and time.monotonic() - begun > INSERT_SECONDS:
            break
        for system in systems:
            reply = system.worker.ask("insert", base=made.base, metric=made.metric, **insert_keys(system, before))
            seconds[system.name].append(reply["seconds"])
    return {name: {"insert_s": stats.rounded(statistics.median(each)), "insert_rows": made.rows - before} for name, each in seconds.items()}


def check_same_answers(systems: list, folder: str) -> None:
    """Every answer of codes is bit for bit the f32 scan's, among those that were compared with float64."""
    base = systems[0]
    for system in systems[1:]:
        if system.scan_dtype != I8:
            continue
        for ending in ("rows", "distances"):
            if not filecmp.cmp(f"{folder}/{base.name}-all.{ending}", f"{folder}/{system.name}-all.{ending}", shallow=False):
                raise BenchError(f"{system.name}: the {ending} it answers are not bit for bit those of {base.name}")


def words(facts: dict, rows_bytes: int) -> list[str]:
    """A line for each system with codes, of what they take and cost."""
    lines = []
    for name, of in facts.items():
        if "code_bytes" not in of:
            continue
        plain = facts.get(name.removesuffix(suffix(I8)), {})
        axes = "rotated" if of["rotated"] else "not rotated"
        line = (f"{name}: codes {of['code_bytes'] / 1e6:.1f} MB, {of['code_bytes'] / rows_bytes:.3f} x the rows; {axes}, levels of {of['level_dims']} "
                f"dimensions; fitted in {of['fit_s']:.3g} s, {of['fit_steps']} steps, the longest {of['fit_longest_step_s'] * 1e3:.3g} ms")  # fmt: skip
        if plain.get("insert_s"):
            line += f"; inserting {of['insert_rows']} rows {of['insert_s']:.3g} s, without codes {plain['insert_s']:.3g} s"
        lines.append(line)
    return lines
