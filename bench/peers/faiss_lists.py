# SPDX-License-Identifier: Apache-2.0
"""What faiss's indexes with lists have in common: trained on the same rows in as many iterations as ours, one coarse quantiser of f32."""

from __future__ import annotations

import faiss
import numpy as np

from faiss_index import FaissIndex, about
from list_worker import ListPeer, seconds_of

# Queries shared out among threads, or the lists of one query. faiss's other modes are for several queries with few lists.
BY_QUERIES, BY_LISTS = 0, 1


class FaissLists(FaissIndex, ListPeer):
    metrics = ("l2", "cosine", "dot")

    def hello(self, threads: int) -> dict:
        return about(self.words, threads)

    words = ""

    def create(self, quantiser, dim: int, lists: int, kind: int):
        """The index with lists itself."""
        raise NotImplementedError

    def build_lists(self, base: np.ndarray, metric: str, training: np.ndarray, command: dict) -> float:
        dim, lists = base.shape[1], command["lists"]
        kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.metric, self.quantiser = metric, faiss.IndexFlat(dim, kind)
        self.lists = self.create(self.quantiser, dim, lists, kind)
        self.lists.cp.niter = command.get("iterations") or self.lists.cp.niter
        self.lists.cp.max_points_per_centroid = -(-len(training) // lists)  # all of them
        self.lists.cp.seed = command.get("seed", 1) % (1 << 31)
        self.index = self.lists

        def build():
            self.lists.train(training)
            self.lists.add(base)

        return seconds_of(build)

    def reach(self, effort: int, choice: int) -> None:
        self.lists.nprobe = effort

    def tune(self, queries: np.ndarray, k: int) -> str:
        """Whether threads share out queries or lists; for many queries the first is always faster."""
        if len(queries) >= 4 * faiss.omp_get_max_threads():
            self.lists.parallel_mode = BY_QUERIES
            return ""
        timed = []
        for mode in (BY_QUERIES, BY_LISTS):
            self.lists.parallel_mode = mode
            timed.append((min(seconds_of(lambda: self.search(queries, k)) for _ in range(5)), mode))
        self.lists.parallel_mode = min(timed)[1]
        return "threads share out " + ("queries", "lists")[self.lists.parallel_mode]
