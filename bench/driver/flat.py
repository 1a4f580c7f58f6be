# SPDX-License-Identifier: Apache-2.0
"""One workload, every system in turn: ours, the first peer, the second, ours again, ..."""

from __future__ import annotations

import math
import os
import struct
import time
from dataclasses import dataclass, field

import coded
import data
import dataset
import library
import machine
import peers
import stats
from dataset import Dataset
from errors import BenchError, Missing, say
from library import Library
from options import Flat
from worker import Worker, WorkerFailed

RUN_SECONDS = 0.1  # a run makes as many calls as fill this, so that the clock and one time slice do not matter
LIMIT_SECONDS = 0.4  # for each of the machine's limits: many time slices of the scheduler
LIMIT_ROUNDS = 4  # at most so many measurements more in between
SAMPLE = 32  # queries whose answers are compared with float64
PEER_PATIENCE = 4  # a peer gets this many times the time of our own runs, and three rounds at least


@dataclass
class System:
    """A worker in the rounds, and what it has measured."""

    name: str
    worker: Worker
    device: str
    about: dict
    library: str = ""  # of ours: as it names itself, and where it comes from
    batch: int = 0  # queries a call: the workload's, unless said otherwise
    scan_dtype: str = ""  # of ours
    coded: coded.Totals = field(default_factory=coded.Totals)
    calls: int = 1
    recall: float | None = None
    seconds: list[float] = field(default_factory=list)  # of one call, a run each
    p50: list[float] = field(default_factory=list)
    spent: float = 0.0

    def run(self) -> None:
        reply = self.worker.ask("run", calls=self.calls)
        self.seconds.append(reply["seconds"] / self.calls)
        self.p50.append(reply["p50_s"])
        self.spent += reply["seconds"]
        self.coded.add(reply)


@dataclass
class Outcome:
    """What one workload's runs gave."""

    records: list[dict]
    limits: dict
    bound: str
    notes: list[str]  # systems that are missing, and why
    facts: dict  # device bytes, insertion, medians of single calls: by system
    library: str  # ours: version, code paths, compiler, and where it comes from
    warnings: list[str] = field(default_factory=list)  # what is wrong with a peer's answers


def tool(folder: str, name: str = "nearfield") -> Worker:
    program = machine.ROOT / "build" / "release" / "bin" / "nearfield_bench"
    if not program.exists():
        raise Missing(f"{program} is not built; start through ./nearfield bench")
    return Worker(name, [str(program)], f"{folder}/{name}.log")


def start_ours(options: Flat, folder: str, threads: int, notes: list[str]) -> list[System]:
    """Natively, the local build and through Java where they are asked for. The Java API has no setting for threads: it is left out, with a
    note, where it would take another number than the others."""
    chosen = library.find(options.library, options.backend)
    local = [("-local", library.find(library.LOCAL, options.backend))] if options.local else []
    starts = [(tool(folder, f"nearfield{suffix}{coded.suffix(dtype)}"), used, dtype) for suffix, used in [("", chosen), *local] for dtype in options.scans]
    if options.java:
        starts += [(java(folder, chosen, name=f"nearfield-java{coded.suffix(dtype)}"), chosen, dtype) for dtype in options.scans]
    systems = []
    for worker, used, dtype in starts:
        try:
            about = worker.ask("hello", backend=options.backend, path=options.path, threads=threads, library=str(used.folder))
        except WorkerFailed as failed:
            if systems and failed.unsupported:
                leave_out(worker.name, failed, notes)
                worker.stop()
                continue
            raise Missing(str(failed)) from None
        build = f"{about['version']}, {used.words}"
        systems.append(System(worker.name, worker, f"{about['device']}; {build}, {about['settings']}", about, build, options.batch, dtype))
    return systems


def java(folder: str, used: Library, classes: str | None = None, name: str = "nearfield-java") -> Worker:
    """The Java worker (bench/java), started by the JDK that the launcher found; `classes` is another class path than that of this checkout."""
    home, classpath = os.environ.get("JAVA_HOME"), machine.ROOT / "bench" / "java" / "target" / "classpath.txt"
    if not home or not classpath.exists():
        raise Missing(f"--java needs JAVA_HOME and {classpath}; start through ./nearfield bench")
    options = (machine.ROOT / "bench" / "java" / "worker.options").read_text(encoding="utf-8").split()
    command = [f"{home}/bin/java", *options,
               f"-Djava.library.path={used.folder}",
               "-cp", classes or f"{classpath.parent / 'classes'}:{classpath.read_text(encoding='utf-8').strip()}",
               "dev.nearfield.bench.Worker"]  # fmt: skip
    return Worker(name, command, f"{folder}/{name}.log")


