# SPDX-License-Identifier: Apache-2.0
"""Systems that answer more or less of the truth: what each needs for a recall, and points of a curve measured in turns."""

from __future__ import annotations

import math
import os
import struct
import time
from dataclasses import dataclass, field

import coded
import data
import flat
import peers
import stats
from dataset import Dataset
from errors import BenchError, say
from flat import System
from list_options import Ivf
from worker import Worker, WorkerFailed

# Queries that a recall is the mean of. Of 10 neighbours each, 95% found, the share scatters by 0.3 points or less: by sqrt(.95 x .05 / 10,000) = 0.2
# if neighbours were missed independently of one another, and those of one query are not.
JUDGED = 1000
MOST_EF = 4096
SATURATED = 5e-4  # of recall: who finds less than this more with twice the effort, of 10,000 neighbours 5, is taken to find no more with any
TRIES = 2  # runs of a candidate setting
# Beside those of a scan.
KEYS = ("lists", "probes", "ef", "target_recall", "at_recall", "lists_scanned", "recall_estimate", "build_s")
POINT_KEYS = ("probes", "ef", "target_recall", "at_recall")  # what tells the points of one system apart


@dataclass
class Listed:
    """A system and what its index was made of."""

    system: System
    ours: bool
    choices: int = 1
    build_s: float | None = None
    efforts: list["Efforts"] = field(default_factory=list)  # one a choice

    @property
    def name(self) -> str:
        return self.system.name

    def ask(self, command: str, **keys) -> dict:
        return self.system.worker.ask(command, **keys)

    def reach(self, effort: int, choice: int = 0) -> dict:
        """Keys of the worker's command."""
        return {"ef" if self.name in peers.GRAPHS else "probes": effort, **({"choice": choice} if choice else {})}


@dataclass
class Point:
    """One way of searching, and what was measured of it."""

    listed: Listed
    workload: str
    batch: int
    reach: dict
    goal: float | str  # points of one goal are compared with each other
    at_recall: float | None = None  # the recall that it is the least effort for
    found: dict = field(default_factory=dict)  # by the judge
    settings: str = ""
    calls: int = 1
    seconds: list[float] = field(default_factory=list)  # of one call, a run each
    coded: coded.Totals = field(default_factory=coded.Totals)

    @property
    def scan_dtype(self) -> str:
        return self.listed.system.scan_dtype

    def run(self) -> float:
        self.listed.ask("reach", **self.reach)
        reply = self.listed.ask("run", calls=self.calls)
        self.seconds.append(reply["seconds"] / self.calls)
        self.coded.add(reply)
        return reply["seconds"]

    def calibrate(self) -> None:
        """How many calls make a run; the first warm caches."""
        self.listed.ask("reach", **self.reach)
        for _ in range(3):
            seconds = self.listed.ask("run", calls=self.calls)["seconds"] / self.calls
            self.calls = max(1, math.ceil(flat.RUN_SECONDS / max(seconds, 1e-7)))
            if seconds > 1:
                break


class Judge:
    """Recall by float64, of the first queries of the file."""

    def __init__(self, helper: Worker, made: Dataset, base: str, k: int, folder: str, warnings: list[str]):
        self.helper, self.base, self.metric, self.k, self.folder, self.warnings = helper, base, made.metric, k, folder, warnings
        self.count = min(JUDGED, made.query_count)
        name = os.path.basename(base).removesuffix(".fbin")
        self.queries, self.truth = data.head(made.queries, self.count, f"{folder}/judged.fbin"), f"{folder}/truth-of-{name}"
        rows = data.describe(base, ("fbin",)).rows
        self.expected = min(k, rows)
        if made.truth is not None and base == made.base:
            data.truth_rows(made.truth, self.expected, made.query_count, rows, f"{self.truth}.rows", range(self.count))
        else:
            say(f"Finding the true neighbours of {self.count} queries in float64")
            helper.ask("truth", base=base, queries=self.queries, metric=self.metric, k=self.expected, to=self.truth)

    def prepare(self, listed: Listed) -> None:
        """Before it is asked about: all queries in one call."""
        listed.ask("workload", queries=self.queries, batch=self.count, k=self.k)

    def ask(self, listed: Listed, reach: dict) -> dict:
        """recall, and of ours lists_scanned and recall_estimate. A wrong distance of ours ends the run."""
        answers = f"{self.folder}/{listed.name}"
        settings = listed.ask("reach", **reach).get("settings", "")
        reply = listed.ask("answers", to=answers, count=self.count)
        found = self.helper.ask("recall", base=self.base, queries=self.queries, metric=self.metric, k=self.k, truth=self.truth, answers=answers,
                                form="canonical" if listed.ours else "expanded")  # fmt: skip
        if found["wrong_distances"] and listed.name not in peers.APPROXIMATE:
            sentence = f"{listed.name}: {found['wrong_distances']} of {self.count * self.expected} distances are wrong: {found['first_wrong']}"
            if listed.ours:
                raise BenchError(sentence)
            if not any(warning.startswith(f"{listed.name}: ") for warning in self.warnings):
                self.warnings.append(sentence)
                say(sentence)
        return {"recall": found["recall"], "settings": settings, **{key: reply[key] for key in ("lists_scanned", "recall_estimate") if key in reply}}


class Efforts:
    """The least effort that reaches a recall: lists, or the ef of a graph. More effort never finds less, but for the noise of a graph."""

    def __init__(self, ask, least: int, most: int):
        self.ask, self.least, self.most = ask, least, max(least, most)
        self.found: dict[int, dict] = {}

    def at(self, effort: int) -> dict:
        if effort not in self.found:
            self.found[effort] = self.ask(effort)
        return self.found[effort]

    def for_recall(self, wanted: float) -> int | None:
        below, high = self.least - 1, self.least
        while self.at(high)["recall"] < wanted:
            is_saturated = below >= self.least and self.at(high)["recall"] - self.at(below)["recall"] < SATURATED
            if high == self.most or is_saturated:
                return None
            below, high = high, min(2 * high, self.most)
        while high - below > 1:
            middle = (below + high) // 2
            if self.at(middle)["recall"] < wanted:
                below = middle
            else:
                high = middle
        return high


