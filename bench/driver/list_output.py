# SPDX-License-Identifier: Apache-2.0
"""Tables of points of a recall curve and of clusterings, for a terminal."""

from __future__ import annotations

import output
from flat import Outcome


def effort(r: dict) -> str:
    """How a search was told how far to look."""
    if r["target_recall"] is not None:
        return f"target {r['target_recall']:g}"
    if r["ef"] is not None:
        return f"ef {r['ef']}"
    if r["probes"] is not None:
        return f"{r['probes']} lists"
    return "every row" if r["lists"] is None else "every list"


def table(outcome: Outcome) -> str:
    lines: list[str] = []
    for key in dict.fromkeys((r["workload"], r["batch"]) for r in outcome.records):
        rows = [("system", "looks into", "for recall", "recall", "lists", "median", "least", "most", "queries/s", "x ours", "build")]
        for r in (r for r in outcome.records if (r["workload"], r["batch"]) == key):
            rows.append((r["system"], effort(r), "-" if r["at_recall"] is None else f"{r['at_recall']:g}", f"{r['recall']:.4f}",
                         "-" if r["lists_scanned"] is None else f"{r['lists_scanned']:.4g}", output.seconds(r["median_s"]), output.seconds(r["min_s"]),
                         output.seconds(r["max_s"]), output.count(r["qps"]), f"{r['ratio']:.3g}", "-" if r["build_s"] is None else output.seconds(r["build_s"])))  # fmt: skip
        lines += [f"{key[0]}, {key[1]} queries a call"] + output.columns(rows) + [""]
    return "\n".join(lines + _systems(outcome)) + "\n"


def kmeans(outcome: Outcome) -> str:
    rows = [("system", "median", "least", "most", "rows/s an iteration", "x ours", "inertia over ours")]
    for r in outcome.records:
        rows.append((r["system"], output.seconds(r["median_s"]), output.seconds(r["min_s"]), output.seconds(r["max_s"]), output.count(r["qps"]),
                     f"{r['ratio']:.3g}", f"{r['inertia_ratio']:.4f}"))  # fmt: skip
    return "\n".join(output.columns(rows) + [""] + _systems(outcome)) + "\n"


def _systems(outcome: Outcome) -> list[str]:
    """What each system is; the settings of single points are in the records."""
    devices: dict[str, str] = {}
    for r in outcome.records:
        shown = devices.setdefault(r["system"], r["device"])
        devices[r["system"]] = r["device"] if len(r["device"]) < len(shown) else shown
    return [f"{name}: {device}" for name, device in devices.items()] + [f"without {note}" for note in outcome.notes] + outcome.warnings
