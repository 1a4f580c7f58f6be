# SPDX-License-Identifier: Apache-2.0
"""faiss IndexFlat: exact search, tuned to each workload among its own thresholds and block sizes."""

from __future__ import annotations

import math
import os

import faiss
import numpy as np

from faiss_index import FaissIndex
from worker import Peer, seconds_of, serve

# faiss chooses between its scan and BLAS by the batch alone, and blocks BLAS by constants; all three are tunable.
ALWAYS, NEVER = 1, 1 << 30
IN_WORDS = {("distance_compute_blas_threshold", ALWAYS): "always BLAS", ("distance_compute_blas_threshold", NEVER): "never BLAS"}


class Faiss(FaissIndex, Peer):
    system = "faiss"
    metrics = ("l2", "cosine", "dot", "manhattan")

    def hello(self, threads: int) -> dict:
        faiss.omp_set_num_threads(threads)
        simd = faiss.SIMDConfig.get_level_name()
        core = os.environ.get("OPENBLAS_CORETYPE", "as detected")
        return {"version": faiss.__version__, "settings": f"IndexFlat, {simd}, OpenBLAS {core}, {threads} threads"}

    def build(self, base: np.ndarray, metric: str) -> None:
        self.kind = metric
        kinds = {"l2": faiss.METRIC_L2, "manhattan": faiss.METRIC_L1}
        self.index = faiss.IndexFlat(base.shape[1], kinds.get(metric, faiss.METRIC_INNER_PRODUCT))
        self.index.add(self.prepare(base, metric))

    def tune(self, queries: np.ndarray, k: int) -> str:
        """Greedy, one setting after the other, each from its default; a candidate must win by 3% to be taken."""
        if self.kind == "manhattan":
            return ""  # not by BLAS
        best = self._time(queries, k)
        choice = []
        for name, candidates in (
            ("distance_compute_blas_threshold", (ALWAYS, NEVER)),
            ("distance_compute_blas_database_bs", (256, 4096, 16384)),
            ("distance_compute_blas_query_bs", (256, 1024)),
        ):
            default = kept = getattr(faiss.cvar, name)
            for candidate in candidates:
                if name.endswith("query_bs") and candidate >= len(queries):
                    continue
                setattr(faiss.cvar, name, candidate)
                seconds = self._time(queries, k, best)
                if seconds < 0.97 * best:
                    best, kept = seconds, candidate
            setattr(faiss.cvar, name, kept)
            if kept != default:
                choice.append(IN_WORDS.get((name, kept), f"{name.removeprefix('distance_compute_')} {kept}"))
        return ", ".join(choice) or "default thresholds and blocks"

    def _time(self, queries: np.ndarray, k: int, limit: float = math.inf) -> float:
        """Of two runs; a candidate that is far off is not worth the second."""
        first = seconds_of(lambda: self.index.search(queries, k))
        return first if first > 1.2 * limit else min(first, seconds_of(lambda: self.index.search(queries, k)))


if __name__ == "__main__":
    serve(Faiss())
