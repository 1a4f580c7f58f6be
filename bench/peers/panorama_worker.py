# SPDX-License-Identifier: Apache-2.0
"""faiss's Panorama: rows in their principal axes, in levels of dimensions; a row is left once its bound exceeds the k-th distance. What
index_factory("PCA<d>,FlatL2Panorama<levels>") makes, with the axes computed once for all numbers of levels that are tried. It searches one
query a thread."""

from __future__ import annotations

import faiss
import numpy as np

from faiss_index import about
from worker import Peer, seconds_of, serve, unit

LEVELS = (4, 8, 16, 32, 64)
DEFAULT_LEVELS = 8  # of its documentation


class Panorama(Peer):
    system = "panorama"
    metrics = ("l2", "cosine")  # centring changes inner products

    def __init__(self):
        self.levels = 0  # not chosen yet
        self.rotated = np.zeros((0, 0), np.float32)

    def hello(self, threads: int) -> dict:
        return about("PCA and FlatL2Panorama", threads)

    def build(self, base: np.ndarray, metric: str) -> None:
        rows = unit(base) if metric == "cosine" else base
        self.axes = faiss.PCAMatrix(rows.shape[1], rows.shape[1])
        self.axes.train(rows)
        self.rotated = self.axes.apply(rows)
        self._index(self.levels or min(DEFAULT_LEVELS, rows.shape[1]))
        if self.levels:
            self.rotated = np.zeros((0, 0), np.float32)

    def _index(self, levels: int) -> None:
        flat = faiss.IndexFlatL2Panorama(self.rotated.shape[1], levels)
        flat.add(self.rotated)
        self.index = faiss.IndexPreTransform(self.axes, flat)
        self.parts = (self.axes, flat)  # the index does not own them

    def tune(self, queries: np.ndarray, k: int) -> str:
        dim = self.rotated.shape[1]
        timed = []
        for levels in sorted({min(levels, dim) for levels in LEVELS}):
            self._index(levels)
            timed.append((min(seconds_of(lambda: self.search(queries, k)) for _ in range(2)), levels))
        self.levels = min(timed)[1]
        self._index(self.levels)
        return f"{self.levels} levels of {', '.join(str(levels) for _, levels in timed)}"

    def search(self, queries: np.ndarray, k: int):
        return self.index.search(queries, k)

    def answers(self, found, metric: str):
        distances, rows = found
        return (distances / 2 if metric == "cosine" else distances), rows


if __name__ == "__main__":
    serve(Panorama())
