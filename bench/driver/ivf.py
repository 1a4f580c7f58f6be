# SPDX-License-Identifier: Apache-2.0
"""Lists: curves of recall beside peers, recall targets, exact searches through lists, and an index whose rows have changed."""

from __future__ import annotations

import filecmp
from dataclasses import replace

import coded
import data
import dataset
import flat
import library
import list_options
import lists
import machine
import peers
import stats
from errors import BenchError, say
from flat import Outcome, System
from list_options import CHURN, CURVE, EXACT, RECALLS, Ivf
from lists import Judge, Listed, Point
from worker import Worker, WorkerFailed

CHURN_PARTS = 11  # one is removed and one added, of the ten that an index has at a time
CHURN_RECALL = 0.95
LEAST_TRIAL_ROWS = 39  # a list: faiss warns below


def measure(options: Ivf, folder: str) -> Outcome:
    threads = options.threads or machine.threads()
    run = Run(options, folder, threads)
    if CURVE in options.parts or EXACT in options.parts:
        run.load_ours()
    if CURVE in options.parts:
        run.curve()
    if EXACT in options.parts:
        run.exact()
    run.stop()
    if CHURN in options.parts:
        run.churn()
    run.stop()
    run.helper.stop()
    return Outcome(run.records, {}, "lists", run.notes, run.facts, run.library, run.warnings)


