# SPDX-License-Identifier: Apache-2.0
"""The report's sections on lists and on clusterings."""

from __future__ import annotations

import output
import tables
from list_options import CHURN, CURVE, EXACT, RECALLS
from list_output import effort

WORKLOADS = (CURVE, EXACT, CHURN, "kmeans")


def is_of(record: dict) -> bool:
    return record["workload"] in WORKLOADS


def sections(records: list[dict]) -> list[str]:
    return _curves(records) + _targets(records) + _exact(records) + _churn(records) + _kmeans(records)


def _groups(records: list[dict], workload: str) -> dict[tuple, list[dict]]:
    found: dict[tuple, list[dict]] = {}
    for r in records:
        if r["workload"] == workload:
            found.setdefault((r["data"], r["rows"], r["dim"], r["metric"], r["batch"], r["k"]), []).append(r)
    return found


def _curves(records: list[dict]) -> list[str]:
    groups = _groups(records, CURVE)
    if not groups:
        return []
    lines = ["## Lists: queries a second at equal recall", "",
             "Each system looks as far as it must for the recall at the head of the column, by float64 over 1,000 queries: into so many lists, or as its ef (in brackets). "
             "Indexes with lists have as many, trained on the same rows in as many iterations; build is training and adding, once. `faiss-ivfsq8` and "
             "`faiss-ivfrabitq` are refined from f32 rows where that is faster.", ""]  # fmt: skip
    for group in groups.values():
        lines += [f"### {_shape(group)}", ""]
        rows = []
        for system in dict.fromkeys(r["system"] for r in group):
            mine = {r["at_recall"]: r for r in group if r["system"] == system and r["at_recall"] is not None}
            if mine:
                (any_of, *_) = mine.values()
                cells = [f"{output.count(mine[wanted]['qps'])} ({_far(mine[wanted])})" if wanted in mine else "" for wanted in RECALLS]
                rows.append([system, *cells, "" if any_of["build_s"] is None else output.seconds(any_of["build_s"])])
        lines += tables.table(["system", *(f"{wanted:g}" for wanted in RECALLS), "build"], rows)
    return lines


def _far(r: dict) -> str:
    return str(r["probes"] if r["ef"] is None else f"ef {r['ef']}")


def _shape(group: list[dict]) -> str:
    r = group[0]
    count = next((r["lists"] for r in group if r["lists"] is not None), 0)
    return f"{tables.shape(r)}, {count:,} lists"


def _targets(records: list[dict]) -> list[str]:
    rows = []
    for r in records:
        if r["workload"] != CURVE or r["target_recall"] is None:
            continue
        fixed = fixed_probes(records, r)
        share = r["lists_scanned"] / fixed["probes"] if fixed else None
        rows.append([tables.shape(r), r["system"], f"{r['target_recall']:g}", f"{r['recall']:.4f}", f"{r['recall_estimate']:.4f}", f"{r['lists_scanned']:.1f}",
                     str(fixed["probes"]) if fixed else "", f"{share:.2f} x" if share else "", output.count(r["qps"]),
                     output.count(fixed["qps"]) if fixed else ""])  # fmt: skip
    if not rows:
        return []
    lines = ["### Recall targets", "",
             "Each query decides by itself how many lists it looks into, by an estimate of its recall; beside it the least number of lists for all queries that "
             "reaches the target, which needs the truth to be known.", ""]  # fmt: skip
    head = ["workload", "system", "target", "recall", "estimate", "lists", "fixed", "lists over fixed", "queries/s", "fixed"]
    return lines + tables.table(head, rows, 2)


def fixed_probes(records: list[dict], of: dict) -> dict | None:
    """The same system's point with the least number of lists for that recall."""
    same = ("workload", "data", "rows", "dim", "batch", "k", "metric", "system")
    return next((r for r in records if all(r[key] == of[key] for key in same) and r["at_recall"] == of["target_recall"]), None)


def _exact(records: list[dict]) -> list[str]:
    lines = ["### Exact searches through lists", "",
             "Every list, nearest first, with the answers of the scan of all rows bit for bit; ratio: over the certified scan of codes of a flat index.", ""]  # fmt: skip
    return _plain(lines, [r for group in _groups(records, EXACT).values() for r in group])


def _churn(records: list[dict]) -> list[str]:
    lines = ["### Changed rows", "",
             "Of the rows 10% were removed and as many added; `-compacted` was compacted after that; ratio: over an index made of the same rows at once.", ""]  # fmt: skip
    return _plain(lines, [r for group in _groups(records, CHURN).values() for r in group])


def _plain(lines: list[str], found: list[dict]) -> list[str]:
    rows = [[tables.shape(r), r["system"], effort(r), output.seconds(r["median_s"]), f"{output.seconds(r['min_s'])} to {output.seconds(r['max_s'])}",
             output.count(r["qps"]), f"{r['recall']:.4f}", f"{r['ratio']:.2f}"] for r in found]  # fmt: skip
    return lines + tables.table(["workload", "system", "looks into", "median", "spread", "queries/s", "recall", "ratio"], rows, 3) if rows else []


def _kmeans(records: list[dict]) -> list[str]:
    found = [r for r in records if r["workload"] == "kmeans"]
    if not found:
        return []
    lines = ["## k-means", "",
             "All from the same start, over all rows, but superkmeans, which has a start of its own; the clustering alone is timed. Inertia: the sum of all distances "
             "to the nearest centroid, in float64, over ours.", ""]  # fmt: skip
    rows = [[f"{r['data']}, {r['rows']:,} x {r['dim']} {tables.METRIC_TITLES[r['metric']]}, {r['lists']:,} clusters, {r['iterations']} iterations", r["system"],
             output.seconds(r["median_s"]), f"{output.seconds(r['min_s'])} to {output.seconds(r['max_s'])}", f"{r['inertia_ratio']:.4f}", f"{r['ratio']:.2f}"]
            for r in found]  # fmt: skip
    return lines + tables.table(["workload", "system", "median", "spread", "inertia", "ratio"], rows, 2)
