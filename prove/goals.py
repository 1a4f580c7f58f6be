# SPDX-License-Identifier: Apache-2.0
"""The targets of the GPU backends, beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

H200 = "H200"  # absolute targets are stated for this one
MILLION = 1_000_000
F32_BYTES = 4


@dataclass
class Goal:
    workload: str
    target: str
    measured: str
    met: bool | None  # None: not measured, or stated for another device


class Figures:
    def __init__(self, record: dict):
        phases = {entry["name"]: entry for entry in record["phases"]}
        self.points = {(p["dim"], p["batch"], p["k"]): p for p in phases.get("speed", {}).get("points", []) if p["rows"] == MILLION}
        self.kernels = {(w["dim"], w["batch"], w["k"]): w for w in phases.get("kernels", {}).get("workloads", [])
                        if w["rows"] == MILLION and "spectrum" not in w and "path" not in w}
        self.coded = {(w["dim"], w["spectrum"], w["batch"], w["k"]): w for w in phases.get("kernels", {}).get("workloads", [])
                      if w["rows"] == MILLION and "spectrum" in w}
        self.limits = phases.get("speed", {}).get("limits", {})
        self.is_h200 = H200 in record.get("device", {}).get("name", "")

    def median(self, dim: int, batch: int, k: int = 10, system: str = "nearfield") -> float | None:
        return self.points.get((dim, batch, k), {}).get(system, {}).get("median_s")

    def coded_kernel(self, dim: int, spectrum: str) -> float | None:
        return self.coded.get((dim, spectrum, 1, 10), {}).get("seconds")

    def kernel(self, dim: int, batch: int, k: int = 10) -> float | None:
        return self.kernels.get((dim, batch, k), {}).get("seconds")


NOT_MEASURED = "not measured"


def seconds(value: float) -> str:
    for unit, scale in (("s", 1), ("ms", 1e-3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e6:.4g} us"


def _at_most(figures: Figures, workload: str, value: float | None, most: float, what: str) -> Goal:
    target = f"{seconds(most)} {what}, on an H200"
    if value is None:
        return Goal(workload, target, NOT_MEASURED, None)
    return Goal(workload, target, seconds(value), value <= most if figures.is_h200 else None)


def _bandwidth(figures: Figures) -> Goal:
    workload, target, copy = "1M x 768 f32, batch 1", "85% of measured copy bandwidth", figures.limits.get("copy_bytes_per_s")
    kernel, wall = figures.kernel(768, 1), figures.median(768, 1)
    taken = kernel or wall
    if not taken or not copy:
        return Goal(workload, target, NOT_MEASURED, None)
    share = MILLION * 768 * F32_BYTES / taken / copy
    return Goal(workload, target, f"{share:.1%} by {'kernel time (ncu)' if kernel else 'wall time'}", share >= 0.85)


def _within(workload: str, target: str, value: float | None, least: float | None, most: float) -> Goal:
    if value is None or least is None:
        return Goal(workload, target, NOT_MEASURED, None)
    return Goal(workload, target, f"{value / least:.2f} x", value / least <= most)


def _matrix(figures: Figures) -> Iterator[Goal]:
    workload, median, peak = "1M x 128, batch 10,000, exact f32", figures.median(128, 10_000), figures.limits.get("f32_flops_per_s")
    qps = 10_000 / median if median else None
    if qps is None:
        yield Goal(workload, "185 k queries/s, on an H200", NOT_MEASURED, None)
    else:
        yield Goal(workload, "185 k queries/s, on an H200", f"{qps:,.0f} queries/s", qps >= 185_000 if figures.is_h200 else None)
    if qps is None or not peak:
        yield Goal(workload, "70% of the measured f32 peak", NOT_MEASURED, None)
    else:
        share = qps * 2 * MILLION * 128 / peak
        yield Goal(workload, "70% of the measured f32 peak", f"{share:.1%}", share >= 0.7)


def goals(record: dict) -> list[Goal]:
    figures = Figures(record)
    found = [_at_most(figures, "1M x 128 f32, batch 1, k 10", figures.kernel(128, 1), 150e-6, "kernel time (ncu)"),
             _at_most(figures, "1M x 128 f32, batch 1, k 10", figures.median(128, 1), 190e-6, "through the ABI, results on the host"),
             _bandwidth(figures)]  # fmt: skip
    for spectrum, most in (("decaying", 40e-6), ("isotropic", 60e-6)):
        found.append(_at_most(figures, f"1M x 128 int8 codes, {spectrum}, batch 1, k 10", figures.coded_kernel(128, spectrum), most,
                              "kernel time (ncu)"))  # fmt: skip
    for dim in (128, 768):
        found.append(_within(f"1M x {dim}, batch 16", "within 1.3 x of batch 1", figures.median(dim, 16), figures.median(dim, 1), 1.3))
    found += _matrix(figures)
    for dim in (128, 768):
        for batch in (1, 16, 200, 1000, 10_000):
            found.append(_within(f"1M x {dim}, batch {batch:,}, k 100", "within 1.5 x of k 10", figures.median(dim, batch, 100),
                                 figures.median(dim, batch), 1.5))  # fmt: skip
    for dim in (128, 768):
        for batch in (1, 1000):
            found.append(_within(f"1M x {dim}, batch {batch:,}, k 1000", "within 3 x of k 10", figures.median(dim, batch, 1000),
                                 figures.median(dim, batch), 3))  # fmt: skip
    return found + [_torch(figures)]


def _torch(figures: Figures) -> Goal:
    workload, target = "against torch in the same run", "ahead in every row"
    ratios = {key: p["ratio"] for key, p in figures.points.items() if p.get("ratio")}
    if not ratios:
        return Goal(workload, target, NOT_MEASURED, None)
    behind = [f"{dim} dimensions, batch {batch:,}, k {k}" for (dim, batch, k), ratio in ratios.items() if ratio < 1]
    words = f"{min(ratios.values()):.2f} to {max(ratios.values()):.2f} x in {len(ratios)} rows"
    without = len(figures.points) - len(ratios)
    words += f"; behind: {'; '.join(behind)}" if behind else ""
    words += f"; {without} rows without torch" if without else ""
    return Goal(workload, target, words, False if behind else None if without else True)
