# SPDX-License-Identifier: Apache-2.0
"""What `bench all` measures: the workloads that have a target, and the curves."""

from __future__ import annotations

from dataclasses import replace

from options import Flat

CURVE_DIMS = (96, 100, 128, 384, 768, 1536)
CURVE_BATCHES = (1, 2, 7, 16, 100, 1000, 10000)
# Elements of a curve's base: 100 MB, beyond the private caches of any core, and 10,000 queries still take seconds.
CURVE_ELEMENTS = 25_600_000
MILLION = 1_000_000
WORDNET = 117_659  # senses of WordNet 3.0: the demo's corpus, at the dimensions of its model
# Poincare and Manhattan cost the peers a minute a run at a million rows; the ratio is the same at a tenth.
SLOW_METRIC_ROWS = 100_000


def _flat(**keys) -> Flat:
    return Flat(seconds=3.0, **keys)


def with_targets() -> list[Flat]:
    every, two, faiss = ("faiss", "usearch", "numpy"), ("faiss", "numpy"), ("faiss",)
    million = {"rows": MILLION, "dim": 128}
    wordnet = {"rows": WORDNET, "dim": 384}
    points = [
        _flat(**million, batch=1, peers=every, java=True),
        # faiss gains much from tuning here: both are shown.
        _flat(**million, batch=16, peers=every + ("faiss-default",)),
        _flat(**million, batch=1000, peers=two, java=True),  # usearch takes 49 s a call here
        _flat(**million, batch=1000, metric="cosine", peers=two),
        _flat(**wordnet, batch=1000, peers=two),
        _flat(**wordnet, batch=1000, metric="cosine", peers=two),
        _flat(rows=SLOW_METRIC_ROWS, dim=128, batch=1000, metric="poincare", peers=("numpy",)),
        _flat(rows=SLOW_METRIC_ROWS, dim=128, batch=1000, metric="manhattan", peers=("faiss", "numpy")),
        _flat(**million, batch=1000, k=100, peers=faiss),
        _flat(**million, batch=1000, k=1000, peers=faiss),
        _flat(rows=1000, dim=128, batch=1, peers=(), java=True),
        _flat(**million, batch=1, clients=8, peers=(), java=True, workload="8 clients"),
    ]
    # numpy only where a target names it: beside faiss its products say nothing more with AVX2, and take minutes.
    narrow = [
        replace(point, path="avx2", java=False, workload="flat avx2",
                peers=tuple(p for p in point.peers if p != "usearch" and (p != "numpy" or point.metric in ("poincare", "manhattan"))))
        for point in points if point.workload == "flat" and point.rows > 1000
    ]  # fmt: skip
    return points + narrow


def beside_local() -> list[Flat]:
    """The packaged library and a local build: the product in L2, with rows of many dimensions, and reading alone. The rounds: beside.py."""
    shapes = ((100_000, 128, 480), (16_666, 1536, 1000), (MILLION, 128, 1))
    return [_flat(rows=rows, dim=dim, batch=batch, repeats=15, peers=(), local=True, workload="packaged") for rows, dim, batch in shapes]


def inserting() -> list[Flat]:
    """Appending in one call, and in calls of a thousand rows."""
    return [_flat(rows=MILLION, dim=128, batch=batch, k=0, peers=(), java=True, workload="insert") for batch in (MILLION, 1000)]


def curves() -> list[Flat]:
    return [
        Flat(rows=CURVE_ELEMENTS // dim, dim=dim, batch=batch, peers=("faiss",), repeats=3, seconds=1.0, workload="curve")
        for dim in CURVE_DIMS for batch in CURVE_BATCHES
    ]  # fmt: skip


def name(point: Flat) -> str:
    return record_name(vars(point))


def record_name(record: dict) -> str:
    """The name of the point that a record is of."""
    return f"{record['workload']} {record['rows']}x{record['dim']} {record['metric']} batch={record['batch']} k={record['k']}"


def quick(point: Flat) -> Flat:
    """To try the whole out: a hundredth of the rows, one round; its figures mean nothing."""
    rows = max(1000, point.rows // 100)
    if point.workload == "insert":
        batch = min(point.batch, rows)
    else:
        batch = min(point.batch, 1000)
    return replace(point, rows=rows, batch=batch, k=min(point.k, rows), repeats=1, seconds=0.0)
