# SPDX-License-Identifier: Apache-2.0
"""Time on the device alone, kernel by kernel, as Nsight Compute measures it: the ABI has no device clock."""

from __future__ import annotations

import csv
import json
import re
import time

import children
import stats
import surroundings
from phases import Absent, CutShort, Failed
from session import Session
from speed import need_points

# No libraries of the driver for it, or no permission to read the device's counters: of the machine, not of Nearfield.
UNSUPPORTED = re.compile(r"(Failed to initialize the profiler|ERR_NVGPUCTRPERM).*")
METRICS = ("gpu__time_duration.sum", "dram__bytes_read.sum")
CALLS = 5  # searches of a run
# All others lay rows out when they are added: hundreds of launches, which would take ncu longer than the searches.
SEARCHING = ("flat", "merge", "histogram", "collect", "matrix", "rescore")


def measure(session: Session, entry: dict, seconds: float) -> str:
    if session.backend != "cuda":
        raise Absent("ncu is for CUDA alone")
    program = surroundings.tool("ncu")
    if program is None:
        raise Absent("Nsight Compute (ncu) is not here")
    need_points(session)
    entry.update(source="ncu, gpu__time_duration.sum, --clock-control none", workloads=[])
    end = time.monotonic() + seconds
    shape = session.shape
    wanted = [(dim, 1, shape.ks[0]) for dim in session.data] + [(dim, shape.batches[-1], shape.ks[0]) for dim in session.data]
    for dim, batch, k in wanted:
        left = end - time.monotonic()
        if left < 5:
            raise CutShort(f"{len(entry['workloads'])} of {len(wanted)} workloads")
        found = _profile(session, program, (dim, batch, k), left)
        if not session.emulated:
            entry["workloads"].append(found)
    return f"{len(wanted)} workloads"


def _profile(session: Session, program: str, what: tuple[int, int, int], seconds: float) -> dict:
    (dim, batch, k), calls = what, CALLS if what[1] == 1 else 1
    base, queries = session.data[dim]
    commands = [{"command": "hello", "backend": session.backend, "library": str(session.build.lib)},
                {"command": "load", "base": base, "metric": "l2"},
                {"command": "workload", "queries": queries, "batch": batch, "k": k},
                {"command": "run", "calls": calls}, {"command": "quit"}]  # fmt: skip
    command = [program, "--clock-control", "none", "--cache-control", "none", "--csv", "--print-units", "base",
               "--metrics", ",".join(METRICS), "--kernel-name", f"regex:^({'|'.join(SEARCHING)})", session.build.program("nearfield_bench")]  # fmt: skip
    log = session.log(f"ncu-{dim}-{batch}")
    ended = children.run(command, log, seconds, session.environment, "".join(json.dumps(c) + "\n" for c in commands))
    if ended.cut_short:
        raise CutShort(f"ncu was not done with {session.shape.rows:,} x {dim}, batch {batch}")
    kernels = read(ended.output)
    cannot = UNSUPPORTED.search(ended.output)
    if cannot and not kernels:
        raise Absent(f"ncu cannot look at this device: {cannot[0]}")
    if ended.status != 0 or not any(name.startswith(SEARCHING) for name in kernels):
        raise Failed(f"ncu ended with status {ended.status} and named no kernel: {children.last_line(ended.output)}")
    searching = {name: values for name, values in kernels.items() if name.startswith(SEARCHING)}
    return {"rows": session.shape.rows, "dim": dim, "batch": batch, "k": k, "calls": calls,
            "seconds": stats.rounded(sum(v["seconds"] for v in searching.values()) / calls),
            "bytes_read": round(sum(v["bytes_read"] for v in searching.values()) / calls),
            "kernels": {name: {"launches": v["launches"] / calls, "seconds": stats.rounded(v["seconds"] / calls)}
                        for name, v in sorted(searching.items())}}  # fmt: skip


def read(output: str) -> dict[str, dict]:
    """Sums by kernel name from ncu's CSV, which stands between other lines."""
    rows = csv.reader(line for line in output.splitlines() if line.startswith('"'))
    kernels: dict[str, dict] = {}
    columns: dict[str, int] = {}
    for row in rows:
        if "Kernel Name" in row:
            columns = {name: at for at, name in enumerate(row)}
            continue
        if not columns or len(row) != len(columns):
            continue
        name, metric = row[columns["Kernel Name"]].split("(")[0], row[columns["Metric Name"]]
        unit, text = row[columns["Metric Unit"]], row[columns["Metric Value"]].replace(",", "")
        try:
            value = float(text)
        except ValueError:  # n/a
            continue
        sums = kernels.setdefault(name, {"launches": 0, "seconds": 0.0, "bytes_read": 0.0})
        if metric == METRICS[0]:
            sums["launches"] += 1
            sums["seconds"] += value * {"ns": 1e-9, "nsecond": 1e-9, "us": 1e-6, "usecond": 1e-6, "ms": 1e-3, "msecond": 1e-3, "s": 1, "second": 1}[unit]
        elif metric == METRICS[1]:
            sums["bytes_read"] += value * {"byte": 1, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9}[unit]
    return kernels
