# SPDX-License-Identifier: Apache-2.0
"""The targets of the GPU backends, beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from list_searches import RECALL

H200 = "H200"  # absolute targets are stated for this one
MILLION = 1_000_000
F32_BYTES = 4
NCU, EVENTS, WALL = "kernel time (ncu)", "kernel time (events)", "wall time"
# Of the table of products by the matrix units: 1M x 128.
DIM, SPECTRA, PLAIN = 128, ("decaying", "isotropic"), "isotropic"
FEW = (5, 16, 32, 96)  # queries, of batches that should cost little more than one
MOST_BELOW = 0.01  # a recall target, of the mean


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
        self.kernels = {source: {(w["dim"], w.get("spectrum", ""), w["batch"], w["k"]): w["seconds"]
                                 for w in phases.get(name, {}).get("workloads", []) if w["rows"] == MILLION and "seconds" in w and not {"path", "lists", "clusters"} & set(w)}
                        for name, source in (("events", EVENTS), ("kernels", NCU))}  # fmt: skip
        codes = phases.get("codes", {})
        self.turns = {(p["dim"], p["spectrum"], p["batch"], p["k"]): p for p in codes.get("points", []) if p["rows"] == MILLION}
        self.code_bytes = {spectrum: facts.get("code_bytes") for spectrum, facts in codes.get("loads", {}).items()}
        self.listed = [p for p in phases.get("lists", {}).get("points", []) if p["rows"] == MILLION]
        self.clustered = [p for p in phases.get("kmeans", {}).get("points", []) if p["rows"] == MILLION]
        self.limits = {"copy_bytes_per_s": record.get("device", {}).get("copy_bytes_per_s"), **phases.get("speed", {}).get("limits", {})}
        self.is_h200 = H200 in record.get("device", {}).get("name", "")

    def median(self, dim: int, batch: int, k: int = 10, system: str = "nearfield") -> float | None:
        return self.points.get((dim, batch, k), {}).get(system, {}).get("median_s")

    def kernel(self, dim: int, batch: int, k: int = 10, spectrum: str = "") -> tuple[float | None, str]:
        """Seconds on the device, and how they were measured. With a spectrum by codes."""
        found = [(self.kernels[source].get((dim, spectrum, batch, k)), source) for source in (NCU, EVENTS)]
        return next((one for one in found if one[0] is not None), found[0])

    def on_device(self, *workloads: tuple[int, int], spectrum: str = "") -> tuple[list[float | None], str]:
        """Of 128 dimensions, batch and k each, all measured alike; where nothing looked at the device, the whole calls, which take longer."""
        turns = {key[:1] + (spectrum,) + key[2:]: of["median_s"] for key, p in self.turns.items() if key[1] == (spectrum or PLAIN)
                 for of in [p.get("by_codes" if spectrum else "by_rows")] if of}  # fmt: skip
        for source, measured in (*((source, self.kernels[source]) for source in (EVENTS, NCU)), (WALL, turns)):
            found = [measured.get((DIM, spectrum, batch, k)) for batch, k in workloads]
            if None not in found:
                return found, source
        return [None] * len(workloads), EVENTS


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
    (kernel, source), wall = figures.kernel(768, 1), figures.median(768, 1)
    taken = kernel or wall
    if not taken or not copy:
        return Goal(workload, target, NOT_MEASURED, None)
    share = MILLION * 768 * F32_BYTES / taken / copy
    return Goal(workload, target, f"{share:.1%} by {source if kernel else WALL}", share >= 0.85)


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
    found = [_at_most(figures, "1M x 128 f32, batch 1, k 10", figures.kernel(128, 1)[0], 150e-6, figures.kernel(128, 1)[1]),
             _at_most(figures, "1M x 128 f32, batch 1, k 10", figures.median(128, 1), 190e-6, "through the ABI, results on the host"),
             _bandwidth(figures)]  # fmt: skip
    for spectrum, most in (("decaying", 40e-6), ("isotropic", 60e-6)):
        seconds_, source = figures.kernel(128, 1, 10, spectrum)
        found.append(_at_most(figures, f"1M x 128 int8 codes, {spectrum}, batch 1, k 10", seconds_, most, source))
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
    return found + list(_units(figures)) + [_lists(figures), _recall_target(figures), _clusters(figures), _torch_table(figures), _torch(figures)]


def _units(figures: Figures) -> Iterator[Goal]:
    """The table of products by the matrix units."""
    for spectrum in SPECTRA:
        rows = f"1M x 128 int8 codes, {spectrum}"
        yield _rate(figures, f"{rows}, batch 10,000", figures.on_device((10_000, 10), spectrum=spectrum), 2.2e6)
        (value,), source = figures.on_device((1000, 10), spectrum=spectrum)
        yield _at_most(figures, f"{rows}, batch 1000", value, 0.8e-3, source)
    yield _rate(figures, "1M x 128 f32 by TF32, batch 10,000", figures.on_device((10_000, 10)), 0.7e6)
    for batch in FEW:
        (value, one), source = figures.on_device((batch, 10), (1, 10))
        yield _within(f"1M x 128 f32, batch {batch}", f"within 1.3 x of batch 1, {source}", value, one, 1.3)
    for spectrum in SPECTRA:
        for batch in FEW:
            yield _one_pass(figures, spectrum, batch)
    for spectrum, batches in (("", (1, 1000, 10_000)), *((spectrum, (1000, 10_000)) for spectrum in SPECTRA)):
        for batch in batches:
            (more, ten), source = figures.on_device((batch, 100), (batch, 10), spectrum=spectrum)
            rows = f"int8 codes, {spectrum}" if spectrum else "f32"
            yield _within(f"1M x 128 {rows}, batch {batch:,}, k 100", f"within 1.5 x of k 10, {source}", more, ten, 1.5)


def _lists(figures: Figures) -> Goal:
    """The fastest that has the recall. By wall time: which rows a query meets is the host's work, and most of it."""
    workload, target = f"1M x 128 lists, decaying, recall {RECALL:g}, batch 10,000", f"5 M queries/s, {WALL}, on an H200"
    found = [p for p in figures.listed if p["batch"] == 10_000 and p["recall"] >= RECALL and "nearfield" in p]
    if not found:
        return Goal(workload, target, NOT_MEASURED, None)
    best = min(found, key=lambda p: p["nearfield"]["median_s"])
    qps = 10_000 / best["nearfield"]["median_s"]
    words = f"{qps / 1e6:.3g} M queries/s by {best['form']}, {best['lists_scanned']:.4g} lists, recall {best['recall']:.4f}"
    return Goal(workload, target, words, qps >= 5e6 if figures.is_h200 else None)


