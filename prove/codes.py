# SPDX-License-Identifier: Apache-2.0
"""Searches by int8 codes and by f32 rows alone, at all batches that take another path, on the same rows, in turns with torch in three
precisions: every answer of ours has the bits of the direct form, and how long each takes."""

from __future__ import annotations

import time
from pathlib import Path

import speed
import stats
from coded import Totals
from errors import say
from phases import Absent, CutShort, Failed, Late
from session import Session, Shape
from speed import System
from worker import Worker, WorkerFailed

SPECTRA = ("decaying", "isotropic")
MOST_DIM = 128
# native/cuda/queue.cpp and gpu/queue.hpp: up to so many queries codes are scanned, for so small a k; for more queries they are multiplied.
MOST_SCANNED, MOST_SCANNED_K = 16, 32
COMPARED = 64  # queries, rounded up to whole batches
NOT_BUILT = "int8 codes are not built"  # what a backend says that has none
FACTS = ("code_bytes", "device_bytes", "fit_s", "fit_steps", "rotated", "level_dims")
PATH_OF_FEW_ROWS = "hardware"  # of a rehearsal: what a million rows of a real device are searched by
DIRECT = "direct"  # the form whose bits are the answer
PRECISIONS = ("f32", "tf32", "bf16")  # of torch


class Coded(System):
    """A system that tells what its codes left to read."""

    def __init__(self, name: str, worker: Worker):
        super().__init__(name, worker, "canonical")
        self.totals = Totals()

    def run(self) -> None:
        reply = self.worker.ask("run", calls=self.calls)
        self.seconds.append(reply["seconds"] / self.calls)
        self.p50.append(reply["p50_s"])
        self.spent += reply["seconds"]
        self.totals.add(reply)


class Precision(System):
    """One of torch's, in a worker that all of them share."""

    def __init__(self, precision: str, worker: Worker):
        super().__init__(f"torch {precision}", worker, "expanded")
        self.precision, self.keys = precision, {"precision": precision}

    def begin(self, queries: str, batch: int, k: int, run_seconds: float) -> None:
        self.workload = {"queries": queries, "batch": batch, "k": k, **self.keys}
        self.worker.ask("workload", **{**self.workload, "batch": min(batch, speed.TUNE_BATCH)})
        self.settings = self.worker.ask("tune")["settings"]
        super().begin(queries, batch, k, run_seconds)

    def run(self) -> None:
        self.worker.ask("workload", **self.workload)  # another precision ran meanwhile
        super().run()


class Direct:
    """The answers of the direct form, by k: made once, for the largest batch."""

    def __init__(self, session: Session, worker: Worker):
        self.session, self.worker, self.made = session, worker, {}

    def load(self, base: str, queries: str) -> None:
        self.worker.ask("load", base=base, metric="l2")
        self.queries, self.made = queries, {}

    def check(self, system: str, stem: str, count: int, k: int, what: str) -> None:
        if self.made.get(k, 0) < count:
            self.made[k] = max(whole(self.session.shape, batch) for batch, other in self.session.shape.table if other == k)
            self.worker.ask("workload", queries=self.queries, batch=self.made[k], k=k)
            self.worker.ask("answers", to=self.session.path(f"direct-{k}"), count=self.made[k])
        for ending in ("rows", "distances"):
            mine, theirs = (Path(f"{path}.{ending}").read_bytes() for path in (stem, self.session.path(f"direct-{k}")))
            if not mine or mine != theirs[: len(mine)]:
                raise Failed(f"{what}: the {ending} by {system} are not bit for bit those of the direct form")


def dim_of(shape: Shape) -> int:
    return max(d for d in shape.dims if d <= MOST_DIM)


