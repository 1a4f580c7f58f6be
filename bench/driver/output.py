# SPDX-License-Identifier: Apache-2.0
"""Records as JSON or as a table; a file appears whole or not at all."""

from __future__ import annotations

import json
import os
import sys
import tempfile

import coded
from errors import UsageError
from flat import Outcome


def check_writable(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise UsageError(f"--out={path} is a folder")
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UsageError(f"--out={path}: {folder} is {'not writable' if os.path.isdir(folder) else 'no folder'}")


def write(text: str, path: str | None) -> None:
    if path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    folder, name = os.path.split(os.path.abspath(path))
    handle, partial = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def json_text(records: list[dict]) -> str:
    return "[\n" + ",\n".join("  " + json.dumps(r, ensure_ascii=False) for r in records) + "\n]\n"


def seconds(value: float) -> str:
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.1%}"


def limit_words(limits: dict) -> str:
    """What was measured, as far as it was."""
    words = []
    if "read_bytes_per_s" in limits:
        words.append(f"reading {limits['read_bytes_per_s'] / 1e9:.1f} GB/s, multiply-adds {limits['flops_per_s'] / 1e9:.0f} GFLOP/s "
                     f"at {limits['clock_hz'] / 1e9:.2f} GHz")  # fmt: skip
    if "memcpy_cold_bytes_per_s" in limits:
        words.append(f"one thread's memcpy into fresh pages {limits['memcpy_cold_bytes_per_s'] / 1e9:.2f} GB/s, "
                     f"{limits['memcpy_cold_huge_bytes_per_s'] / 1e9:.2f} in huge ones")  # fmt: skip
    return "; ".join(words)


def columns(rows: list[tuple[str, ...]]) -> list[str]:
    """The first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))) for row in rows]


def table(outcome: Outcome) -> str:
    scan = any("scan_dtype" in r for r in outcome.records)
    head = ("system", "median", "least", "most", "queries/s", "of the limit", "recall", "x ours")
    rows = [head + (("codes read", "candidates", "certified") if scan else ())]
    for r in outcome.records:
        cells = (r["system"], seconds(r["median_s"]), seconds(r["min_s"]), seconds(r["max_s"]), count(r["qps"]),
                 percent(r["limit_fraction"]), "-" if r["recall"] is None else f"{r['recall']:.4f}", f"{r['ratio']:.3g}" if scan else f"{r['ratio']:.2f}")  # fmt: skip
        if scan:
            candidates = "-" if r["candidates_p50"] is None else count(r["candidates_p50"])
            cells += (percent(r["bytes_read_fraction"]), candidates, percent(r["certified_fraction"]))
        rows.append(cells)
    lines = columns(rows) + [""]
    lines += [f"{r['system']}: {r['device']}" for r in outcome.records]
    (first, *_) = outcome.records
    lines += coded.words(outcome.facts, first["rows"] * first["dim"] * 4)
    lines.append(f"limit of the CPU: {limit_words(outcome.limits)}")
    lines += [f"without {note}" for note in outcome.notes] + outcome.warnings
    return "\n".join(lines) + "\n"
