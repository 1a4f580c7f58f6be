# SPDX-License-Identifier: Apache-2.0
"""faiss's scalar quantiser: 8 bits a coordinate, of a range of its own. Approximate, and never rescored."""

from __future__ import annotations

import faiss
import numpy as np

from faiss_index import FaissIndex, about
from worker import Peer, serve


class Sq8(FaissIndex, Peer):
    system = "faiss-sq8"
    metrics = ("l2", "cosine", "dot")

    def hello(self, threads: int) -> dict:
        return about("IndexScalarQuantizer QT_8bit", threads)

    def build(self, base: np.ndarray, metric: str) -> None:
        rows = self.prepare(base, metric)
        kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.index = faiss.IndexScalarQuantizer(rows.shape[1], faiss.ScalarQuantizer.QT_8bit, kind)
        self.index.train(rows)
        self.index.add(rows)


if __name__ == "__main__":
    serve(Sq8())
