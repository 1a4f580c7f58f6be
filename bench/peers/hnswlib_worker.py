# SPDX-License-Identifier: Apache-2.0
"""hnswlib: a graph of f32 rows, compiled for this CPU when it is installed."""

from __future__ import annotations

from importlib.metadata import version

import hnswlib
import numpy as np

from list_worker import ListPeer, seconds_of, serve_lists

# Its own advice for M is 12 to 48; 16 and 200 are what its documentation and ann-benchmarks start from.
LINKS, EFFORT = 16, 200


class Hnswlib(ListPeer):
    system = "hnswlib"
    metrics = ("l2", "cosine", "dot")

    def hello(self, threads: int) -> dict:
        self.threads = threads
        return {"version": version("hnswlib"), "settings": f"M {LINKS}, ef_construction {EFFORT}, {threads} threads"}

    def build_lists(self, base: np.ndarray, metric: str, training: np.ndarray, command: dict) -> float:
        self.index = hnswlib.Index(space="l2" if metric == "l2" else "ip", dim=base.shape[1])
        self.index.init_index(max_elements=len(base), ef_construction=EFFORT, M=LINKS, random_seed=command.get("seed", 1) % (1 << 31))
        return seconds_of(lambda: self.index.add_items(base, num_threads=self.threads))

    def reach(self, effort: int, choice: int) -> None:
        self.index.set_ef(effort)

    def search(self, queries: np.ndarray, k: int):
        return self.index.knn_query(queries, k=k, num_threads=self.threads)

    def answers(self, found, metric: str):
        rows, distances = found  # its inner product is 1 - q.v
        return (distances - 1 if metric == "dot" else distances), rows.astype(np.int64)


serve_lists(Hnswlib())
