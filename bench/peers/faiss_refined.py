# SPDX-License-Identifier: Apache-2.0
"""faiss's lists of codes, whose best rows are computed again from f32 rows kept beside them (IndexRefineFlat)."""

from __future__ import annotations

import faiss
import numpy as np

from faiss_lists import FaissLists
from list_worker import seconds_of


class Refined(FaissLists):
    factors: tuple[int, ...] = ()  # rows that are computed again, times k; 0: none

    def build_lists(self, base: np.ndarray, metric: str, training: np.ndarray, command: dict) -> float:
        self.choices = tuple(f"the best {factor} x k rows refined" if factor else "not refined" for factor in self.factors)
        seconds = super().build_lists(base, metric, training, command)
        self.rows = faiss.IndexFlat(base.shape[1], self.lists.metric_type)
        seconds += seconds_of(lambda: self.rows.add(base))
        self.refined = faiss.IndexRefine(self.lists, self.rows)  # owns neither
        return seconds

    def reach(self, effort: int, choice: int) -> None:
        super().reach(effort, choice)
        factor = self.factors[choice]
        self.index = self.refined if factor else self.lists
        if factor:
            self.refined.k_factor = factor
