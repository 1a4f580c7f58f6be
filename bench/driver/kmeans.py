# SPDX-License-Identifier: Apache-2.0
"""`bench kmeans`: clusterings of the same rows from the same start, each in turn."""

from __future__ import annotations

import dataset
import flat
import lists
import machine
import peers
import stats
from errors import BenchError, UsageError, say
from flat import Outcome, System
from list_options import KMeans
from worker import Worker, WorkerFailed

TRIAL_ITERATIONS = 2  # in which environments are compared
KEYS = ("lists", "iterations", "inertia_ratio")  # beside those of every record


def measure(options: KMeans, folder: str) -> Outcome:
    """The clusterings alone are timed. What they are worth, the sum of all distances, is computed in float64 from their centroids."""
    threads = options.threads or machine.threads()
    notes: list[str] = []
    helper = flat.tool(folder)
    systems = flat.start_ours(options, folder, threads, notes)
    made = dataset.prepare(options, helper, folder, len(systems) + len(options.peers))
    if options.clusters > made.rows:
        raise UsageError(f"bench kmeans: --clusters={options.clusters}, there are {made.rows} rows")
    start = lists.even_rows(made.base, made.rows, options.clusters, f"{folder}/start.fbin")
    work = {"base": made.base, "metric": made.metric, "start": start, "to": f"{folder}/centroids.fbin"}
    say(f"{made.rows} rows x {made.dim} dimensions, {options.data}, {made.metric}, {options.clusters} clusters, {options.iterations} iterations, {threads} threads")
    ours = len(systems)
    systems += _start_peers(options, folder, threads, work, notes)
    inertia: dict[str, float] = {}
    number = 0
    while number < options.repeats or systems[0].spent < options.seconds:
        for system in list(systems):
            try:
                reply = system.worker.ask("kmeans", iterations=options.iterations, **work)
            except WorkerFailed as failed:
                if systems.index(system) < ours:
                    raise
                flat.leave_out(system.name, failed, notes)
                system.worker.stop()
                systems.remove(system)
                continue
            system.seconds.append(reply["seconds"])
            system.spent += reply["seconds"]
            if system.name not in inertia:
                inertia[system.name] = _inertia(helper, work, folder)
        number += 1
    for system in systems:
        system.worker.stop()
    helper.stop()
    records = [_record(system, systems[0], inertia, options, made) for system in systems]
    return Outcome(records, {}, "arithmetic", notes, {}, systems[0].library)


def _start_peers(options: KMeans, folder: str, threads: int, work: dict, notes: list[str]) -> list[System]:
    def trial(worker: Worker) -> float:
        return worker.ask("kmeans", iterations=TRIAL_ITERATIONS, **work)["seconds"]

    systems = []
    for name in options.peers:
        say(f"Starting {name}")
        try:
            worker, about = peers.fastest(name, options.path, threads, f"{folder}/{name}.log", trial)
        except BenchError as failed:
            flat.leave_out(name, failed, notes)
            continue
        systems.append(System(name, worker, f"{about['device'] or machine.cpu_name()}; {about['version']}, {about['settings']}", about))
    return systems


def _inertia(helper: Worker, work: dict, folder: str) -> float:
    return helper.ask("truth", base=work["to"], queries=work["base"], metric=work["metric"], k=1, to=f"{folder}/nearest")["sum"]


def _record(system: System, ours: System, inertia: dict, options: KMeans, made: dataset.Dataset) -> dict:
    times = stats.summary(system.seconds)
    return {
        "system": system.name, "backend": system.about["backend"], "device": system.device, "workload": options.workload, "data": options.data,
        "rows": made.rows, "dim": made.dim, "batch": made.rows, "k": 0, "metric": made.metric,
        **{key: stats.rounded(value) for key, value in times.items()},
        "qps": stats.rounded(made.rows * options.iterations / times["median_s"]),
        "limit_fraction": None,
        "recall": None,
        "ratio": stats.rounded(times["median_s"] / stats.summary(ours.seconds)["median_s"], 4),
        "lists": options.clusters,
        "iterations": options.iterations,
        "inertia_ratio": stats.rounded(inertia[system.name] / inertia[ours.name], 6),
    }  # fmt: skip
