# SPDX-License-Identifier: Apache-2.0
"""usearch's index: a graph of f32 rows, by its own kernels for this CPU."""

from __future__ import annotations

import numpy as np
import usearch
from usearch.index import Index, MetricKind

from list_worker import ListPeer, seconds_of, serve_lists

LINKS, EFFORT = 16, 128  # its defaults


class UsearchHnsw(ListPeer):
    system = "usearch-hnsw"
    metrics = ("l2", "cosine", "dot")

    def hello(self, threads: int) -> dict:
        self.threads = threads
        return {"version": usearch.__version__, "settings": f"f32, connectivity {LINKS}, expansion_add {EFFORT}, {threads} threads"}

    def prepare(self, queries: np.ndarray, metric: str) -> np.ndarray:
        return queries  # its cosine takes rows of any length

    def build_lists(self, base: np.ndarray, metric: str, training: np.ndarray, command: dict) -> float:
        kind = {"l2": MetricKind.L2sq, "cosine": MetricKind.Cos, "dot": MetricKind.IP}[metric]
        self.index = Index(ndim=base.shape[1], metric=kind, dtype="f32", connectivity=LINKS, expansion_add=EFFORT)
        return seconds_of(lambda: self.index.add(np.arange(len(base)), base, threads=self.threads))

    def reach(self, effort: int, choice: int) -> None:
        self.index.expansion_search = effort

    def search(self, queries: np.ndarray, k: int):
        return self.index.search(queries, k, threads=self.threads)

    def answers(self, found, metric: str):
        distances, rows = np.atleast_2d(found.distances), np.atleast_2d(found.keys).astype(np.int64)
        return (distances - 1 if metric == "dot" else distances), rows  # its dot product is 1 - q.v


serve_lists(UsearchHnsw())