def start_peers(options: Flat, made: Dataset, folder: str, threads: int, notes: list[str]) -> list[System]:
    if not options.peers:
        return []
    systems = []
    for name in options.peers:
        batch = peers.batch_of(name, options.batch, threads)
        if name.endswith(peers.THREADS) and batch <= options.batch:
            leave_out(name, BenchError(f"the batch has {options.batch} queries already, for {threads} thread(s)"), notes)
            continue
        sample = {"base": data.head(made.base, peers.tune_rows(batch), f"{folder}/tune-{batch}.fbin"), "metric": made.metric}
        workload = {"queries": made.queries, "batch": min(batch, peers.TUNE_BATCH), "k": options.k, "clients": options.clients}
        say(f"Starting {name} and looking for its best setting")
        try:
            worker, about, settings = peers.best(name, options.path, threads, f"{folder}/{name}.log", sample, workload)
        except BenchError as failed:
            leave_out(name, failed, notes)
            continue
        systems.append(System(name, worker, f"{about['device'] or machine.cpu_name()}; {about['version']}, {settings}", about, batch=batch))
    return systems


def leave_out(name: str, failed: BenchError, notes: list[str]) -> None:
    sentence = str(failed)
    sentence = sentence if sentence.startswith(name) else f"{name}: {sentence}"
    notes.append(sentence)
    say(f"Going on without {sentence}")


