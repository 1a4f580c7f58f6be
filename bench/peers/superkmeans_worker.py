# SPDX-License-Identifier: Apache-2.0
"""superkmeans: flat, over all rows, without its early end, so that it makes as many iterations as the others. It takes no start: it has a
random one of its own."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import superkmeans

from list_worker import KMeansPeer, seconds_of, serve_kmeans


class SuperKMeans(KMeansPeer):
    system = "superkmeans"
    metrics = ("l2", "cosine")

    def hello(self, threads: int) -> dict:
        self.threads = threads
        return {"version": version("superkmeans"), "settings": f"f32, not hierarchical, all rows, no early end, a start of its own, {threads} threads"}

    def kmeans(self, rows: np.ndarray, start: np.ndarray, iterations: int, metric: str) -> tuple[float, np.ndarray]:
        clusters = len(start)
        work = superkmeans.SuperKMeans(clusters, rows.shape[1], hierarchical=False, iters=iterations, sampling_fraction=1.0,
                                       max_points_per_cluster=-(-len(rows) // clusters), n_threads=self.threads, early_termination=False,
                                       angular=metric == "cosine")  # fmt: skip
        found: list[np.ndarray] = []
        seconds = seconds_of(lambda: found.append(work.train(rows)))
        return seconds, found[0]


serve_kmeans(SuperKMeans())
