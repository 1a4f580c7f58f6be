# SPDX-License-Identifier: Apache-2.0
"""The targets of lists and clusterings, each beside what was measured."""

from __future__ import annotations

from typing import Iterator

import list_tables
import workloads
from lines import NOT_RUN, Line
from list_options import CHURN, CURVE, EXACT
from scan_targets import AMX, TEXTS, TEXTS_NAME, VNNI

SHAPES = {"decaying": (workloads.MILLION, 128), "overlapping": (workloads.MILLION, 128), workloads.EMBEDDINGS: TEXTS}
OURS = ("nearfield", "nearfield-i8")
FAISS = tuple(name for name in workloads.LIST_PEERS if name.startswith("faiss-"))
TITLES = {"faiss-ivfflat": "faiss IVFFlat", "faiss-ivfpanorama": "faiss IVFFlatPanorama", "faiss-ivfrabitq": "faiss IVFRaBitQFastScan"}
CHURN_SLOWER = 0.05


def lines(figures) -> Iterator[Line]:
    for data in ("decaying", "overlapping"):
        at = Points(figures, CURVE, data, 1)
        yield at.ahead(0.95, ("faiss-ivfflat",), 3, "3 x faiss IVFFlat")
        for peer in ("faiss-ivfpanorama", "faiss-ivfrabitq"):
            yield at.ahead(0.95, (peer,), 1, f"ahead of {TITLES[peer]}")
        yield at.ahead(0.99, ("hnswlib",), 1, "ahead of hnswlib")
        at = Points(figures, CURVE, data, 1000)
        yield at.ahead(0.95, ("faiss-ivfflat",), 8, "8 x faiss IVFFlat")
        yield at.ahead(0.95, FAISS, 2, "2 x the best faiss index")
        yield at.ahead(0.95, ("hnswlib",), 1, "ahead of hnswlib")
    for data in SHAPES:
        for target in (0.9, 0.95, 0.99):
            yield from Points(figures, CURVE, data, 1000).target(target)
    yield Points(figures, EXACT, "decaying", 1).exact("2 x the flat certified scan", 2)
    yield Points(figures, EXACT, workloads.EMBEDDINGS, 1).exact("not slower than the flat certified scan", 1)
    for data in ("decaying", "overlapping"):
        yield Points(figures, CURVE, data, 1000).build()
    yield from _kmeans(figures)
    for batch in (1, 1000):
        yield Points(figures, CHURN, "decaying", batch).churn()
    yield Line("lists on an H200, recall .95, 1M x 128, batch 10,000", "H200: 5 M queries a second", NOT_RUN)
    yield Line("k-means on an H200, 1M x 128, K = 1024, 25 iterations", "H200: 30 ms", NOT_RUN)


