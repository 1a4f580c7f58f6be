# SPDX-License-Identifier: Apache-2.0
"""The targets of speed and memory, each beside what was measured."""

from __future__ import annotations

from typing import Iterator

import beside
import list_tables
import list_targets
import scan_targets
import workloads
from lines import Line

SLAB_BYTES = 64 << 20  # the CPU backend allocates rows in slabs of this size
ROW_BYTES = 16  # beside the coordinates
PADDING = 4  # coordinates are stored in groups of four
MILLION, WORDNET, SLOW = workloads.MILLION, workloads.WORDNET, workloads.SLOW_METRIC_ROWS


# faiss is tuned to the workload unless it is said otherwise.
TITLES = {"faiss-default": "faiss as it comes", "faiss": "faiss at its best setting"}


class Figures:
    """Records and facts, found by what they are of."""

    def __init__(self, records: list[dict], about: dict):
        self.records = {}
        self.all = records  # of lists there are several points of a system
        for r in records:
            self.records[(r["workload"], r["data"], r["rows"], r["dim"], r["batch"], r["k"], r["metric"], r["system"])] = r
        self.points = about.get("points", {})
        self.flags = about.get("machine", {}).get("cpu_flags", "").split()

    def of(self, workload: str, rows: int, dim: int, batch: int, metric: str = "l2", k: int = 10,
           system: str = "nearfield", data: str = "isotropic") -> dict | None:  # fmt: skip
        return self.records.get((workload, data, rows, dim, batch, k, metric, system))

    def facts(self, record: dict | None) -> dict:
        if record is None:
            return {}
        return self.points.get(workloads.record_name(record), {}).get("facts", {}).get(record["system"], {})


def _ratio(figures: Figures, record: dict | None, system: str, least: float) -> Line:
    target = f"{least:g} x {TITLES.get(system, system)}"
    if record is None:
        return Line("", target)
    key = [record[name] for name in ("workload", "rows", "dim", "batch", "metric", "k")]
    peer = figures.of(*key, system=system, data=record["data"])
    if peer is None:
        return Line("", target)
    return Line("", target, f"{peer['ratio']:.2f} x", peer["ratio"] >= least)


def _limit(record: dict | None, least: float, what: str) -> Line:
    target = f"{least:.0%} of {what}"
    if record is None or record["limit_fraction"] is None:
        return Line("", target)
    return Line("", target, f"{record['limit_fraction']:.1%}", record["limit_fraction"] >= least)


def _named(name: str, lines: list[Line]) -> Iterator[Line]:
    for line in lines:
        line.workload = name
        yield line


def lines(figures: Figures) -> Iterator[Line]:
    for workload, path, times in (("flat", "", 1.5), ("flat avx2", ", AVX2 forced", 1.2)):
        one, sixteen = figures.of(workload, MILLION, 128, 1), figures.of(workload, MILLION, 128, 16)
        yield from _named(f"1M x 128 L2, batch 1{path}",
                          [_limit(one, 0.75, "read bandwidth"), _ratio(figures, one, "faiss", 2)])  # fmt: skip
        yield from _named(f"1M x 128 L2, batch 16{path}",
                          [_ratio(figures, sixteen, "faiss-default", 8), _ratio(figures, sixteen, "faiss", 8)])  # fmt: skip
        for rows, dim in ((MILLION, 128), (WORDNET, 384)):
            for metric, title in (("l2", "L2"), ("cosine", "cosine")):
                thousand = figures.of(workload, rows, dim, 1000, metric)
                yield from _named(f"{rows:,} x {dim} {title}, batch 1000{path}",
                                  [_limit(thousand, 0.65, "the multiply-add peak"), _ratio(figures, thousand, "faiss", times)])  # fmt: skip
        for metric, title, rivals in (("poincare", "Poincaré", ("numpy",)), ("manhattan", "Manhattan", ("numpy", "faiss"))):
            record = figures.of(workload, SLOW, 128, 1000, metric)
            yield from _named(f"{SLOW:,} x 128 {title}, batch 1000{path}", [_ratio(figures, record, r, 3) for r in rivals])
        for k, most, times in ((100, 1.3, 1), (1000, 2.5, 1 if path else 1.5)):
            yield from _named(f"1M x 128 L2, batch 1000, k = {k}{path}", _larger_k(figures, workload, k, most, times))
    rows, dim = workloads.CURVE_ELEMENTS // 1536, 1536
    for batch in (1000, 10_000):
        record = figures.of("curve", rows, dim, batch)
        yield from _named(f"{rows:,} x {dim} L2, batch {batch:,}", [_ratio(figures, record, "faiss", 1.3)])
    yield from _java(figures)
    yield from _packaged(figures)
    yield from _inserts(figures)
    yield _memory(figures)
    yield from scan_targets.lines(figures)
    yield from list_targets.lines(figures)


