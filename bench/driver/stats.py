# SPDX-License-Identifier: Apache-2.0
"""Statistics of runs, and the fraction of the machine's limit."""

from __future__ import annotations

import math
import statistics

# f32 operations for one element of one (query, row) pair, in units that the measured peak counts: one vector
# multiply-add is 2. Poincare's and Manhattan's terms take two vector instructions (subtract, then multiply-add or
# add of the absolute), each in the slot of a multiply-add.
OPERATIONS = {"l2": 2, "cosine": 2, "dot": 2, "poincare": 4, "manhattan": 4}


def least_seconds(rows: int, dim: int, batch: int, metric: str, limits: dict) -> float:
    """What the machine needs at least for one batch: the larger of reading the base once at the measured bandwidth and
    of the arithmetic at the measured multiply-add peak."""
    reading = rows * dim * 4 / limits["read_bytes_per_s"]
    computing = OPERATIONS[metric] * rows * dim * batch / limits["flops_per_s"]
    return max(reading, computing)


def bound_by(rows: int, dim: int, batch: int, metric: str, limits: dict) -> str:
    reading = rows * dim * 4 / limits["read_bytes_per_s"]
    computing = OPERATIONS[metric] * rows * dim * batch / limits["flops_per_s"]
    return "memory" if reading >= computing else "arithmetic"


def summary(seconds: list[float]) -> dict:
    """Median and spread of the runs."""
    return {"median_s": statistics.median(seconds), "min_s": min(seconds), "max_s": max(seconds)}


def rounded(number: float | None, digits: int = 5) -> float | None:
    """To so many significant digits: more would be noise."""
    if number is None or not math.isfinite(number) or number == 0:
        return None if number is None or not math.isfinite(number) else 0.0
    return float(f"{number:.{digits}g}")
