# SPDX-License-Identifier: Apache-2.0
"""The lines of `bench turns`: what each is called, its target, and tables of them, beside an earlier version's where there are any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional

import output
import record_files

OTHERS_S, CLOSE_S = 0.030, 0.100  # for others to wait, and for close() beside a large search
SLOWER = 1.10  # a large search beside probes, over alone
JAVA_S = 1e-6  # what Java may add to a single search
LINGER = 1.10  # CPU time of a cheap search with the default linger, over none

TEXTS = ("line", "scenario", "what", "unit", "device", "commit")
WAITS = ("count", "p50_s", "p99_s", "max_s", "alone_s", "beside_s")
KEYS = ("line", "scenario", "what", "rows", "dim", *WAITS, "value", "unit", "device", "commit")

Find = Callable[[str], Optional[dict]]  # this version's record of a line


def records_of(path: str) -> list[dict]:
    return record_files.checked(path, KEYS, TEXTS, (*WAITS, "value"))


@dataclass(frozen=True)
class Line:
    """A line is of waits, or has a value in a unit. met() is told the record, how to find this version's others, and the earlier
    version's record of the same, if there is one; it answers None where there is nothing to judge by."""

    what: str
    target: str = ""
    met: Callable[[dict, Find, Optional[dict]], Optional[bool]] = lambda record, now, earlier: None
    unit: str = ""


def _beside(record: dict, _: Find, earlier: dict | None) -> bool:
    least = min([record["alone_s"]] + ([earlier["alone_s"]] if earlier else []))
    return record["p99_s"] < OTHERS_S and record["beside_s"] <= SLOWER * least


def _over_native(record: dict, now: Find, _: dict | None) -> bool | None:
    native = now("single/native")
    return None if native is None else record["p50_s"] - native["p50_s"] <= JAVA_S


def _linger(record: dict, now: Find, _: dict | None) -> bool | None:
    without = now("clients/no-linger.cpu_s_each")
    return None if without is None else record["value"] <= LINGER * without["value"]


def _others(what: str) -> Line:
    return Line(what, f"p99 under {OTHERS_S * 1e3:.0f} ms, the search at most {SLOWER - 1:.0%} slower", _beside)


def _never(what: str) -> Line:
    return Line(what, f"all under {OTHERS_S * 1e3:.0f} ms", lambda record, now, earlier: record["max_s"] < OTHERS_S)


def _java(what: str) -> Line:
    return Line(what, f"p50 at most {JAVA_S * 1e6:.0f} us over native", _over_native)


LINES = {
    "search/search": _others("one search on that index"),
    "search/get": _others("`get` on another index"),
    "knn/search": _others("one search on an index"),
    "knn/get": _others("`get` on another index"),
    "close/close": Line("`close()` of that index", f"p99 under {CLOSE_S * 1e3:.0f} ms", lambda record, now, earlier: record["p99_s"] < CLOSE_S),
    "queue/async": Line("a call of `searchAsync` when the queue is full", f"p99 under {OTHERS_S * 1e3:.0f} ms", lambda record, now, earlier: record["p99_s"] < OTHERS_S),
    "changes/add": _never("`get` on another while all are added in one call"),
    "changes/mask": _never("`get` on another while a search makes the mask of half of them"),
    "changes/remove": _never("`get` on another while `removeIf` takes every other row"),
    "changes/compact": _never("`get` on another while it is compacted"),
    "build/build": Line("`build()` by the default policy"),
    "small-knn/none-open": Line("no index open"),
    "small-knn/one-open": Line("an index open"),
    "sets/held": Line("heap that they and their masks take", unit="bytes"),
    "sets/dropped": Line("heap that stays when they are dropped", unit="bytes"),
    "sets/closed": Line("heap that stays when only a set of one handle does, the index closed", unit="bytes"),
    "single/native": Line("natively"),
    "single/plain": _java("through Java"),
    "single/timed": _java("through Java with a time-out"),
    "single/async": Line("asynchronously"),
    "single/async-timed": Line("asynchronously with a time-out"),
    "single/plain.bytes": Line("heap that each uses", unit="bytes"),
    "single/timed.bytes": Line("heap that each uses, with a time-out", unit="bytes"),
    "single/async.bytes": Line("heap that each uses asynchronously", unit="bytes"),
    "single/async-timed.bytes": Line("heap that each uses asynchronously, with a time-out", unit="bytes"),
    "clients/linger.cpu": Line("CPU time", unit="s a second"),
    "clients/linger.qps": Line("searches", unit="a second"),
    "clients/linger.cpu_s_each": Line("CPU time of each", f"at most {LINGER:g} x no linger", _linger, unit="s"),
    "clients/no-linger.cpu": Line("CPU time without linger", unit="s a second"),
    "clients/no-linger.qps": Line("searches without linger", unit="a second"),
    "clients/no-linger.cpu_s_each": Line("CPU time of each without linger", unit="s"),
}