def _larger_k(figures: Figures, workload: str, k: int, most: float, times: float) -> list[Line]:
    ten, record = figures.of(workload, MILLION, 128, 1000), figures.of(workload, MILLION, 128, 1000, k=k)
    target = f"within {most:g} x of our k = 10"
    own = Line("", target)
    if ten is not None and record is not None:
        longer = record["median_s"] / ten["median_s"]
        own = Line("", target, f"{longer:.2f} x", longer <= most)
    ahead = _ratio(figures, record, "faiss", times)
    if times == 1:
        ahead.target = "ahead of faiss"
    return [own, ahead]


def _java(figures: Figures) -> Iterator[Line]:
    small = [figures.facts(figures.of("flat", 1000, 128, 1, system=s)).get("p50_s") for s in ("nearfield", "nearfield-java")]
    line = Line("Java over native, 1,000 rows x 128, batch 1", "under 25 us added at p50")
    if None not in small:
        added = small[1] - small[0]
        line.measured, line.met = f"{added * 1e6:.1f} us ({small[1] * 1e6:.1f} over {small[0] * 1e6:.1f})", added < 25e-6
    yield line
    native, java = (figures.of("flat", MILLION, 128, 1000, system=s) for s in ("nearfield", "nearfield-java"))
    line = Line("Java over native, 1M x 128 L2, batch 1000", "under 3% added")
    if native and java:
        added = java["median_s"] / native["median_s"] - 1
        line.measured, line.met = f"{added:.1%}", added < 0.03
    yield line
    one = figures.of("flat", MILLION, 128, 1, system="nearfield-java")
    eight = figures.of("8 clients", MILLION, 128, 1, system="nearfield-java")
    line = Line("8 threads through Java, single queries, 1M x 128", "5 x one thread's QPS")
    if one and eight:
        times = eight["qps"] / one["qps"]
        line.measured, line.met = f"{times:.2f} x ({eight['qps']:.0f} over {one['qps']:.0f})", times >= 5
    yield line


def _packaged(figures: Figures) -> Iterator[Line]:
    for point in workloads.beside_local():
        shape = (point.workload, point.rows, point.dim, point.batch)
        ours, local = figures.of(*shape), figures.of(*shape, system="nearfield-local")
        line = Line(f"packaged library, {point.rows:,} x {point.dim} L2, batch {point.batch:,}",
                    f"at most {beside.MOST:g} x a local build's time")  # fmt: skip
        if ours and local:
            times = beside.behind([ours, local])
            line.measured, line.met = f"{times:.2f} x", times <= beside.MOST
        yield line


def _inserts(figures: Figures) -> Iterator[Line]:
    for batch, title in ((MILLION, "one call"), (1000, "calls of 1,000 rows")):
        record = figures.of("insert", MILLION, 128, batch, k=0, system="nearfield-java")
        line = _limit(record, 1 / 3, "memcpy into cold pages")
        line.workload = f"insert through Java, 1M x 128, {title}"
        line.target = "a third of memcpy into cold pages"
        yield line


def _memory(figures: Figures) -> Line:
    line = Line("device memory", "rows x padded dim x 4 + 16 bytes a row + a slab")
    worst = None
    for (workload, _, rows, dim, *_), record in figures.records.items():
        used, codes = (figures.facts(record).get(key, 0) for key in ("device_bytes", "code_bytes"))
        if not used or codes or record["system"].endswith("-i8") or list_tables.is_of(record):  # those with codes have a target of their own
            continue
        padded = -(-dim // PADDING) * PADDING
        over = used - rows * (padded * 4 + ROW_BYTES) - SLAB_BYTES
        if worst is None or over > worst[0]:
            worst = (over, rows, dim, used)
    if worst is not None:
        over, rows, dim, used = worst
        line.measured = f"at most {used / (rows * dim * 4):.3f} x the vectors ({rows:,} x {dim}: {used / 1e6:.1f} MB)"
        line.met = over <= 0
    return line
