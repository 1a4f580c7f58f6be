# SPDX-License-Identifier: Apache-2.0
"""What `bench all` measures: the workloads that have a target, and the curves."""

from __future__ import annotations

from dataclasses import replace

import dataset
import machine
from list_options import CHURN, CURVE, EXACT, Ivf, KMeans
from options import KMEANS_PEERS, LIST_PEERS, SCAN_PEERS, Flat

CURVE_DIMS = (96, 100, 128, 384, 768, 1536)
CURVE_BATCHES = (1, 2, 7, 16, 100, 1000, 10000)
# Elements of a curve's base: 100 MB, beyond the private caches of any core, and 10,000 queries still take seconds.
CURVE_ELEMENTS = 25_600_000
MILLION = 1_000_000
WORDNET = 117_659  # senses of WordNet 3.0: the demo's corpus, at the dimensions of its model
# Poincare and Manhattan cost the peers a minute a run at a million rows; the ratio is the same at a tenth.
SLOW_METRIC_ROWS = 100_000
# What the demo exports: all of its definitions, some of which are held out as queries.
EMBEDDINGS, EMBEDDINGS_ROWS, EMBEDDINGS_DIM = "embeddings", 117_791 - dataset.HELD, 384
EMBEDDINGS_FILE = machine.ROOT / "build" / "bench" / f"{EMBEDDINGS}.fbin"
# A million rows of 1536 dimensions are 6 GB in each system: a fifth fits a machine of 16 GB.
WIDE_ROWS, WIDE_DIM = 200_000, 1536

# Lists of the embeddings: as many as the library chooses by itself, the root of the rows.
EMBEDDINGS_LISTS = 340
KMEANS_ROWS = 262_144

# Workloads that measure appending, not searching.
INSERTING = ("insert", "encode")


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


def scans(embeddings: str) -> list[Flat]:
    """Scans of codes, on rows of several spectra; `embeddings` is the file of the demo's. Panorama takes one query a thread: it is beside single
    queries and small batches, where it is strongest."""
    few, many, none = ("faiss", "panorama"), ("faiss",), ()
    decaying, isotropic = ({"rows": MILLION, "dim": 128, "data": data} for data in ("decaying", "isotropic"))
    wide = [{"rows": WIDE_ROWS, "dim": WIDE_DIM, "data": data} for data in ("decaying", "isotropic")]
    texts = {"rows": EMBEDDINGS_ROWS, "dim": EMBEDDINGS_DIM, "data": EMBEDDINGS}
    points = [_scan(**shape, batch=1, peers=SCAN_PEERS, java=True) for shape in (decaying, isotropic, texts)]
    points += [_scan(**shape, batch=batch, peers=few) for shape in (decaying, texts) for batch in (4, 16)]
    points += [_scan(**shape, batch=1, k=100, peers=few) for shape in (decaying, texts)]
    points += [_scan(**shape, batch=1000, peers=many) for shape in (decaying, isotropic, texts)]
    points += [_scan(**shape, batch=1000, peers=none, path="avx2", workload="scan avx2") for shape in (decaying, isotropic, texts)]
    points += [_scan(**shape, batch=1, peers=few) for shape in wide] + [_scan(**shape, batch=1000, peers=many) for shape in wide]
    points.append(_scan(rows=MILLION, dim=128, data="clusters", batch=1000, peers=none))
    points += [replace(_scan(**shape, batch=shape["rows"], peers=none, workload="encode"), k=0) for shape in (decaying, wide[0])]
    return [replace(point, base=embeddings) if point.data == EMBEDDINGS else point for point in points]


def _scan(data: str, workload: str = "scan", **keys) -> Flat:
    spectrum = "isotropic" if data == EMBEDDINGS else data
    return _flat(workload=workload, data=data, spectrum=spectrum, scans=("f32", "i8"), **keys)


def lists(embeddings: str) -> list[Flat]:
    """Curves of recall and exact searches on both spectra and the embeddings; changed rows, as many as a million at a time; and a clustering."""
    million = {"rows": MILLION, "dim": 128, "lists": 1024}
    texts = {"rows": EMBEDDINGS_ROWS, "dim": EMBEDDINGS_DIM, "lists": EMBEDDINGS_LISTS, "base": embeddings}
    points: list[Flat] = [_lists(data, **shape) for data, shape in (("decaying", million), ("overlapping", million), (EMBEDDINGS, texts))]
    points.append(_lists("decaying", **{**million, "rows": MILLION * 11 // 10}, workload=CHURN, peers=(), parts=(CHURN,)))
    points.append(KMeans(rows=KMEANS_ROWS, dim=128, workload="kmeans", data="decaying", spectrum="decaying", k=0, batch=KMEANS_ROWS, peers=KMEANS_PEERS,
                         repeats=3, seconds=0.0))  # fmt: skip
    return points


def _lists(data: str, workload: str = CURVE, peers: tuple[str, ...] = LIST_PEERS, parts: tuple[str, ...] = (CURVE, EXACT), **keys) -> Ivf:
    spectrum = "isotropic" if data == EMBEDDINGS else data
    return Ivf(workload=workload, data=data, spectrum=spectrum, scans=("f32", "i8"), seconds=3.0, peers=peers, parts=parts, **keys)


def curves() -> list[Flat]:
    return [
        Flat(rows=CURVE_ELEMENTS // dim, dim=dim, batch=batch, peers=("faiss",), repeats=3, seconds=1.0, workload="curve")
        for dim in CURVE_DIMS for batch in CURVE_BATCHES
    ]  # fmt: skip


def name(point: Flat) -> str:
    return record_name(vars(point))


def record_name(record: dict) -> str:
    """The name of the point that a record is of."""
    data = "" if record["data"] == "isotropic" else f"{record['data']} "
    return f"{record['workload']} {data}{record['rows']}x{record['dim']} {record['metric']} batch={record['batch']} k={record['k']}"


def quick(point: Flat) -> Flat:
    """To try the whole out: a hundredth of the rows, one round; its figures mean nothing."""
    rows = max(1000, point.rows // 100)
    if isinstance(point, Ivf):  # 39 rows a list are the least that faiss does not warn of
        lists = max(1, min(point.lists, rows // 39))
        return replace(point, rows=rows, lists=lists, repeats=1, seconds=0.0)
    if isinstance(point, KMeans):
        return replace(point, rows=rows, batch=rows, clusters=rows // 39, repeats=1)
    if point.workload in INSERTING:
        batch = min(point.batch, rows)
    else:
        batch = min(point.batch, 1000)
    return replace(point, rows=rows, batch=batch, k=min(point.k, rows), repeats=1, seconds=0.0)
