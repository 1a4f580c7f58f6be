# SPDX-License-Identifier: Apache-2.0
"""`bench all`: every workload of the report, one after the other. What is measured is written at once, so that an interrupted
run keeps what it has, and a later one with --only replaces single workloads."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace

import beside
import flat
import ivf
import kmeans
import library
import list_output
import machine
import output
import peers
import report
import stats
import workloads
from errors import BenchError, Missing, UsageError, say
from inserts import measure_insert
from list_options import Ivf, KMeans
from options import KMEANS_PEERS, LIST_PEERS, All, Flat

RECORDS, ABOUT = "records.json", "about.json"


def points(options: All) -> list[Flat]:
    embeddings = options.embeddings or str(workloads.EMBEDDINGS_FILE)
    every = workloads.with_targets() + workloads.beside_local() + workloads.inserting() + workloads.scans(embeddings)
    every += workloads.lists(embeddings) + workloads.curves()
    if options.quick:
        every = [workloads.quick(point) for point in every]
    chosen = []
    for point in every:
        if options.only not in workloads.name(point) or (point.local and options.library != library.PACKAGED):
            continue
        allowed = tuple(peer for peer in point.peers if _is_wanted(peer, options.peers))
        chosen.append(replace(point, library=options.library, threads=options.threads, peers=allowed))
    if not chosen:
        raise UsageError(f"bench all: no workload's name contains '{options.only}'; they look like '{workloads.name(every[0])}'")
    return _with_files(chosen)


def _is_wanted(peer: str, chosen: tuple[str, ...]) -> bool:
    """Of lists and clusterings `faiss` stands for all of its own."""
    return peer in chosen or (peer in LIST_PEERS + KMEANS_PEERS and peers.package_of(peer) in chosen)


def _with_files(chosen: list[Flat]) -> list[Flat]:
    there = [point for point in chosen if point.base is None or os.path.isfile(point.base)]
    if len(there) < len(chosen):
        sentence = f"the demo's embeddings are not in {workloads.EMBEDDINGS_FILE}; ./nearfield demo --limit 0 --export {workloads.EMBEDDINGS_FILE} makes them"
        if not there:
            raise Missing(f"bench all: {sentence}")
        say(f"Left out: {len(chosen) - len(there)} workloads, {sentence}")
    return there


def _work(point: Flat):
    """What measures a point, and the table of what that gives."""
    if isinstance(point, Ivf):
        return ivf.measure, list_output.table
    if isinstance(point, KMeans):
        return kmeans.measure, list_output.kmeans
    return (measure_insert if point.workload in workloads.INSERTING else flat.measure), output.table


def key_of(record: dict) -> tuple:
    """Of the point that a record is of; a peer that is called with as many queries as threads has a batch of its own beside it."""
    key = tuple(record[key] for key in ("workload", "data", "rows", "dim", "batch", "k", "metric"))
    return key + (record["system"].endswith(peers.THREADS),)


def read_folder(folder: str) -> tuple[list[dict], dict]:
    there = [name for name in (RECORDS, ABOUT) if os.path.exists(f"{folder}/{name}")]
    if not there:
        return [], {"points": {}}
    if len(there) == 1:
        raise UsageError(f"{folder} holds {there[0]} without {ABOUT if there[0] == RECORDS else RECORDS}: records are added only to both")
    return report.records_of(f"{folder}/{RECORDS}"), report.about_of(f"{folder}/{ABOUT}")


def run(options: All, scratch) -> None:
    """`scratch` runs work(folder) with a folder of its own."""
    todo = points(options)
    try:
        os.makedirs(options.out, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out={options.out} cannot be made: {error.strerror}") from None
    output.check_writable(f"{options.out}/{RECORDS}")
    records, about = read_folder(options.out)
    now = machine.describe()
    if about.get("machine", now)["cpu"] != now["cpu"] or about.get("machine", now)["cpu_flags"] != now["cpu_flags"]:
        raise UsageError(f"{options.out} holds records of another machine, with {about['machine']['cpu']}")
    about["machine"] = now
    begun, missed, failed, slow = time.monotonic(), [], [], []
    for number, point in enumerate(todo, 1):
        name = workloads.name(point)
        say(f"[{number}/{len(todo)}, {time.monotonic() - begun:.0f} s] {name}")
        threads = point.threads or machine.threads()
        point = replace(point, peak_flops=report.peaks(about).get((point.path, threads), 0.0))
        work, table = _work(point)
        measure = lambda: scratch(lambda folder: work(point, folder))  # noqa: B023, E731 - called at once
        try:
            # The figures of --quick mean nothing.
            outcome, too_slow = beside.measure(measure) if point.local and not options.quick else (measure(), None)
        except Missing as missing:  # an instruction path that this CPU lacks, say: the others go on
            say(f"Left out: {missing}")
            missed.append(f"{name}: {missing}")
            continue
        except BenchError as error:  # hours of the others are not lost to one
            say(f"Failed: {error}")
            failed.append(f"{name} ({error})")
            continue
        if too_slow:
            slow.append(f"{name} ({too_slow})")
        fresh = {key_of(record) for record in outcome.records}
        records = [record for record in records if key_of(record) not in fresh] + outcome.records
        about["points"][name] = {
            "limits": {key: stats.rounded(value) for key, value in outcome.limits.items()},
            "bound": outcome.bound, "notes": outcome.notes, "warnings": outcome.warnings, "facts": outcome.facts,
            "library": outcome.library,
            "path": point.path, "threads": threads, "clients": point.clients, "bytes": outcome.records[0]["rows"] * outcome.records[0]["dim"] * 4, "commit": about["machine"]["commit"], "quick": options.quick,
        }  # fmt: skip
        output.write(output.json_text(records), f"{options.out}/{RECORDS}")
        output.write(json.dumps(about, indent=1, ensure_ascii=False) + "\n", f"{options.out}/{ABOUT}")
        say(table(outcome))
    wrong = [f"{len(failed)} of {len(todo)} workloads failed: {'; '.join(failed)}"] if failed else []
    wrong += [f"the packaged library is slower than a local build: {'; '.join(slow)}"] if slow else []
    if wrong:
        raise BenchError("; and ".join(wrong))
    if len(missed) == len(todo):
        raise BenchError(f"nothing could be measured: {missed[0]}")
