# SPDX-License-Identifier: Apache-2.0
"""`bench turns`: how long others wait while one user of a device has something large done, and what small calls cost. Through the public
Java API alone, so that an earlier version is measured by the same program."""

from __future__ import annotations

import os
import statistics
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import flat
import library
import machine
import output
import stats
import turn_lines
from errors import BenchError, Missing, UsageError, say
from options import Turns
from worker import Worker, WorkerFailed

SOURCES = machine.ROOT / "bench" / "java" / "src" / "main" / "java"
NATIVE_RUNS, NATIVE_CALLS = 10, 10_000
ROW_BYTES = 300  # beside the coordinates: on the device, in the table of handles, and in twelve sets of half of them
QUICK = 100  # times fewer rows


@dataclass(frozen=True)
class Scenario:
    """As the worker's command takes it (bench/README.md). Each has a process of its own: no other's garbage, compiled code or indexes."""

    name: str
    title: str
    rows: int
    dim: int
    probes: int
    queries: int = 1
    seconds: int = 60
    rounds: int = 3
    pace_us: int = 1000

    def words(self) -> str:
        return self.title.format(rows=f"{self.rows:,}", dim=self.dim, queries=f"{self.queries:,}")


def scenarios(options: Turns) -> list[Scenario]:
    large = {"rows": 200_000, "dim": 128, "queries": 8192}
    every = [
        # A probe is a search of the whole index, some 3 ms: more often than this it would itself slow the other down.
        Scenario("search", "search of {queries} queries, {rows} x {dim}", **large, probes=200, pace_us=100_000),
        Scenario("knn", "Knn.search of {queries} queries, {rows} x {dim}", **large, probes=200, pace_us=100_000),
        Scenario("close", "search of {queries} queries, {rows} x {dim}", **large, probes=20, pace_us=200_000),
        Scenario("queue", "search of {queries} queries, {rows} x {dim}", **large, probes=10, pace_us=200_000),
        Scenario("changes", "changes of {rows} x {dim}", options.rows, 16, probes=500, pace_us=2000),
        Scenario("build", "an index, none other open", 1, 128, probes=200),
        Scenario("small-knn", "Knn.search of {queries} queries, {rows} x {dim}", 1000, 128, queries=100, probes=200),
        Scenario("sets", "12 sets of half of {rows} x {dim}, used once", options.rows, 16, probes=1),
        Scenario("single", "one search, {rows} x {dim}", 1000, 128, probes=10_000, rounds=10),
        Scenario("clients", "8 clients, {rows} x {dim}", 1000, 128, probes=10_000, rounds=5),
    ]
    if options.quick:
        every = [replace(each, rows=max(min(each.rows, 1000), each.rows // QUICK), queries=max(1, each.queries // 4), probes=max(1, each.probes // QUICK), rounds=1,
                         seconds=10, pace_us=max(100, each.pace_us // QUICK)) for each in every]  # fmt: skip
    return every


def lines_of(scenario: Scenario, only: str) -> list[str]:
    """The lines of a scenario that were chosen."""
    of = [line for line in turn_lines.LINES if line.partition("/")[0] == scenario.name]
    return [line for line in of if only in line or only in scenario.words()]


def run(options: Turns, scratch) -> None:
    """`scratch` runs work(folder) with a folder of its own."""
    before = None if options.before is None else turn_lines.records_of(options.before)
    if options.out is not None:
        output.check_writable(options.out)
    todo = [scenario for scenario in scenarios(options) if lines_of(scenario, options.only)]
    if not todo:
        raise UsageError(f"bench turns: no line's name contains '{options.only}'; there are {', '.join(turn_lines.LINES)}")
    _check_memory(max(todo, key=lambda each: each.rows * each.dim))
    notes: list[str] = []
    failed: list[str] = []
    records = scratch(lambda folder: measure(options, todo, folder, notes, failed))
    text = output.json_text(records) if options.format == "json" else turn_lines.text(records, before, notes)
    output.write(text, options.out)
    if failed:
        raise BenchError(f"{len(failed)} of {len(todo)} scenarios failed: {'; '.join(failed)}")


def _check_memory(largest: Scenario) -> None:
    needed, available = largest.rows * (largest.dim * 4 * 2 + ROW_BYTES), machine.available_memory()
    if available is not None and needed > available:
        raise UsageError(f"bench turns: {largest.rows:,} rows need {needed / 2**30:.1f} GiB of memory, {available / 2**30:.1f} GiB are available; "
                         "--rows takes fewer")  # fmt: skip


def measure(options: Turns, todo: list[Scenario], folder: str, notes: list[str], failed: list[str]) -> list[dict]:
    used = library.find(options.library, "cpu")
    classes = None if options.api is None else compiled(options.api, folder)
    commit = machine.commit(Path(options.api).resolve().parent if options.api else machine.ROOT)
    records = []
    for number, scenario in enumerate(todo, 1):
        say(f"[{number}/{len(todo)}] {scenario.name}: {scenario.words()}")
        try:
            about, reply = ask(scenario, used, folder, classes)
        except WorkerFailed as failure:  # the minutes of the others are not lost to one
            say(f"Failed: {failure}")
            failed.append(f"{scenario.name} ({failure})")
            continue
        if scenario.name == "single":
            reply.update(native(scenario, used, folder, notes))
        device = f"{about['device']}; {about['version']}, {used.words}, {about['settings']}{', quick: these figures mean nothing' if options.quick else ''}"
        lines = [record(line, scenario, reply, device, commit) for line in lines_of(scenario, options.only)]
        records += [line for line in lines if line is not None]
    return records


def ask(scenario: Scenario, used: library.Library, folder: str, classes: str | None) -> tuple[dict, dict]:
    """What a worker of its own says of itself and of the scenario."""
    worker = flat.java(folder, used, classes)
    try:
        asked = {key: value for key, value in vars(scenario).items() if key not in ("name", "title")}
        return worker.ask("hello", library=str(used.folder)), worker.ask("turns", scenario=scenario.name, **asked)
    finally:
        worker.stop()


def record(line: str, scenario: Scenario, reply: dict, device: str, commit: str) -> dict | None:
    """The keys are the benchmark's format: scripts and the report read them. None where the line was not measured."""
    name, about = line.partition("/")[2], turn_lines.LINES[line]
    of = {"line": line, "scenario": scenario.words(), "what": about.what, "rows": scenario.rows, "dim": scenario.dim}
    waits = {key: reply.get(f"{name}.{key}") for key in turn_lines.WAITS}
    value = reply.get(name)
    if value is None and waits["count"] is None:
        return None
    waits = {key: stats.rounded(each) if key != "count" or each is None else int(each) for key, each in waits.items()}
    return {**of, **waits, "value": stats.rounded(value), "unit": about.unit, "device": device, "commit": commit}


def native(scenario: Scenario, used: library.Library, folder: str, notes: list[str]) -> dict:
    """The same searches by the native worker, as one more line of the reply. Absent where it does not know the library of another version."""
    worker = flat.tool(folder)
    try:
        worker.ask("hello", library=str(used.folder), threads=machine.threads())
        worker.ask("generate", to=f"{folder}/base", rows=scenario.rows, dim=scenario.dim, metric="l2", seed=1)
        worker.ask("load", base=f"{folder}/base", metric="l2")
        worker.ask("workload", queries=f"{folder}/base", batch=1, k=10)
        calls = max(1, min(NATIVE_CALLS, scenario.probes))
        runs = [worker.ask("run", calls=calls) for _ in range(NATIVE_RUNS + 1)][1:]  # the first one warms
    except WorkerFailed as failed:
        flat.leave_out("single/native", failed, notes)
        return {}
    finally:
        worker.stop()
    median = {f"native.{key}": statistics.median(run[key] for run in runs) for key in ("p50_s", "p99_s")}
    return {**median, "native.max_s": max(run["max_s"] for run in runs), "native.count": calls * len(runs)}


def compiled(api: str, folder: str) -> str:
    """The class path with the worker compiled against another version of the API, which need only have the same sources' calls: a class
    that became an interface would not link."""
    home, listed = os.environ.get("JAVA_HOME"), machine.ROOT / "bench" / "java" / "target" / "classpath.txt"
    if not home or not listed.exists():
        raise Missing(f"--api needs JAVA_HOME and {listed}; start through ./nearfield bench")
    classes = f"{folder}/classes"
    path = f"{os.path.abspath(api)}:{listed.read_text(encoding='utf-8').strip()}"
    worker = SOURCES / "dev" / "nearfield" / "bench" / "Worker.java"
    command = [f"{home}/bin/javac", "-proc:none", "-implicit:class", "-sourcepath", str(SOURCES), "-cp", path, "-d", classes, str(worker)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"the worker does not compile against {api}: {(done.stderr.strip() or 'no message').splitlines()[0]}")
    return f"{classes}:{path}"