class Run:
    def __init__(self, options: Ivf, folder: str, threads: int):
        self.options, self.folder, self.threads = options, folder, threads
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.records: list[dict] = []
        self.facts: dict = {}
        self.helper = flat.tool(folder)
        self.ours = [Listed(system, True) for system in flat.start_ours(options, folder, threads, self.notes)]
        self.library = self.ours[0].system.library
        self.peers: list[Listed] = []
        resident = len(self.ours) + (peers.copies(options.peers) if CURVE in options.parts else 0)
        if CHURN in options.parts:
            resident = max(resident, 3 * len(options.scans))
        self.made = dataset.prepare(options, self.helper, folder, resident)
        list_options.check_rows(options, self.made.rows)
        self.training = self._training(self.made.base, self.made.rows, "training")
        say(f"{self.made.rows} rows x {self.made.dim} dimensions, {options.data}, {self.made.metric}, {options.lists} lists, k={options.k}, {threads} threads")

    def _training(self, base: str, rows: int, name: str) -> str:
        count = min(rows, self.options.training or max(256 * self.options.lists, 1))
        return lists.even_rows(base, rows, count, f"{self.folder}/{name}.fbin")

    def load(self, listed: Listed, base: str, training: str, **more) -> None:
        """more: other keys of the command."""
        options, system = self.options, listed.system
        dtype = {"scan_dtype": system.scan_dtype} if system.scan_dtype else {}
        keys = {"lists": options.lists, "training": training, "iterations": options.iterations, "seed": options.seed, **dtype, **more}
        loaded = listed.ask("load", base=base, metric=self.made.metric, **keys)
        listed.choices, listed.build_s = loaded.get("choices", 1), loaded.get("build_s")
        kept = ("device_bytes", "workspace_bytes", "lists", "smallest_list", "largest_list", *coded.FACTS)
        self.facts[system.name] = {key: loaded[key] for key in kept if key in loaded}
        self.facts[system.name]["load_s"] = stats.rounded(loaded["seconds"])
        say(f"{system.name}: built in {loaded.get('build_s', loaded['seconds']):.3g} s")

    def load_ours(self) -> None:
        for listed in self.ours:
            self.load(listed, self.made.base, self.training)
        self.judge = Judge(self.helper, self.made, self.made.base, self.options.k, self.folder, self.warnings)

    def curve(self) -> None:
        options, points = self.options, []
        self.start_peers()
        for listed in self.ours + list(self.peers):
            say(f"Looking for what {listed.name} needs for recalls of {', '.join(f'{recall:g}' for recall in RECALLS)}")
            try:
                lists.look_for_efforts(listed, RECALLS, options, self.judge)
                points += self.of_curve(listed)
            except WorkerFailed as failed:
                if listed.ours:
                    raise
                flat.leave_out(listed.name, failed, self.notes)
                self.peers.remove(listed)
                listed.system.worker.stop()
        points.sort(key=lambda point: (options.batches.index(point.batch), str(point.goal)))  # stable: ours stay first
        self.measure(points, self.made.rows)

    def of_curve(self, listed: Listed) -> list[Point]:
        options, points = self.options, []
        fixed = [Point(listed, CURVE, 0, {"probes": probes}, f"{probes} lists") for probes in options.probes if listed.name not in peers.GRAPHS]
        if listed.ours:
            fixed += [Point(listed, CURVE, 0, {"target_recall": target}, target) for target in options.target_recall]
        self.judge.prepare(listed)
        for point in fixed:
            point.found = self.judge.ask(listed, point.reach)
            point.settings = point.found["settings"]
        for batch in options.batches:
            points += lists.sought(listed, RECALLS, batch, self.made, options, CURVE) + [replace(point, batch=batch, seconds=[], coded=coded.Totals()) for point in fixed]
        return points

    def start_peers(self) -> None:
        """Each by itself: two would build at half the speed."""
        options = self.options
        for name in options.peers:
            say(f"Starting {name} and building its index")
            try:
                worker, about = peers.fastest(name, options.path, self.threads, f"{self.folder}/{name}.log", self.trial)
                listed = Listed(System(name, worker, f"{about['device'] or machine.cpu_name()}; {about['version']}, {about['settings']}", about), False)
                self.load(listed, self.made.base, self.training)
            except BenchError as failed:
                flat.leave_out(name, failed, self.notes)
                continue
            self.peers.append(listed)

    def trial(self, worker: Worker) -> float:
        """Of an environment: training is what depends on it most."""
        few = max(1, self.options.lists // 8)
        part = data.head(self.training, few * LEAST_TRIAL_ROWS, f"{self.folder}/trial.fbin")
        return worker.ask("load", base=part, training=part, metric=self.made.metric, lists=few, iterations=self.options.iterations)["seconds"]

    def measure(self, points: list[Point], rows: int) -> None:
        lists.measure(points, self.made, self.options, self.notes)
        self.records += lists.records(points, self.made, self.options, rows)

    def exact(self) -> None:
        """Every list, nearest first, beside the certified scan of a flat index: the answers are the same bytes."""
        options = self.options
        used = library.find(options.library, options.backend)
        worker = flat.tool(self.folder, "nearfield-flat-i8")
        about = worker.ask("hello", backend=options.backend, path=options.path, threads=self.threads, library=str(used.folder))
        first = self.ours[0].system
        plain = Listed(replace(first, name=worker.name, worker=worker, about=about, scan_dtype=coded.I8), True)
        self.peers.append(plain)  # stopped with them
        self.load(plain, self.made.base, "", lists=0)
        points = [Point(listed, EXACT, 0, {} if listed is plain else {"exact": 1}, EXACT) for listed in [plain, *self.ours]]
        for point in points:
            self.judge.prepare(point.listed)
            point.found = self.judge.ask(point.listed, point.reach)
            for ending in ("rows", "distances"):
                if not filecmp.cmp(f"{self.folder}/{plain.name}.{ending}", f"{self.folder}/{point.listed.name}.{ending}", shallow=False):
                    raise BenchError(f"{point.listed.name}: the {ending} of an exact search are not bit for bit those of {plain.name}")
        self.measure([replace(point, batch=batch, seconds=[], coded=coded.Totals()) for batch in options.batches for point in points], self.made.rows)

    def churn(self) -> None:
        """An index whose rows have changed, before and after it is compacted, beside a fresh one of the same rows."""
        options, folder = self.options, self.folder
        parts = {name: f"{folder}/{name}.fbin" for name in ("before", "after", "added")}
        removed = data.churn(self.made.base, CHURN_PARTS, parts["before"], parts["after"], parts["added"])
        rows = data.describe(parts["after"], ("fbin",)).rows
        judge = Judge(self.helper, self.made, parts["after"], options.k, folder, self.warnings)
        training = {name: self._training(parts[name], rows, f"training-{name}") for name in ("before", "after")}
        points = []
        for dtype in options.scans:
            trio = []
            for suffix in ("", "-changed", "-compacted"):
                (system, *_) = flat.start_ours(replace(options, scans=(dtype,)), folder, self.threads, self.notes)
                listed = Listed(replace(system, name=f"nearfield{suffix}{coded.suffix(dtype)}"), True)
                self.peers.append(listed)
                origin = "before" if suffix else "after"
                self.load(listed, parts[origin], training[origin])
                if suffix:
                    listed.ask("change", removed=removed, added=parts["added"])
                if suffix == "-compacted":
                    listed.ask("compact")
                trio.append(listed)
            lists.look_for_efforts(trio[0], (CHURN_RECALL,), options, judge)
            (efforts,) = trio[0].efforts
            probes = efforts.for_recall(CHURN_RECALL) or options.lists
            for listed in trio:
                judge.prepare(listed)
                found = judge.ask(listed, {"probes": probes})
                points += [Point(listed, CHURN, batch, {"probes": probes}, dtype, CHURN_RECALL, found) for batch in options.batches]
        self.measure(points, rows)

    def stop(self) -> None:
        for listed in self.peers + self.ours:
            listed.system.worker.stop()
        self.peers, self.ours = [], []
