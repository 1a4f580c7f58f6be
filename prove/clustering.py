# SPDX-License-Identifier: Apache-2.0
"""k-means over all rows from a given start: the same bits each time, centroids that are nearer to the rows than the start, and how long it takes."""

from __future__ import annotations

import time
from pathlib import Path

import codes
import stats
from list_searches import SPECTRUM
from lists import even_rows
from phases import Failed
from session import Session
from worker import Worker

# Rows whose nearest centroids are looked for in float64: all of a million would take the host longer than the device.
JUDGED_ROWS = 10_000
LEAST_RUNS = 2  # whose centroids are compared


def work(session: Session, tool: Worker) -> dict:
    """Keys of the command `kmeans`."""
    base, _ = session.dataset(codes.dim_of(session.shape), tool, SPECTRUM)
    start = even_rows(base, session.shape.rows, session.shape.clusters, session.path("start.fbin"))
    return {"base": base, "metric": "l2", "start": start, "iterations": session.shape.iterations, "to": session.path("centroids.fbin")}


def facts(session: Session) -> dict:
    shape = session.shape
    return {"rows": shape.rows, "dim": codes.dim_of(shape), "spectrum": SPECTRUM, "clusters": shape.clusters, "iterations": shape.iterations}


def measure(session: Session, entry: dict, seconds: float) -> str:
    end, taken, made = time.monotonic() + seconds, [], None
    entry.update(points=[], timed=not session.emulated)
    with session.workers(seconds):
        tool, worker = session.ours("tool"), session.ours()
        session.hello(worker)
        keys = work(session, tool)
        while len(taken) < LEAST_RUNS or not session.emulated and len(taken) < session.shape.rounds and time.monotonic() < end:
            taken.append(worker.ask("kmeans", **keys)["seconds"])
            centroids = Path(keys["to"]).read_bytes()
            if centroids != (made or centroids):
                raise Failed(f"run {len(taken)} has other centroids than the first from the same start")
            made = centroids
        ratio = _inertia(session, tool, keys["to"], keys) / _inertia(session, tool, keys["start"], keys)
    if not ratio < 1:
        raise Failed(f"the inertia is {ratio:.6g} times that of the start, it must be less")
    point = {**facts(session), "metric": "l2", "inertia_ratio": stats.rounded(ratio, 6)}
    if not session.emulated:
        point["nearfield"] = {**{key: stats.rounded(value) for key, value in stats.summary(taken).items()}, "rounds": len(taken), "calls": 1}
    entry["points"].append(point)
    return f"{len(taken)} runs with the same bits, inertia {ratio:.3f} x that of the start" + (", no times: emulated" if session.emulated else "")


def _inertia(session: Session, tool: Worker, centroids: str, keys: dict) -> float:
    """Of rows at even distances, in float64."""
    rows = even_rows(keys["base"], session.shape.rows, JUDGED_ROWS, session.path("clustered.fbin"))
    return tool.ask("truth", base=centroids, queries=rows, metric="l2", k=1, to=session.path("nearest"))["sum"]