def look_for_efforts(listed: Listed, recalls: tuple[float, ...], options: Ivf, judge: Judge) -> None:
    """Of each choice, in one large batch: answers do not depend on it."""
    judge.prepare(listed)
    graph = listed.name in peers.GRAPHS
    least, most = (options.k, MOST_EF) if graph else (1, options.lists)
    listed.efforts = [Efforts(lambda effort, choice=choice: judge.ask(listed, listed.reach(effort, choice)), least, most) for choice in range(listed.choices)]
    for efforts in listed.efforts:
        for recall in recalls:
            efforts.for_recall(recall)


def sought(listed: Listed, recalls: tuple[float, ...], batch: int, made: Dataset, options: Ivf, workload: str) -> list[Point]:
    """For each recall the fastest of the choices that reach it, each with the least effort."""
    points = []
    tuned: dict[int, str] = {}
    listed.ask("workload", queries=made.queries, batch=batch, k=options.k, clients=options.clients)
    for wanted in recalls:
        candidates = []
        for choice, efforts in enumerate(listed.efforts):
            effort = efforts.for_recall(wanted)
            if effort is None:
                continue
            point = Point(listed, workload, batch, listed.reach(effort, choice), wanted, wanted, efforts.at(effort))
            if not listed.ours and choice not in tuned:
                listed.ask("reach", **point.reach)
                tuned[choice] = listed.ask("tune")["settings"]
            point.settings = ", ".join(words for words in (point.found["settings"], tuned.get(choice)) if words)
            candidates.append(point)
        if len(candidates) > 1:
            candidates.sort(key=lambda point: min(point.run() for _ in range(TRIES)))
        points += candidates[:1]
    for point in points:
        point.seconds.clear()
    return points


def measure(points: list[Point], made: Dataset, options: Ivf, notes: list[str]) -> None:
    """Batch by batch and goal by goal, every system in turn. Points of a peer that fails are dropped."""
    batch = None
    for batch in dict.fromkeys(point.batch for point in points):
        mine = [point for point in points if point.batch == batch]
        for listed in {id(point.listed): point.listed for point in mine}.values():
            listed.ask("workload", queries=made.queries, batch=batch, k=options.k, clients=options.clients, **coded.search_keys(listed.system, options))
        say(f"Measuring {len(mine)} points of {len({point.listed.name for point in mine})} systems in turns, {batch} queries a call")
        for point in mine:
            _try(point, point.calibrate, points, mine, notes)
        begun, spent, number = time.monotonic(), 0.0, 0
        while mine and (number < options.repeats or spent < options.seconds):
            if number >= options.repeats and time.monotonic() - begun > 3 * options.seconds + 10:
                break
            for point in list(mine):
                seconds = _try(point, point.run, points, mine, notes)
                spent += seconds if point.listed.ours and seconds else 0.0
            number += 1


def _try(point: Point, work, points: list[Point], mine: list[Point], notes: list[str]) -> float | None:
    if point not in mine:
        return None
    try:
        return work()
    except WorkerFailed as failed:
        if point.listed.ours:
            raise
        flat.leave_out(point.listed.name, failed, notes)
        for each in [each for each in points if each.listed is point.listed]:
            points.remove(each)
            if each in mine:
                mine.remove(each)
        return None


def records(points: list[Point], made: Dataset, options: Ivf, rows: int) -> list[dict]:
    """The keys are the benchmark's format. The ratio is of the seconds a call, over the first system's with the same goal."""
    first: dict[tuple, float] = {}
    made_of = []
    for point in points:
        times, system, found = stats.summary(point.seconds), point.listed.system, point.found
        base = first.setdefault((point.workload, point.batch, point.goal), times["median_s"])
        settings = f", {point.settings}" if point.settings else ""
        made_of.append({
            "system": system.name,
            "backend": system.about["backend"],
            "device": system.device + settings,
            "workload": point.workload,
            "data": options.data,
            "rows": rows,
            "dim": made.dim,
            "batch": point.batch,
            "k": options.k,
            "metric": made.metric,
            **{key: stats.rounded(value) for key, value in times.items()},
            "qps": stats.rounded(point.batch * options.clients / times["median_s"]),
            "limit_fraction": None,  # nobody need read every row
            "recall": stats.rounded(found["recall"], 6),
            "ratio": stats.rounded(times["median_s"] / base, 4),
            **coded.keys(point),
            "lists": options.lists if point.listed.name not in peers.GRAPHS and not system.name.startswith("nearfield-flat") else None,
            "probes": point.reach.get("probes"),
            "ef": point.reach.get("ef"),
            "target_recall": point.reach.get("target_recall"),
            "at_recall": point.at_recall,
            "lists_scanned": stats.rounded(found.get("lists_scanned", point.reach.get("probes"))),
            "recall_estimate": stats.rounded(found.get("recall_estimate"), 6),
            "build_s": stats.rounded(point.listed.build_s),
        })  # fmt: skip
    return made_of


def even_rows(base: str, rows: int, count: int, to: str) -> str:
    """So many rows of an .fbin file, at even distances; the file itself where that is all."""
    if count >= rows:
        return base
    dim = data.describe(base, ("fbin",)).dim
    data.sample([number * rows // count for number in range(count)], base, dim * 4, 8, struct.pack("<II", count, dim), to)
    return to
