# SPDX-License-Identifier: Apache-2.0
"""The command lines of `bench ivf` and `bench kmeans`, checked before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

import options
import peers
from errors import UsageError
from options import KMEANS_PEERS, LIST_PEERS, Flat

MOST_LISTS = 1 << 16  # as nf_kmeans has it
RECALLS = (0.7, 0.8, 0.9, 0.95, 0.98, 0.99)  # at which systems are compared, each at what it needs to reach them
CURVE, EXACT, CHURN = "ivf", "ivf exact", "ivf churn"  # workloads of records


@dataclass
class Ivf(Flat):
    """A curve of recall over an index with lists. `batch` is the largest of the batches."""

    batches: tuple[int, ...] = (1, 1000)
    lists: int = 1024
    iterations: int = 10
    training: int = 0  # rows; 0: 256 x lists, or all
    probes: tuple[int, ...] = ()
    target_recall: tuple[float, ...] = (0.9, 0.95, 0.99)
    exact: bool = False
    churn: bool = False
    parts: tuple[str, ...] = (CURVE,)  # workloads that are measured


@dataclass
class KMeans(Flat):
    clusters: int = 1024
    iterations: int = 25


def _all_of(number):
    """A parser of comma-separated values, each once."""

    def parse(name: str, text: str) -> tuple:
        values = tuple(number(name, part) for part in text.split(","))
        if len(set(values)) < len(values):
            raise UsageError(f"{name}={text} names a value twice")
        return values

    return parse


def _share(name: str, text: str) -> float:
    share = options.number(name, text)
    if not 0 < share <= 1:  # nor of NaN
        raise UsageError(f"{name}={text}, a recall must be above 0 and at most 1")
    return share


def _whole(most: int, least: int = 1):
    return lambda name, text: options.whole_number(name, text, least, most)


def _peers_of(known: tuple[str, ...]):
    def parse(name: str, text: str) -> tuple[str, ...]:
        if text == "none":
            return ()
        found: list[str] = []
        for part in text.split(","):
            named = peers.family(part, known)
            if not named:
                raise UsageError(f"{name}={part} is not known; there are {', '.join(known)}, faiss for all of its own, and none")
            found += named
        if len(set(found)) < len(found):
            raise UsageError(f"{name}={text} names a peer twice")
        return tuple(found)

    return parse


IVF_VALUES = {
    "batch": _all_of(_whole(options.MOST)),
    "lists": _whole(MOST_LISTS),
    "iterations": _whole(10_000),
    "training": _whole(options.MOST),
    "probes": _all_of(_whole(MOST_LISTS)),
    "target_recall": lambda name, text: () if text == "none" else _all_of(_share)(name, text),
    "peers": _peers_of(LIST_PEERS),
}
KMEANS_VALUES = {"clusters": _whole(MOST_LISTS), "iterations": _whole(10_000), "peers": _peers_of(KMEANS_PEERS)}


def ivf(arguments: list[str]) -> Ivf:
    chosen = Ivf(workload=CURVE, scans=("f32", "i8"), peers=LIST_PEERS, spectrum="decaying", seconds=3.0)
    options.parsed_workload("ivf", chosen, arguments, ("java", "local", "batches", "parts", "max_oversample"), ("exact", "churn"), IVF_VALUES)
    if "batch" in chosen.given:
        chosen.batches = chosen.batch
    chosen.batch = max(chosen.batches)
    chosen.parts = (CURVE,) + ((EXACT,) if chosen.exact else ()) + ((CHURN,) if chosen.churn else ())
    _no_manhattan("ivf", chosen.metric, "lists", ("l2", "cosine", "dot", "poincare"))
    if chosen.rows is not None:
        check_rows(chosen, chosen.rows)
    most = max(chosen.probes, default=0)
    if most > chosen.lists:
        raise UsageError(f"bench ivf: --probes={most}, there are {chosen.lists} lists")
    return chosen


def kmeans(arguments: list[str]) -> KMeans:
    chosen = KMeans(workload="kmeans", peers=KMEANS_PEERS, spectrum="decaying", repeats=3, seconds=0.0, k=0)
    hidden = ("java", "local", "batch", "k", "clients", "max_oversample", "queries", "truth")
    options.parsed_workload("kmeans", chosen, arguments, hidden, (), KMEANS_VALUES)
    _no_manhattan("kmeans", chosen.metric, "clusters", ("l2", "cosine", "dot"))
    if chosen.rows is not None and chosen.clusters > chosen.rows:
        raise UsageError(f"bench kmeans: --clusters={chosen.clusters}, there are {chosen.rows} rows")
    return chosen


def check_rows(chosen: Ivf, rows: int) -> None:
    """Of a file they are known when it is read."""
    if chosen.lists > rows:
        raise UsageError(f"bench ivf: --lists={chosen.lists}, there are {rows} rows")
    if chosen.training > rows:
        raise UsageError(f"bench ivf: --training={chosen.training}, there are {rows} rows")
    if chosen.training and chosen.training < chosen.lists:
        raise UsageError(f"bench ivf: --training={chosen.training}, it must be at least the {chosen.lists} lists")


def _no_manhattan(command: str, metric: str, what: str, known: tuple[str, ...]) -> None:
    if metric not in known:
        raise UsageError(f"bench {command}: --metric={metric} has no {what}, there are {', '.join(known[:-1])} and {known[-1]}")