def whole(shape: Shape, batch: int) -> int:
    """Queries whose answers are compared: whole batches, as they are measured."""
    return min(shape.queries // batch * batch, -(-COMPARED // batch) * batch)


def served(table) -> list[tuple[int, int]]:
    """Batches and k that codes are taken for."""
    return [(batch, k) for batch, k in table if batch > MOST_SCANNED or k <= MOST_SCANNED_K]


def measure(session: Session, entry: dict, seconds: float, save) -> str:
    planned, end = len(SPECTRA) * len(session.shape.table), time.monotonic() + seconds
    entry.update(points=[], loads={}, timed=not session.emulated)
    try:
        _spectra(session, entry, planned, seconds, end, save)
    except Late as late:
        if not entry["points"]:
            raise
        raise CutShort(f"{len(entry['points'])} of {planned} workloads, in the next {late}") from None
    if len(entry["points"]) < planned:
        raise CutShort(f"{len(entry['points'])} of {planned} workloads")
    rotated = [spectrum for spectrum, facts in entry["loads"].items() if facts["rotated"]]
    return (f"{planned} workloads, all answers the bits of the direct form, all of codes certified; rotated: {', '.join(rotated) or 'none'}; {speed.beside(entry)}"
            + (", no times: emulated" if session.emulated else ""))  # fmt: skip


def _spectra(session: Session, entry: dict, planned: int, seconds: float, end: float, save) -> None:
    dim = dim_of(session.shape)
    with session.workers(seconds):
        tool = session.ours("tool")
        systems = [Coded("rows", session.ours("rows")), Coded("codes", session.ours("codes"))]
        for system in systems:
            session.hello(system.worker, path=PATH_OF_FEW_ROWS if session.emulated else "")
        direct = Direct(session, session.ours("direct"))
        session.hello(direct.worker, path=DIRECT)
        torch = speed.start_torch(session, entry)
        precisions = [Precision(name, torch.worker) for name in PRECISIONS] if torch else []
        for spectrum in SPECTRA:
            if time.monotonic() > end:
                return
            say(f"  {session.shape.rows:,} x {dim}, {spectrum}")
            base, queries = session.dataset(dim, tool, spectrum)
            entry["loads"][spectrum] = _load(systems, direct, base, queries, entry["timed"])
            try:
                if precisions:
                    torch.worker.ask("load", base=base, metric="l2")
            except WorkerFailed as failed:
                precisions, entry["without_torch"] = [], str(failed)
            for batch, k in session.shape.table:
                left = end - time.monotonic()
                if left < 0:
                    return
                share = left / (planned - len(entry["points"]))
                point = _point(session, (systems, direct, precisions), (spectrum, dim, batch, k), queries, time.monotonic() + share)
                entry["points"].append(point)
                save()


def _load(systems: list[Coded], direct: Direct, base: str, queries: str, timed: bool) -> dict:
    systems[0].worker.ask("load", base=base, metric="l2")
    direct.load(base, queries)
    try:
        loaded = systems[1].worker.ask("load", base=base, metric="l2", scan_dtype="i8")
    except WorkerFailed as failed:
        if NOT_BUILT in str(failed):
            raise Absent(str(failed)) from None
        raise
    facts = {key: loaded[key] for key in FACTS}
    return {**facts, "fit_s": stats.rounded(facts["fit_s"])} if timed else {"rotated": facts["rotated"]}


def _point(session: Session, taking_part: tuple, what: tuple, queries: str, end: float) -> dict:
    (systems, direct, precisions), (spectrum, dim, batch, k) = taking_part, what
    point = {"rows": session.shape.rows, "dim": dim, "spectrum": spectrum, "batch": batch, "k": k, "metric": "l2", "torch": {}}
    count, words = whole(session.shape, batch), f"{spectrum}, batch {batch}, k {k}"
    for system in systems:
        system.totals = Totals()
        system.begin(queries, batch, k, session.shape.run_seconds)
        stem = session.path(f"codes-{system.name}")
        system.worker.ask("answers", to=stem, count=count)
        direct.check(system.name, stem, count, k, words)
    beside = []
    for peer in precisions:
        try:
            peer.begin(queries, batch, k, session.shape.run_seconds)
            peer.worker.ask("answers", to=session.path("answers-torch"), count=count)
            point["torch"][peer.precision] = {"settings": peer.settings, "agreement": _agreement(session, k)}
            beside.append(peer)
        except WorkerFailed as failed:
            point["torch"][peer.precision] = {"absent": str(failed)}
    _rounds(session, systems, beside, point, end)
    _certificates(systems[1].totals, batch, k, words, point)
    if not session.emulated:
        _times(systems, beside, point)
    return point


def _agreement(session: Session, k: int) -> float:
    """The share of our rows that are among torch's for the same query."""
    ours, theirs = (speed.read(session.path(name), "q")[: speed.AGREEMENT * k] for name in ("codes-rows.rows", "answers-torch.rows"))
    return speed.shared(ours, theirs, k)


def _rounds(session: Session, systems: list, beside: list, point: dict, end: float) -> None:
    for number in range(50):
        if number >= session.shape.rounds and time.monotonic() > end or number >= 1 and time.monotonic() > end + 5:
            return
        for system in systems:
            system.run()
        for peer in list(beside):
            if number >= 3 and peer.spent > speed.PATIENCE * systems[0].spent:
                continue
            try:
                peer.run()
            except WorkerFailed as failed:
                point["torch"][peer.precision] = {"absent": str(failed)}
                beside.remove(peer)
        if session.emulated:
            return


def _certificates(totals: Totals, batch: int, k: int, words: str, point: dict) -> None:
    if totals.certified != totals.queries:
        raise Failed(f"{words}: {totals.queries - totals.certified} of {totals.queries} answers are not certified")
    if not totals.whole_bytes and served([(batch, k)]):
        raise Failed(f"{words}: the codes were not used")
    point["read_share"] = stats.rounded(totals.scanned_bytes / totals.whole_bytes, 4) if totals.whole_bytes else None
    point["rescored_p50"] = max(totals.rescored_p50)


def _times(systems: list, beside: list, point: dict) -> None:
    point["by_rows"], point["by_codes"] = (system.times() for system in systems)
    point["ratio"] = stats.rounded(point["by_rows"]["median_s"] / point["by_codes"]["median_s"], 4)
    for peer in beside:
        of = point["torch"][peer.precision]
        of.update(peer.times())
        for form in ("by_rows", "by_codes"):
            of[f"{form}_ratio"] = stats.rounded(of["median_s"] / point[form]["median_s"], 4)
