# SPDX-License-Identifier: Apache-2.0
"""usearch's exact search over a matrix: no index, its own kernels for this CPU."""

from __future__ import annotations

import numpy as np
import usearch
from usearch.index import MetricKind, search

from worker import Peer, serve


class Usearch(Peer):
    system = "usearch"
    metrics = ("l2", "cosine", "dot")

    def hello(self, threads: int) -> dict:
        self.threads = threads
        return {"version": usearch.__version__, "settings": f"exact search, {threads} threads"}

    def build(self, base: np.ndarray, metric: str) -> None:
        self.base = base
        self.kind = {"l2": MetricKind.L2sq, "cosine": MetricKind.Cos, "dot": MetricKind.IP}[metric]

    def prepare(self, queries: np.ndarray, metric: str) -> np.ndarray:
        return queries  # its cosine takes rows of any length

    def search(self, queries: np.ndarray, k: int):
        return search(self.base, queries, min(k, len(self.base)), self.kind, exact=True, threads=self.threads)

    def answers(self, found, metric: str):
        distances, rows = np.atleast_2d(found.distances), np.atleast_2d(found.keys).astype(np.int64)
        return (distances - 1 if metric == "dot" else distances), rows  # its dot product is 1 - q.v


serve(Usearch())
