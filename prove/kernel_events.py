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

import clustering
import codes
import list_searches
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
    lists: int = 0

    @property
    def reach(self) -> dict:
        return {"target_recall": list_searches.RECALL} if self.lists else {}

    def facts(self) -> dict:
        coded = {"scan_dtype": "i8", "spectrum": self.spectrum} if self.is_coded else {}
        return {"dim": self.dim, **({"path": self.path} if self.path else {}), **coded, **({"lists": self.lists, **self.reach} if self.lists else {})}

    def words(self) -> str:
        return (f", int8 codes, {self.spectrum}" if self.is_coded else "") + (f", {self.lists:,} lists" if self.lists else "")

    def path_of_few_rows(self) -> str:
        return list_searches.PATHS_OF_FEW_ROWS["codes"] if self.lists else codes.PATH_OF_FEW_ROWS


def measure(session: Session, entry: dict, seconds: float, save) -> str:
    if session.backend != "cuda":
        raise Absent("the driver in between is CUDA's")
    between = session.build.tool("libcuda.so.1")
    if not between.exists():
        raise Absent(f"{between} was not brought along")
    entry.update(source="events before and after each launch", workloads=[], timed=not session.emulated)
    indexes, end = _indexes(session), time.monotonic() + seconds
    planned = sum(len(index.workloads) for index in indexes) + 1
    launches = Path(session.path("launches"))
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, [str(between.parent), session.environment.get("LD_LIBRARY_PATH") or surroundings.library_path()])),
                   "NEARFIELD_CLOCK_DRIVER": driver(session), "NEARFIELD_CLOCK_LAUNCHES": str(launches)}  # fmt: skip
    with session.workers(seconds):
        tool = session.ours("tool")
        for index in indexes:
            base, queries = session.dataset(index.dim, tool, index.spectrum)
            say(f"  {session.shape.rows:,} x {index.dim}{index.words()}")
            worker = _worker(session, environment, index.path or (index.path_of_few_rows() if session.emulated else ""))
            worker.ask("load", base=base, metric="l2", lists=index.lists, **({"scan_dtype": "i8"} if index.is_coded else {}))
            for batch, k in index.workloads:
                if time.monotonic() > end:
                    raise CutShort(f"{len(entry['workloads'])} of {planned} workloads")
                worker.ask("workload", queries=queries, batch=batch, k=k)
                if index.lists:
                    worker.ask("reach", **index.reach)
                found = _searches(worker, launches, f"batch {batch}, k {k}", session.emulated)
                entry["workloads"].append({"rows": session.shape.rows, **index.facts(), "batch": batch, "k": k, **found})
                save()
            worker.stop()
        if time.monotonic() > end:
            raise CutShort(f"{len(entry['workloads'])} of {planned} workloads")
        say(f"  {session.shape.rows:,} x {codes.dim_of(session.shape)}, k-means")
        # One run: it has as many passes as a search has calls.
        run = _launches(_worker(session, environment, ""), launches, "k-means", "kmeans", **clustering.work(session, tool))
        # Of all rows the nearest centroid.
        entry["workloads"].append({**clustering.facts(session), "batch": session.shape.rows, "k": 1, **summary([run], session.emulated)})
        save()
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
    found += [Index(dim, spectrum, True, tuple(codes.served(table))) for spectrum in codes.SPECTRA]
    ends = tuple((batch, session.shape.ks[0]) for batch in list_searches.batches(session))
    return found + [Index(dim, list_searches.SPECTRUM, True, ends, lists=session.shape.lists)]


def _worker(session: Session, environment: dict, path: str) -> Worker:
    worker = Worker("events", [session.build.program("nearfield_bench")], session.log("events"), {**session.environment, **environment})
    session.hello(worker, path=path)
    return worker


def driver(session: Session) -> str:
    """The file of the driver that the library would open."""
    done = subprocess.run([sys.executable, "-c", DRIVER], capture_output=True, text=True, check=False, env={**os.environ, **session.environment})
    if done.returncode != 0:
        raise Failed(f"the driver's file was not found: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.strip()


def _searches(worker: Worker, launches: Path, words: str, emulated: bool) -> dict:
    runs = [_launches(worker, launches, words, "run", calls=1) for _ in range(1 if emulated else WARM_UP + CALLS)]
    return summary(runs if emulated else runs[WARM_UP:], emulated)


def _launches(worker: Worker, launches: Path, words: str, command: str, **keys) -> list[tuple[str, float]]:
    """Of one command."""
    before = launches.stat().st_size
    worker.ask(command, **keys)
    with open(launches, encoding="ascii") as file:
        file.seek(before)
        found = read(file.read())
    if not found:
        raise Failed(f"{words}: no launch was seen")
    return found


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