def _shape(record: dict) -> tuple:
    """Records of one line compare only where they are of the same work: --rows and --quick change it."""
    return tuple(record[key] for key in ("line", "scenario", "rows", "dim"))


def of_what(records: list[dict]) -> str:
    """The versions and devices that the records are of: one, unless files were put together by hand."""
    return "; and ".join(sorted({f"{record['device']}, commit {record['commit']}" for record in records}))


def _value(record: dict) -> str:
    value, unit = record["value"], record["unit"]
    if unit == "s":
        return output.seconds(value)
    if unit == "bytes":
        return f"{value / 2**20:,.1f} MiB" if value >= 2**20 else f"{value:,.0f} bytes"
    return f"{output.count(value)} {unit}"


HEAD = ("p50", "p99", "max", "of", "it took alone", "beside")
PAIRED = ("p50", "p99", "max", "it took alone")  # of the earlier version, too: a table has only so much room


def _cells(record: dict | None) -> list[str]:
    """As HEAD; a value stands in the place of p50."""
    if record is None:
        return [""] * len(HEAD)
    if record["value"] is not None:
        return [_value(record)] + [""] * (len(HEAD) - 1)
    times = {key: "" if record[key] is None else output.seconds(record[key]) for key in WAITS if key != "count"}
    return [times["p50_s"], times["p99_s"], times["max_s"], f"{record['count']:,}", times["alone_s"], times["beside_s"]]


def table(records: list[dict], before: list[dict] | None, verdicts: dict) -> tuple[list[str], list[list[str]]]:
    """Head and rows. Lines that only the earlier version has are left out."""
    now: Find = {record["line"]: record for record in records}.get
    then = {_shape(record): record for record in before or []}
    head = ["scenario", "what"]
    for name in HEAD:
        head += [f"{name}, before", name] if before and name in PAIRED else [name]
    rows, last = [], None
    for record in records:
        line = LINES.get(record["line"], Line(record["what"]))
        row = ["" if record["scenario"] == last else record["scenario"], record["what"]]
        earlier = then.get(_shape(record))
        for name, old, cell in zip(HEAD, _cells(earlier), _cells(record)):
            row += [old, cell] if before and name in PAIRED else [cell]
        rows.append(row + [line.target, verdicts[line.met(record, now, earlier)]])
        last = record["scenario"]
    return head + ["target", ""], rows


def text(records: list[dict], before: list[dict] | None, notes: list[str]) -> str:
    """The table for a terminal."""
    head, rows = table(records, before, {True: "met", False: "missed", None: ""})
    rows = [head] + rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    left = (0, 1, len(head) - 2, len(head) - 1)
    lines = ["  ".join(cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in rows]
    lines += [""] + [f"{words}: {of_what(each)}" for words, each in (("now", records), ("before", before)) if each] + [f"without {note}" for note in notes]
    return "\n".join(lines) + "\n"
