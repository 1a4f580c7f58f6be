# SPDX-License-Identifier: Apache-2.0
"""faiss's IndexIVFFlatPanorama: lists of f32 rows in their principal axes, in levels of dimensions; a row is left once its bound exceeds the
k-th distance. What index_factory("PCA<d>,IVF<n>,FlatPanorama<levels>") makes."""

from __future__ import annotations

import faiss
import numpy as np

from faiss_lists import FaissLists
from list_worker import seconds_of, serve_lists

LEVELS = (4, 8, 16)
# The levels are chosen on a part of the rows, searched in as many lists as a recall of .95 asks for of 1,024.
TUNE_ROWS, TUNE_LISTS, TUNE_PROBES, TUNE_QUERIES = 100_000, 64, 4, 200


class IvfPanorama(FaissLists):
    system = "faiss-ivfpanorama"
    metrics = ("l2", "cosine")  # centring changes inner products
    words = "PCA and IndexIVFFlatPanorama"

    def create(self, quantiser, dim: int, lists: int, kind: int):
        return faiss.IndexIVFFlatPanorama(quantiser, dim, lists, self.levels, faiss.METRIC_L2)

    def build_lists(self, base: np.ndarray, metric: str, training: np.ndarray, command: dict) -> float:
        axes = faiss.PCAMatrix(base.shape[1], base.shape[1])
        seconds = seconds_of(lambda: axes.train(training))
        rotated: list[np.ndarray] = []
        seconds += seconds_of(lambda: rotated.extend(axes.apply(rows) for rows in (base, training)))
        self._choose_levels(rotated[0])
        seconds += super().build_lists(rotated[0], "l2", rotated[1], command)
        self.index, self.axes = faiss.IndexPreTransform(axes, self.lists), axes  # the index owns neither
        return seconds

    def _choose_levels(self, rows: np.ndarray) -> None:
        dim = rows.shape[1]
        part, queries = rows[:TUNE_ROWS], rows[-TUNE_QUERIES:]
        lists = min(TUNE_LISTS, len(part))
        quantiser, timed = faiss.IndexFlatL2(dim), []
        for levels in sorted({min(levels, dim) for levels in LEVELS}):
            index = faiss.IndexIVFFlatPanorama(quantiser, dim, lists, levels, faiss.METRIC_L2)
            index.cp.niter = 4
            index.train(part[: 64 * lists])
            index.add(part)
            index.nprobe = min(TUNE_PROBES, lists)
            timed.append((min(seconds_of(lambda: index.search(queries, 10)) for _ in range(2)), levels))
        self.levels = min(timed)[1]
        self.choices = (f"{self.levels} levels of {', '.join(str(levels) for _, levels in timed)}",)

    def answers(self, found, metric: str):
        distances, rows = found
        return (distances / 2 if metric == "cosine" else distances), rows


serve_lists(IvfPanorama())