def measure(options: Flat, folder: str) -> Outcome:
    threads = options.threads or machine.threads()
    notes: list[str] = []
    helper = tool(folder)
    warnings: list[str] = []
    systems = start_ours(options, folder, threads, notes)  # before the data: a backend that is absent costs no time
    ours = len(systems)
    made = dataset.prepare(options, helper, folder, ours + peers.copies(options.peers))
    say(f"{made.rows} rows x {made.dim} dimensions, {options.data}, {made.metric}, batches of {options.batch}, k={options.k}, {threads} threads")
    systems += start_peers(options, made, folder, threads, notes)
    limits = {"path": options.path, "threads": threads, "bytes": made.rows * made.dim * 4,
              "millis": round(1000 * min(options.seconds, LIMIT_SECONDS))}  # fmt: skip
    reached = [helper.ask("limits", **limits)]
    facts: dict = {}
    inserted = coded.inserts(systems[:ours], made) if coded.I8 in options.scans else {}
    for number, system in enumerate(list(systems)):
        try:
            prepare(system, options, made, facts)
            recall(system, number < ours, options, made, helper, folder, warnings)
        except WorkerFailed as failed:
            if number < ours:
                raise
            leave_out(system.name, failed, notes)
            system.worker.stop()
            systems.remove(system)
    short = {**limits, "millis": limits["millis"] // 5}
    if not options.max_oversample:
        coded.check_same_answers(systems[:ours], folder)
    rounds(systems, ours, options, notes, between=lambda: reached.append(helper.ask("limits", **short)))
    reached.append(helper.ask("limits", **limits))
    best = {key: max(r[key] for r in reached) for key in reached[0] if key.endswith("_per_s") or key == "clock_hz"}
    best["flops_per_s"] = max(best["flops_per_s"], options.peak_flops)
    shape = (made.rows, made.dim, options.batch * options.clients, made.metric)
    least = stats.least_seconds(*shape, best)
    for system in systems:
        facts.setdefault(system.name, {})["p50_s"] = stats.rounded(stats.summary(system.p50)["median_s"])
        facts[system.name] |= inserted.get(system.name, {})
        system.worker.stop()
    helper.stop()
    records = [record(system, systems[0], options, made, least) for system in systems]
    return Outcome(records, best, stats.bound_by(*shape, best), notes, facts, systems[0].library, warnings)


def prepare(system: System, options: Flat, made: Dataset, facts: dict) -> None:
    """Loads, and finds how many calls make a run."""
    loaded = system.worker.ask("load", base=made.base, metric=made.metric, **({"scan_dtype": system.scan_dtype} if system.scan_dtype else {}))
    facts[system.name] = {key: loaded[key] for key in ("device_bytes", "workspace_bytes", *coded.FACTS) if key in loaded}
    facts[system.name]["load_s"] = stats.rounded(loaded["seconds"])
    system.worker.ask("workload", queries=made.queries, batch=system.batch, k=options.k, clients=options.clients, **coded.search_keys(system, options))
    for _ in range(3):  # the first runs warm caches and compilers
        seconds = system.worker.ask("run", calls=system.calls)["seconds"] / system.calls
        system.calls = max(1, math.ceil(RUN_SECONDS / max(seconds, 1e-7)))
        if seconds > 1:
            break


def recall(system: System, ours: bool, options: Flat, made: Dataset, helper: Worker, folder: str, warnings: list[str]) -> None:
    """Compares some answers, spread over whole batches as they are measured, with float64: rows and distances. A wrong distance of
    ours ends the run."""
    k, expected = options.k, min(options.k, made.rows)
    count = min(made.query_count, math.ceil(SAMPLE / options.batch) * options.batch)  # the same for every system
    numbers = range(0, count, max(1, count // SAMPLE))[:SAMPLE]
    truth, queries = f"{folder}/truth", f"{folder}/sample.fbin"
    if not os.path.exists(f"{truth}.rows"):
        data.sample(numbers, made.queries, made.dim * 4, 8, struct.pack("<II", len(numbers), made.dim), queries)
        if made.truth is not None:
            data.truth_rows(made.truth, expected, made.query_count, made.rows, f"{truth}.rows", numbers)
        else:
            helper.ask("truth", base=made.base, queries=queries, metric=made.metric, k=expected, to=truth)
    answers = f"{folder}/{system.name}"
    system.worker.ask("answers", to=f"{answers}-all", count=count)
    for ending, size in (("rows", 8), ("distances", 4)):
        data.sample(numbers, f"{answers}-all.{ending}", size * k, 0, b"", f"{answers}.{ending}")
    found = helper.ask("recall", base=made.base, queries=queries, metric=made.metric, k=k, truth=truth, answers=answers,
                       form="canonical" if ours else "expanded")  # fmt: skip
    system.recall = found["recall"]
    if found["wrong_distances"] and system.name not in peers.APPROXIMATE:
        sentence = f"{system.name}: {found['wrong_distances']} of {len(numbers) * expected} distances are wrong: {found['first_wrong']}"
        if ours:
            raise BenchError(sentence)
        warnings.append(sentence)
        say(sentence)


def rounds(systems: list[System], ours: int, options: Flat, notes: list[str], between=lambda: None) -> None:
    """between() is called after each of the first rounds: what a shared machine allows changes from second to second."""
    say(f"Measuring {', '.join(s.name for s in systems)} in turns")
    begun, number = time.monotonic(), 0
    while number < options.repeats or systems[0].spent < options.seconds:
        # A round of tiny runs costs more than they do themselves.
        if number >= options.repeats and time.monotonic() - begun > 3 * options.seconds + 10:
            break
        for system in list(systems):
            if systems.index(system) >= ours and number >= 3 and system.spent > PEER_PATIENCE * options.seconds:
                continue
            try:
                system.run()
            except WorkerFailed as failed:
                if systems.index(system) < ours:
                    raise
                leave_out(system.name, failed, notes)
                systems.remove(system)
        number += 1
        if number <= LIMIT_ROUNDS:
            between()


def record(system: System, ours: System, options: Flat, made: Dataset, least: float) -> dict:
    """The keys are the benchmark's format: scripts and the report read them. Seconds are of one call of every client, the ratio is that of
    the seconds a query."""
    times, batch = stats.summary(system.seconds), system.batch
    # The limits measured are the CPU's, and those of a whole pass over f32 rows.
    whole = system.about["backend"] == "cpu" and system.scan_dtype != coded.I8 and system.name not in peers.PARTIAL
    per_query = times["median_s"] / batch / (stats.summary(ours.seconds)["median_s"] / ours.batch)
    return {
        "system": system.name,
        "backend": system.about["backend"],
        "device": system.device,
        "workload": options.workload,
        "data": options.data,
        "rows": made.rows,
        "dim": made.dim,
        "batch": batch,
        "k": options.k,
        "metric": made.metric,
        **{key: stats.rounded(value) for key, value in times.items()},
        "qps": stats.rounded(batch * options.clients / times["median_s"]),
        "limit_fraction": stats.rounded(least / times["median_s"], 4) if whole else None,
        "recall": stats.rounded(system.recall, 6),
        "ratio": stats.rounded(per_query, 4),
        **(coded.keys(system) if coded.I8 in options.scans else {}),
    }
