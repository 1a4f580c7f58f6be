# SPDX-License-Identifier: Apache-2.0
"""Time on the device, kernel by kernel, between an event before each launch and one after it: native/cuda/test/kernel_clock.cpp stands
between library and driver. Where profilers may not look, and in a rehearsal, this can."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import codes
import stats
import surroundings
from errors import say
from kernel_times import WARPGROUPS
from phases import Absent, CutShort, Failed
from session import ISOTROPIC, Session
from worker import Worker

WARM_UP, CALLS = 2, 5  # searches of a workload before the measured ones, and of those
DRIVER = """
import ctypes
ctypes.CDLL("libcuda.so.1")
print(next(line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if "libcuda.so" in line))
"""


@dataclass
class Index:
    dim: int
    spectrum: str
    is_coded: bool
    workloads: tuple[tuple[int, int], ...]  # batch and k
    path: str = ""  # force_path

    def facts(self) -> dict:
        return {"dim": self.dim, **({"path": self.path} if self.path else {}), **({"scan_dtype": "i8", "spectrum": self.spectrum} if self.is_coded else {})}


def measure(session: Session, entry: dict, seconds: float, save) -> str:
    if session.backend != "cuda":
        raise Absent("the driver in between is CUDA's")
    between = session.build.tool("libcuda.so.1")
    if not between.exists():
        raise Absent(f"{between} was not brought along")
    entry.update(source="events before and after each launch", workloads=[], timed=not session.emulated)
    indexes, end = _indexes(session), time.monotonic() + seconds
    planned = sum(len(index.workloads) for index in indexes)
    launches = Path(session.path("launches"))
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, [str(between.parent), session.environment.get("LD_LIBRARY_PATH") or surroundings.library_path()])),
                   "NEARFIELD_CLOCK_DRIVER": driver(session), "NEARFIELD_CLOCK_LAUNCHES": str(launches)}  # fmt: skip
    with session.workers(seconds):
        tool = session.ours("tool")
        for index in indexes:
            base, queries = session.dataset(index.dim, tool, index.spectrum)
            say(f"  {session.shape.rows:,} x {index.dim}{', int8 codes, ' + index.spectrum if index.is_coded else ''}")
            worker = Worker("events", [session.build.program("nearfield_bench")], session.log("events"), {**session.environment, **environment})
            session.hello(worker, path=index.path or (codes.PATH_OF_FEW_ROWS if session.emulated else ""))
            worker.ask("load", base=base, metric="l2", **({"scan_dtype": "i8"} if index.is_coded else {}))
            for batch, k in index.workloads:
                if time.monotonic() > end:
                    raise CutShort(f"{len(entry['workloads'])} of {planned} workloads")
                found = _workload(worker, launches, queries, batch, k, session.emulated)
                entry["workloads"].append({"rows": session.shape.rows, **index.facts(), "batch": batch, "k": k, **found})
                save()
            worker.stop()
    return f"{planned} workloads" + (", no times: emulated" if session.emulated else "")


def _indexes(session: Session) -> list[Index]:
    table = session.shape.table
    first_k = [(batch, k) for batch, k in table if k == session.shape.ks[0]]
    dim = codes.dim_of(session.shape)
    found = [Index(dim, ISOTROPIC, False, table)]
    # Of others, which are made for the phase `speed`, the ends.
    found += [Index(other, ISOTROPIC, False, (first_k[0], first_k[-1])) for other in session.data if other != dim]
    if session.device.get("compute_capability") == WARPGROUPS:  # which products of warpgroups take the place of
        found += [Index(dim, ISOTROPIC, False, (first_k[-1],), "tf32-mma")]
    return found + [Index(dim, spectrum, True, tuple(codes.served(table))) for spectrum in codes.SPECTRA]


def driver(session: Session) -> str:
    """The file of the driver that the library would open."""
    done = subprocess.run([sys.executable, "-c", DRIVER], capture_output=True, text=True, check=False, env={**os.environ, **session.environment})
    if done.returncode != 0:
        raise Failed(f"the driver's file was not found: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.strip()


def _workload(worker: Worker, launches: Path, queries: str, batch: int, k: int, emulated: bool) -> dict:
    worker.ask("workload", queries=queries, batch=batch, k=k)
    runs = []
    for number in range(1 if emulated else WARM_UP + CALLS):
        before = launches.stat().st_size
        worker.ask("run", calls=1)
        with open(launches, encoding="ascii") as file:
            file.seek(before)
            runs.append(read(file.read()))
        if not runs[-1]:
            raise Failed(f"batch {batch}, k {k}: no launch was seen")
    return summary(runs if emulated else runs[WARM_UP:], emulated)


def read(text: str) -> list[tuple[str, float]]:
    """Kernel and seconds of each launch."""
    found = []
    for line in text.splitlines():
        kernel, nanoseconds = line.split()
        if float(nanoseconds) < 0:
            raise Failed(f"{kernel}: the driver told no time")
        found.append((kernel, float(nanoseconds) / 1e9))
    return found


def summary(runs: list[list[tuple[str, float]]], emulated: bool = False) -> dict:
    """Of searches: the median of the sums, and by kernel the means."""
    sums = [sum(seconds for _, seconds in run) for run in runs]
    kernels: dict[str, dict] = {}
    for run in runs:
        for kernel, seconds in run:
            of = kernels.setdefault(kernel, {"launches": 0.0, "seconds": 0.0})
            of["launches"] += 1 / len(runs)
            of["seconds"] += seconds / len(runs)
    if emulated:
        return {"kernels": {name: {"launches": stats.rounded(of["launches"])} for name, of in sorted(kernels.items())}}
    return {"calls": len(runs), "seconds": stats.rounded(statistics.median(sums)), "min_s": stats.rounded(min(sums)), "max_s": stats.rounded(max(sums)),
            "kernels": {name: {key: stats.rounded(value) for key, value in of.items()} for name, of in sorted(kernels.items())}}  # fmt: skip
