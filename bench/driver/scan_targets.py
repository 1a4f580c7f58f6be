# SPDX-License-Identifier: Apache-2.0
"""The targets of scans of codes, each beside what was measured."""

from __future__ import annotations

from typing import Iterator

import workloads
from lines import NOT_RUN, Line

MILLION, TEXTS, WIDE = (workloads.MILLION, 128), (workloads.EMBEDDINGS_ROWS, workloads.EMBEDDINGS_DIM), (workloads.WIDE_ROWS, workloads.WIDE_DIM)
TEXTS_NAME = f"embeddings, {TEXTS[0]:,} x {TEXTS[1]}"
# The integer units of the CPU by the flags of /proc/cpuinfo. Where there is AMX, VNNI is not what is measured.
AMX, VNNI = ("amx_int8",), ("avx512_vnni", "avx_vnni")


class Scans:
    """Figures of one workload and data, by system."""

    def __init__(self, figures, shape: tuple[int, int], data: str, batch: int, k: int = 10, workload: str = "scan"):
        self.figures, self.shape, self.data, self.batch, self.k, self.workload = figures, shape, data, batch, k, workload

    def of(self, system: str, batch: int | None = None) -> dict | None:
        return self.figures.of(self.workload, *self.shape, batch or self.batch, k=self.k, system=system, data=self.data)

    def coded(self) -> dict | None:
        return self.of("nearfield-i8")

    def name(self) -> str:
        rows = "1M" if self.shape[0] == workloads.MILLION else f"{self.shape[0]:,}"
        shape = TEXTS_NAME if self.data == workloads.EMBEDDINGS else f"{rows} x {self.shape[1]} {self.data}"
        forced = ", AVX2 forced" if "avx2" in self.workload else ""
        return f"codes, {shape}, batch {self.batch}" + (f", k = {self.k}" if self.k != 10 else "") + forced


def _query(record: dict) -> float:
    return record["median_s"] / record["batch"]


def _times(scans: Scans, target: str, others: list[dict | None], least: float) -> Line:
    """How many times longer the fastest of the others takes a query."""
    line, ours, found = Line(scans.name(), target), scans.coded(), [_query(r) for r in others if r is not None]
    if ours and found:
        times = min(found) / _query(ours)
        line.measured, line.met = f"{times:.2f} x", times >= least
    return line


def _over_f32(scans: Scans, least: float) -> Line:
    return _times(scans, f"{least:g} x our f32 scan", [scans.of("nearfield")], least)


def _over_faiss(scans: Scans, least: float) -> Line:
    return _times(scans, f"{least:g} x faiss at its best setting", [scans.of("faiss")], least)


def _over_panorama(scans: Scans, least: float, target: str) -> Line:
    """At its best: one query a call, or as many as threads."""
    threads = [r for r in scans.figures.records.values()
               if r["system"] == "panorama-threads" and (r["workload"], r["data"], r["rows"], r["dim"], r["k"]) == (scans.workload, scans.data, *scans.shape, scans.k)]  # fmt: skip
    return _times(scans, target, [scans.of("panorama"), *threads], least)


def lines(figures) -> Iterator[Line]:
    decaying, isotropic, texts = (Scans(figures, shape, data, 1) for shape, data in
                                  ((MILLION, "decaying"), (MILLION, "isotropic"), (TEXTS, workloads.EMBEDDINGS)))  # fmt: skip
    yield _over_f32(decaying, 12)
    yield _over_panorama(decaying, 3, "3 x faiss Panorama per query at its best setting")
    yield _over_f32(isotropic, 3)
    yield _over_f32(texts, 3)
    yield _over_panorama(texts, 1, "ahead of faiss Panorama")
    for batch in (4, 16):
        yield _over_f32(Scans(figures, MILLION, "decaying", batch), 2)
        yield _over_f32(Scans(figures, TEXTS, workloads.EMBEDDINGS, batch), 1.3)
    yield _over_f32(Scans(figures, MILLION, "decaying", 1, k=100), 2)
    yield _over_f32(Scans(figures, TEXTS, workloads.EMBEDDINGS, 1, k=100), 1.3)
    yield from _many(figures)
    for data in ("decaying", "isotropic"):
        yield _over_faiss(Scans(figures, WIDE, data, 1), 5)
        yield _over_faiss(Scans(figures, WIDE, data, 1000), 2)
    clusters = Scans(figures, MILLION, "clusters", 1000)
    line = _over_f32(clusters, 1 / 1.05)
    line.target = "at most 5% slower than our f32 scan"
    yield line
    yield from _encoding(figures)
    yield _memory(figures)


