# SPDX-License-Identifier: Apache-2.0
"""numpy as a careful user writes it: blocked matrix products, then argpartition; Poincare and Manhattan likewise blocked."""

from __future__ import annotations

import os

import numpy as np

from worker import Peer, seconds_of, serve


class Numpy(Peer):
    system = "numpy"
    metrics = ("l2", "cosine", "dot", "poincare", "manhattan")
    block = 16384  # rows of the base per product; tuned

    def hello(self, threads: int) -> dict:
        core = os.environ.get("OPENBLAS_CORETYPE", "as detected")
        return {"version": np.__version__, "settings": f"blocked matmul and argpartition, OpenBLAS {core}, {threads} threads"}

    def build(self, base: np.ndarray, metric: str) -> None:
        self.metric = metric
        self.base = self.prepare(base, metric)
        squares = np.einsum("ij,ij->i", self.base, self.base, dtype=np.float64)
        self.squares = squares.astype(np.float32)
        self.alpha = (1 / (1 - squares)).astype(np.float32) if metric == "poincare" else None

    def tune(self, queries: np.ndarray, k: int) -> str:
        timed = []
        for block in (1024, 4096, 16384, 65536):
            self.block = block
            timed.append((min(seconds_of(lambda: self.search(queries, k)) for _ in range(2)), block))
        self.block = min(timed)[1]
        return f"blocks of {self.block} rows"

    def search(self, queries: np.ndarray, k: int):
        k = min(k, len(self.base))
        best_d = np.full((len(queries), 0), np.inf, np.float32)
        best_r = np.zeros((len(queries), 0), np.int64)
        squares = np.einsum("ij,ij->i", queries, queries)[:, None]
        for first in range(0, len(self.base), self.block):
            d = self._ranks(queries, squares, slice(first, first + self.block))
            if d.shape[1] > k:
                part = np.argpartition(d, k - 1, axis=1)[:, :k]
                d = np.take_along_axis(d, part, axis=1)
            else:
                part = np.broadcast_to(np.arange(d.shape[1]), d.shape)
            best_d = np.concatenate((best_d, d), axis=1)
            best_r = np.concatenate((best_r, part + first), axis=1)
            if best_d.shape[1] > k:
                part = np.argpartition(best_d, k - 1, axis=1)[:, :k]
                best_d = np.take_along_axis(best_d, part, axis=1)
                best_r = np.take_along_axis(best_r, part, axis=1)
        order = np.argsort(best_d, axis=1, kind="stable")
        best_d = np.take_along_axis(best_d, order, axis=1)
        if self.metric == "poincare":  # ranked by |q-v|^2 / (1-|v|^2)
            best_d = 2 * np.arcsinh(np.sqrt(best_d / (1 - squares)))
        return best_d, np.take_along_axis(best_r, order, axis=1)

    def _ranks(self, queries: np.ndarray, squares: np.ndarray, rows: slice) -> np.ndarray:
        base = self.base[rows]
        if self.metric == "manhattan":
            return self._by_query(queries, base, lambda d: np.abs(d, out=d).sum(axis=1))
        if self.metric == "poincare":  # the expanded square would lose the order near the boundary
            return self._by_query(queries, base, lambda d: np.einsum("ij,ij->i", d, d)) * self.alpha[rows]
        d = queries @ base.T
        if self.metric == "dot":
            return np.negative(d, out=d)
        if self.metric == "cosine":
            return np.subtract(1, d, out=d)
        d *= -2
        d += squares
        d += self.squares[rows]
        return np.maximum(d, 0, out=d)

    @staticmethod
    def _by_query(queries: np.ndarray, base: np.ndarray, reduce) -> np.ndarray:
        out = np.empty((len(queries), len(base)), np.float32)
        difference = np.empty_like(base)
        for i, query in enumerate(queries):
            out[i] = reduce(np.subtract(base, query, out=difference))
        return out

    def answers(self, found, metric: str):
        return found


serve(Numpy())
