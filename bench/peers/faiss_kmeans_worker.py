# SPDX-License-Identifier: Apache-2.0
"""faiss.Kmeans: Lloyd from a given start, by matrix products."""

from __future__ import annotations

import faiss
import numpy as np

from faiss_index import about
from list_worker import KMeansPeer, seconds_of, serve_kmeans


class FaissKMeans(KMeansPeer):
    system = "faiss-kmeans"
    metrics = ("l2", "cosine")
    words = "Kmeans"
    settings: dict = {}

    def hello(self, threads: int) -> dict:
        return about(self.words, threads)

    def kmeans(self, rows: np.ndarray, start: np.ndarray, iterations: int, metric: str) -> tuple[float, np.ndarray]:
        clusters = len(start)
        work = faiss.Kmeans(rows.shape[1], clusters, niter=iterations, spherical=metric == "cosine", min_points_per_centroid=1,
                            max_points_per_centroid=-(-len(rows) // clusters), **self.settings)  # fmt: skip - all rows
        first = self.prepare(start, metric)
        return seconds_of(lambda: work.train(rows, init_centroids=first)), work.centroids


if __name__ == "__main__":
    serve_kmeans(FaissKMeans())