def _many(figures) -> Iterator[Line]:
    for shape, data in ((MILLION, "isotropic"), (MILLION, "decaying"), (TEXTS, workloads.EMBEDDINGS)):
        scans = Scans(figures, shape, data, 1000)
        amx, vnni = _has(figures, AMX), _has(figures, VNNI) and not _has(figures, AMX)
        yield _named("AMX: 12 x faiss at its best setting, then 20", _over_faiss(scans, 12), amx)
        yield _named("VNNI: 2.8 x our f32 scan", _over_f32(scans, 2.8), vnni)
        yield _named("VNNI: 5 x faiss at its best setting", _over_faiss(scans, 5), vnni)
        yield _over_f32(Scans(figures, shape, data, 1000, workload="scan avx2"), 1.2)
    for target in ("NEON dot product: 2.5 x our f32 scan by instruction counts", "i8mm: 4 x our f32 scan by instruction counts"):
        yield Line("codes, batch 1000", target, NOT_RUN)


def _has(figures, flags: tuple[str, ...]) -> bool:
    return any(flag in figures.flags for flag in flags)


def _named(target: str, line: Line, has: bool) -> Line:
    return Line(line.workload, target, line.measured, line.met) if has else Line(line.workload, target, NOT_RUN)


def _encoding(figures) -> Iterator[Line]:
    for (rows, dim), most in ((MILLION, 2), (WIDE, 8)):
        coded = figures.of("encode", rows, dim, rows, k=0, system="nearfield-i8", data="decaying")
        line = Line(f"codes, insertion of {rows:,} x {dim} decaying", f"adds at most {most} x the time of f32 rows")
        if coded:
            line.measured, line.met = f"{coded['ratio'] - 1:.2f} x", coded["ratio"] - 1 <= most
        yield line
    facts = figures.facts(Scans(figures, MILLION, "decaying", 1).coded())
    line = Line("codes, fit of 1M x 128 decaying", "under 3 s, in steps")
    if "fit_s" in facts:
        line.measured = f"{facts['fit_s']:.2f} s in {facts['fit_steps']:,} steps, the longest {facts['fit_longest_step_s'] * 1e3:.1f} ms"
        line.met = facts["fit_s"] < 3 and facts["fit_steps"] > 1
    yield line


def _memory(figures) -> Line:
    """The most that an index with codes holds beyond one without, as a share of its f32 rows."""
    line, worst = Line("codes, memory beside the f32 rows", "0.30 x of them at 128 dimensions or more"), None
    for record in figures.records.values():
        if record["system"] != "nearfield-i8" or record["workload"] not in ("scan", "scan avx2") or record["dim"] < 128:
            continue
        plain = figures.of(*[record[key] for key in ("workload", "rows", "dim", "batch", "metric", "k")], data=record["data"])
        used, without = (figures.facts(r).get("device_bytes", 0) for r in (record, plain))
        if used and without:
            share = (used - without) / (record["rows"] * record["dim"] * 4)
            worst = max(worst or (share, ""), (share, f"{record['rows']:,} x {record['dim']}"))
    if worst is not None:
        line.measured, line.met = f"at most {worst[0]:.3f} x ({worst[1]})", worst[0] <= 0.3
    return line