class Points:
    """Those of one workload, data and batch."""

    def __init__(self, figures, workload: str, data: str, batch: int):
        rows, dim = SHAPES[data]
        shape = {"workload": workload, "data": data, "rows": rows, "dim": dim, "batch": batch, "k": 10, "metric": "l2"}
        self.found = [r for r in figures.all if all(r[key] == value for key, value in shape.items())]
        self.name = TEXTS_NAME if data == workloads.EMBEDDINGS else f"1M x {dim} {data}"
        self.batch = batch

    def of(self, systems: tuple[str, ...], **wanted) -> list[dict]:
        return [r for r in self.found if r["system"] in systems and all(r.get(key) == value for key, value in wanted.items())]

    def ahead(self, recall: float, systems: tuple[str, ...], least: float, target: str) -> Line:
        """How many times longer the fastest of the systems takes than the faster of ours, each where it reaches the recall."""
        line = Line(f"lists, {self.name}, recall {recall:g}, batch {self.batch:,}", target)
        ours, others = self.of(OURS, at_recall=recall), self.of(systems, at_recall=recall)
        if ours and others:
            best = min(ours, key=lambda r: r["median_s"])
            times = min(r["median_s"] for r in others) / best["median_s"]
            line.measured, line.met = f"{times:.2f} x ({best['system']})", times >= least
        return line

    def target(self, target: float) -> Iterator[Line]:
        """Of ours with f32 rows and with codes the worse."""
        name, found = f"lists, {self.name}, recall target {target:g}", self.of(OURS, target_recall=target)
        reached = Line(name, "at most 1 point below")
        if found:
            recall = min(r["recall"] for r in found)
            reached.measured, reached.met = f"{recall:.4f}", recall >= target - 0.01
        yield reached
        far = Line(name, "at most 1.3 x the lists of the best fixed number")
        beside = [(r["lists_scanned"], fixed["probes"]) for r in found if (fixed := list_tables.fixed_probes(self.found, r))]
        if beside:
            lists, fixed = max(beside, key=lambda pair: pair[0] / pair[1])
            far.measured, far.met = f"{lists / fixed:.2f} x ({lists:.1f} over {fixed})", lists / fixed <= 1.3
        yield far

    def exact(self, target: str, least: float) -> Line:
        line = Line(f"exact through lists, {self.name}, batch {self.batch}", target)
        ours, flat = self.of(OURS), self.of(("nearfield-flat-i8",))
        if ours and flat:
            best = min(ours, key=lambda r: r["median_s"])
            times = flat[0]["median_s"] / best["median_s"]
            line.measured, line.met = f"{times:.2f} x ({best['system']})", times >= least
        return line

    def build(self) -> Line:
        """Lists of f32 rows, as faiss's IVFFlat has them."""
        line = Line(f"lists, build of {self.name}", "half of faiss IVFFlat's time")
        seconds = {r["system"]: r["build_s"] for r in self.found if r["build_s"] is not None}
        if "nearfield" in seconds and "faiss-ivfflat" in seconds:
            share = seconds["nearfield"] / seconds["faiss-ivfflat"]
            codes = f", with codes {seconds['nearfield-i8']:.2f} s" if "nearfield-i8" in seconds else ""
            line.measured, line.met = f"{share:.2f} x ({seconds['nearfield']:.2f} s over {seconds['faiss-ivfflat']:.2f} s{codes})", share <= 0.5
        return line

    def churn(self) -> Line:
        """Of ours with f32 rows and with codes the worse, before it is compacted."""
        line, worst = Line(f"lists, 10% of the rows replaced, {self.name}, batch {self.batch:,}", f"under {CHURN_SLOWER:.0%} slower than a fresh index"), None
        for suffix in ("", "-i8"):
            seconds = [[r["median_s"] for r in self.of((f"nearfield{state}{suffix}",))] for state in ("", "-changed", "-compacted")]
            if all(seconds):
                fresh, changed, compacted = (each[0] for each in seconds)
                worst = max(worst or (-1.0, 0.0), (changed / fresh - 1, compacted / fresh - 1))
        if worst is not None:
            line.measured, line.met = f"{worst[0]:+.1%} ({worst[1]:+.1%} once compacted)", worst[0] < CHURN_SLOWER
        return line


def _kmeans(figures) -> Iterator[Line]:
    shape = {"workload": "kmeans", "data": "decaying", "rows": workloads.KMEANS_ROWS, "dim": 128, "metric": "l2"}
    found = {r["system"]: r for r in figures.all if all(r[key] == value for key, value in shape.items())}
    name = f"k-means, {workloads.KMEANS_ROWS:,} x 128, K = 1024, 25 iterations"
    amx = any(flag in figures.flags for flag in AMX)
    vnni = not amx and any(flag in figures.flags for flag in VNNI)
    faiss = ("faiss-kmeans", "faiss-superkmeans")
    for unit, least, has in (("AMX", 5, amx), ("VNNI", 2.5, vnni), ("AVX2", 1.3, not amx and not vnni)):
        target = f"{unit}: {least:g} x faiss at its best setting"
        yield _times(name, target, found, faiss, least) if has else Line(name, target, NOT_RUN)
    yield _times(name, "ahead of superkmeans", found, ("superkmeans",), 1)


def _times(name: str, target: str, found: dict, systems: tuple[str, ...], least: float) -> Line:
    line, others = Line(name, target), [found[system]["median_s"] for system in systems if system in found]
    if "nearfield" in found and others:
        times = min(others) / found["nearfield"]["median_s"]
        line.measured, line.met = f"{times:.2f} x", times >= least
    return line
