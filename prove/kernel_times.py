# SPDX-License-Identifier: Apache-2.0
"""Time on the device alone, kernel by kernel, as Nsight Compute measures it: the ABI has no device clock."""

from __future__ import annotations

import csv
import json
import re
import statistics
import time
from dataclasses import dataclass

import children
import codes
import stats
import surroundings
from phases import Absent, CutShort, Failed
from session import ISOTROPIC, Session
from speed import need_points

# No libraries of the driver for it, or no permission to read the device's counters: of the machine, not of Nearfield.
UNSUPPORTED = re.compile(r"(Failed to initialize the profiler|ERR_NVGPUCTRPERM).*")
METRICS = ("gpu__time_duration.sum", "dram__bytes_read.sum")
WARPGROUPS = "9.0"  # compute capability of devices with matrix_tf32_wgmma
CALLS = 5  # searches of a run
WARM_UP = 1  # searches before them, whose launches do not count
SECONDS = {"ns": 1e-9, "nsecond": 1e-9, "us": 1e-6, "usecond": 1e-6, "ms": 1e-3, "msecond": 1e-3, "s": 1, "second": 1}
BYTES = {"byte": 1, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9}
# All others lay rows out when they are added: hundreds of launches, which would take ncu longer than the searches. `move`, `rotate` and
# `code` of a product's queries are left out with them.
SEARCHING = ("flat", "merge", "histogram", "collect", "matrix", "matrix_tf32", "matrix_tf32_wgmma", "rescore", "levels", "coded_product", "prune")


@dataclass
class Workload:
    dim: int
    batch: int
    k: int
    files: tuple[str, str]  # .fbin of base and of queries
    coded: str = ""  # by int8 codes: the spectrum of the rows
    path: str = ""  # force_path


@dataclass
class Launch:
    kernel: str
    seconds: float = 0.0
    bytes_read: float = 0.0


def measure(session: Session, entry: dict, seconds: float) -> str:
    if session.backend != "cuda":
        raise Absent("ncu is for CUDA alone")
    program = surroundings.tool("ncu")
    if program is None:
        raise Absent("Nsight Compute (ncu) is not here")
    need_points(session)
    entry.update(source="ncu, gpu__time_duration.sum, --clock-control none, --cache-control none", workloads=[])
    end = time.monotonic() + seconds
    shape = session.shape
    wanted = [Workload(dim, 1, shape.ks[0], of) for dim, of in session.data.items()]
    wanted += [Workload(dim, shape.batches[-1], shape.ks[0], of) for dim, of in session.data.items()]
    coded = [(dim, ISOTROPIC, of) for dim, of in session.data.items() if dim <= codes.MOST_DIM] if session.spectra else []
    coded += [(dim, spectrum, of) for (dim, spectrum), of in session.spectra.items()]
    wanted += [Workload(dim, batch, shape.ks[0], of, spectrum) for batch in (1, shape.batches[-1]) for dim, spectrum, of in coded]
    if session.device.get("compute_capability") == WARPGROUPS:  # which products of warpgroups take the place of
        wanted += [Workload(dim, shape.batches[-1], shape.ks[0], of, path="tf32-mma") for dim, of in session.data.items()]
    for workload in wanted:
        left = end - time.monotonic()
        if left < 5:
            raise CutShort(f"{len(entry['workloads'])} of {len(wanted)} workloads")
        found = _profile(session, program, workload, left)
        if not session.emulated:
            entry["workloads"].append(found)
    return f"{len(wanted)} workloads"