def _recall_target(figures: Figures) -> Goal:
    workload, target = f"1M x 128 lists, decaying, recall target {RECALL:g}", "at most 1 point below"
    recalls = [p["recall"] for p in figures.listed if p.get("target_recall") == RECALL]
    if not recalls:
        return Goal(workload, target, NOT_MEASURED, None)
    return Goal(workload, target, f"{min(recalls):.4f}", min(recalls) >= RECALL - MOST_BELOW)


def _clusters(figures: Figures) -> Goal:
    times = [p["nearfield"]["median_s"] for p in figures.clustered if "nearfield" in p]
    return _at_most(figures, "k-means 1M x 128, K = 1024, 25 iterations", times[0] if times else None, 30e-3, WALL)


def _rate(figures: Figures, workload: str, found: tuple[list, str], least: float) -> Goal:
    """Of batches of 10,000."""
    (value,), source = found
    target = f"{least / 1e6:g} M queries/s, {source}, on an H200"
    if value is None:
        return Goal(workload, target, NOT_MEASURED, None)
    qps = 10_000 / value
    return Goal(workload, target, f"{qps / 1e6:.3g} M queries/s", qps >= least if figures.is_h200 else None)


def _one_pass(figures: Figures, spectrum: str, batch: int) -> Goal:
    """What more queries may take beyond one: all codes read once, at the bandwidth of copies."""
    (value, one), source = figures.on_device((batch, 10), (1, 10), spectrum=spectrum)
    workload, target = f"1M x 128 int8 codes, {spectrum}, batch {batch}", f"batch 1 and one read of the codes, {source}"
    size, copy = figures.code_bytes.get(spectrum), figures.limits.get("copy_bytes_per_s")
    if value is None or not size or not copy:
        return Goal(workload, target, NOT_MEASURED, None)
    reads = (value - one) * copy / size
    return Goal(workload, target, f"batch 1 and {reads:.2f} reads", reads <= 1)


def _torch_table(figures: Figures) -> Goal:
    """All precisions of torch against both indexes of ours, whose answers are exact or the phase failed."""
    workload, target = "1M x 128, batches 1 to 10,000, against torch in f32, TF32 and bf16", "ahead in every row, answers exact"
    ratios = {(spectrum, batch, k, form, precision): of.get(f"by_{form}_ratio")
              for (_, spectrum, batch, k), p in figures.turns.items() for precision, of in p["torch"].items() for form in ("codes", "rows")}
    found = {key: ratio for key, ratio in ratios.items() if ratio}
    if not found:
        return Goal(workload, target, NOT_MEASURED, None)
    behind = [f"{spectrum}, batch {batch:,}, k {k}, by {form}, {precision}" for (spectrum, batch, k, form, precision), ratio in found.items() if ratio < 1]
    words = f"{min(found.values()):.2f} to {max(found.values()):.2f} x in {len(found)} rows"
    words += f"; behind: {'; '.join(behind)}" if behind else ""
    without = len(ratios) - len(found)
    words += f"; {without} rows without torch" if without else ""
    return Goal(workload, target, words, False if behind else None if without else True)


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
