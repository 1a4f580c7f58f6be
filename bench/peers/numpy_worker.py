# SPDX-License-Identifier: Apache-2.0
"""numpy as a careful user writes it: blocked matrix products, then argpartition; Poincare and Manhattan likewise blocked."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from worker import Peer, seconds_of, serve


BY_QUERY = ("poincare", "manhattan")  # no matrix product computes these

MOST_QUERIES = 1024  # in one product, which holds them times the rows of a block


def least(d: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k least of each row, in any order, and their columns."""
    if d.shape[1] <= k:
        return d, np.broadcast_to(np.arange(d.shape[1]), d.shape)
    at = np.argpartition(d, k - 1, axis=1)[:, :k]
    return np.take_along_axis(d, at, axis=1), at


def list_map(work, whole) -> list:
    return [work(whole)]


class Numpy(Peer):
    system = "numpy"
    metrics = ("l2", "cosine", "dot", "poincare", "manhattan")
    block = 16384  # rows of the base per product; tuned

    def hello(self, threads: int) -> dict:
        self.threads, self.pool = threads, ThreadPoolExecutor(threads)
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
        queries = queries[: 64 if self.metric in BY_QUERY else 1000]  # the best block does not depend on more
        for block in (1024, 4096, 16384, 65536):
            self.block = block
            timed.append((min(seconds_of(lambda: self.search(queries, k)) for _ in range(2)), block))
        self.block = min(timed)[1]
        return f"blocks of {self.block} rows"

    def search(self, queries: np.ndarray, k: int):
        if self.metric in BY_QUERY:  # elementwise work is one thread's: each takes a part of the queries
            found = list(self.pool.map(lambda part: self._search(part, k, list_map), self._parts(queries)))
        else:
            found = [self._search(queries[i : i + MOST_QUERIES], k, self._parallel) for i in range(0, len(queries), MOST_QUERIES)]
        return tuple(np.concatenate(parts) for parts in zip(*found))

    def _parts(self, rows: np.ndarray) -> list[np.ndarray]:
        return np.array_split(rows, min(self.threads, len(rows)))

    def _parallel(self, work, d: np.ndarray) -> list:
        return list(self.pool.map(work, self._parts(d)))

    def _search(self, queries: np.ndarray, k: int, mapping):
        k = min(k, len(self.base))
        best_d = np.empty((len(queries), 0), np.float32)
        best_r = np.empty((len(queries), 0), np.int64)
        squares = np.einsum("ij,ij->i", queries, queries)[:, None]
        for first in range(0, len(self.base), self.block):
            d = self._ranks(queries, squares, slice(first, first + self.block))
            chosen = mapping(lambda part: least(part, k), d)
            best_d = np.concatenate((best_d, np.concatenate([d for d, _ in chosen])), axis=1)
            best_r = np.concatenate((best_r, np.concatenate([r for _, r in chosen]) + first), axis=1)
            if best_d.shape[1] > k:
                best_d, at = least(best_d, k)
                best_r = np.take_along_axis(best_r, at, axis=1)
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