def _profile(session: Session, program: str, workload: Workload, seconds: float) -> dict:
    dim, batch, k, (base, queries) = workload.dim, workload.batch, workload.k, workload.files
    calls = CALLS if batch == 1 else 1
    forced = {"path": workload.path} if workload.path else {}
    commands = [{"command": "hello", "backend": session.backend, "library": str(session.build.lib), **forced},
                {"command": "load", "base": base, "metric": "l2", **({"scan_dtype": "i8"} if workload.coded else {})},
                {"command": "workload", "queries": queries, "batch": batch, "k": k},
                {"command": "run", "calls": WARM_UP + calls}, {"command": "quit"}]  # fmt: skip
    command = [program, "--clock-control", "none", "--cache-control", "none", "--csv", "--print-units", "base",
               "--metrics", ",".join(METRICS), "--kernel-name", f"regex:^({'|'.join(SEARCHING)})", session.build.program("nearfield_bench")]  # fmt: skip
    log = session.log("-".join(["ncu", str(dim), str(batch), *filter(None, (workload.coded, workload.path))]))
    ended = children.run(command, log, seconds, session.environment, "".join(json.dumps(c) + "\n" for c in commands))
    if ended.cut_short:
        raise CutShort(f"ncu was not done with {session.shape.rows:,} x {dim}, batch {batch}")
    launches = read(ended.output)
    cannot = UNSUPPORTED.search(ended.output)
    if cannot and not launches:
        raise Absent(f"ncu cannot look at this device: {cannot[0]}")
    if ended.status != 0 or not launches:
        raise Failed(f"ncu ended with status {ended.status} and named no kernel: {children.last_line(ended.output)}")
    coded = {"scan_dtype": "i8", "spectrum": workload.coded} if workload.coded else {}
    return {"rows": session.shape.rows, "dim": dim, "batch": batch, "k": k, **coded, **forced, "calls": calls, **summary(launches, WARM_UP, calls)}


def summary(launches: list[Launch], warm_up: int, calls: int) -> dict:
    """Of one search after the warm-up: the median over the calls with the least and the most. Where calls launch unlike numbers of
    kernels no launch can be told to be of one call: then the mean of all."""
    each, rest = divmod(len(launches), warm_up + calls)
    if rest:
        measured, calls, spread = launches, warm_up + calls, {}
        seconds = sum(launch.seconds for launch in launches) / calls
    else:
        measured = launches[warm_up * each :]
        sums = [sum(launch.seconds for launch in measured[at : at + each]) for at in range(0, len(measured), each)]
        seconds, spread = statistics.median(sums), {"min_s": stats.rounded(min(sums)), "max_s": stats.rounded(max(sums))}
    kernels: dict[str, dict] = {}
    for launch in measured:
        of = kernels.setdefault(launch.kernel, {"launches": 0, "seconds": 0.0})
        of["launches"] += 1 / calls
        of["seconds"] += launch.seconds / calls
    return {"seconds": stats.rounded(seconds), **spread, "bytes_read": round(sum(launch.bytes_read for launch in measured) / calls),
            "kernels": {name: {key: stats.rounded(value) for key, value in of.items()} for name, of in sorted(kernels.items())}}  # fmt: skip


def read(output: str) -> list[Launch]:
    """The searches' launches in their order, from ncu's CSV, which stands between other lines and has a line for each metric."""
    rows = csv.reader(line for line in output.splitlines() if line.startswith('"'))
    launches: dict[str, Launch] = {}
    columns: dict[str, int] = {}
    for row in rows:
        if "Kernel Name" in row:
            columns = {name: at for at, name in enumerate(row)}
            continue
        if not columns or len(row) != len(columns):
            continue
        name, metric = row[columns["Kernel Name"]].split("(")[0], row[columns["Metric Name"]]
        unit, text = row[columns["Metric Unit"]], row[columns["Metric Value"]].replace(",", "")
        if not name.startswith(SEARCHING):
            continue
        try:
            value = float(text)
        except ValueError:  # n/a
            continue
        launch = launches.setdefault(row[columns["ID"]], Launch(name))
        if metric == METRICS[0]:
            launch.seconds = value * SECONDS[unit]
        elif metric == METRICS[1]:
            launch.bytes_read = value * BYTES[unit]
    return list(launches.values())
