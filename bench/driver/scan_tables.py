# SPDX-License-Identifier: Apache-2.0
"""The report's sections on scans of codes."""

from __future__ import annotations

import output
import peers
import tables
import workloads

WORKLOADS = ("scan", "scan avx2", "encode")


def is_of(record: dict) -> bool:
    return record["workload"] in WORKLOADS


def sections(records: list[dict], about: dict) -> list[str]:
    scans = [r for r in records if r["workload"] in WORKLOADS[:2]]
    if not scans:
        return []
    lines = ["## Scans of codes", "",
             "Every answer of `nearfield-i8` is bit for bit that of `nearfield`, the scan of f32 rows in the same run, and most are had from a part of the bytes. "
             "Faster: queries a second over those of our f32 scan. Codes read: of the bytes of codes that there are. Candidates: rows a query that were computed in f32, "
             "at the median. `panorama` is faiss's, exact by its own account; it takes one query a thread, so `panorama-threads` is called with as many queries as "
             "there are threads. `faiss-sq8` is approximate.", ""]  # fmt: skip
    rows, last = [], None
    for r in scans:
        shape = _shape(r)
        candidates = r.get("candidates_p50")
        rows.append(["" if shape in ("", last) else shape, _system(r), output.seconds(r["median_s"]), f"{output.seconds(r['min_s'])} to {output.seconds(r['max_s'])}",
                     output.count(r["qps"]), f"{1 / r['ratio']:.2f} x", tables.percent(r.get("bytes_read_fraction")),
                     "" if candidates is None else output.count(candidates), tables.percent(r.get("certified_fraction")),
                     "" if r["recall"] is None else f"{r['recall']:.4f}"])  # fmt: skip
        last = shape or last
    head = ["workload", "system", "median", "spread", "queries/s", "faster", "codes read", "candidates", "certified", "recall"]
    return lines + tables.table(head, rows, 2) + _codes(scans, about) + _encoding(records)


def _shape(r: dict) -> str:
    if r["system"].endswith(peers.THREADS):  # stands among those of another batch
        return ""
    data = "isotropic, " if r["data"] == "isotropic" else ""
    return f"{data}{tables.shape(r)}" + (", AVX2 forced" if "avx2" in r["workload"] else "")


def _system(r: dict) -> str:
    return r["system"] + (f", {r['batch']} a call" if r["system"].endswith(peers.THREADS) else "")


def _codes(scans: list[dict], about: dict) -> list[str]:
    """What codes take and how long they are fitted: of each base once."""
    rows, seen = [], set()
    for r in scans:
        of = about["points"].get(workloads.record_name(r), {}).get("facts", {}).get(r["system"], {})
        base = (r["data"], r["rows"], r["dim"], r["metric"])
        if "code_bytes" not in of or base in seen:
            continue
        seen.add(base)
        size = r["rows"] * r["dim"] * 4
        rows.append([f"{r['data']}, {r['rows']:,} x {r['dim']}", f"{of['code_bytes'] / 1e6:.1f} MB", f"{of['code_bytes'] / size:.3f} x", "yes" if of["rotated"] else "no",
                     str(of["level_dims"]), output.seconds(of["fit_s"]), f"{of['fit_steps']:,}", output.seconds(of["fit_longest_step_s"])])  # fmt: skip
    if not rows:
        return []
    lines = ["### Codes beside the rows", "", "The basis is fitted to a sample and the rows are coded anew, in steps of 10 ms, with searches in between.", ""]
    return lines + tables.table(["rows", "codes", "of the rows", "rotated", "dimensions a level", "fit", "steps", "longest step"], rows)


def _encoding(records: list[dict]) -> list[str]:
    found = [r for r in records if r["workload"] == "encode"]
    if not found:
        return []
    rows = [[f"{r['data']}, {r['rows']:,} x {r['dim']}", r["system"], output.seconds(r["median_s"]), f"{output.seconds(r['min_s'])} to {output.seconds(r['max_s'])}",
             output.count(r["qps"]), f"{r['ratio']:.2f}"] for r in found]  # fmt: skip
    lines = ["### Coding on insertion", "", "In one call, behind the first 50,000 rows, to which the basis is fitted; ratio: over the insertion of f32 rows alone.", ""]
    return lines + tables.table(["rows", "system", "median", "spread", "rows/s", "ratio"], rows, 2)
