# SPDX-License-Identifier: Apache-2.0
"""What all of faiss's indexes have in common."""

from __future__ import annotations

import faiss
import numpy as np


def about(words: str, threads: int) -> dict:
    faiss.omp_set_num_threads(threads)
    return {"version": faiss.__version__, "settings": f"{words}, {faiss.SIMDConfig.get_level_name()}, {threads} threads"}


class FaissIndex:
    """A search of `index`, whose inner products become distances."""

    def search(self, queries: np.ndarray, k: int):
        return self.index.search(queries, k)

    def answers(self, found, metric: str):
        distances, rows = found
        if metric == "cosine":
            distances = 1 - distances
        elif metric == "dot":
            distances = -distances
        return distances, rows
