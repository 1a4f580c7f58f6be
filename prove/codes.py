# SPDX-License-Identifier: Apache-2.0
"""Searches by int8 codes beside those by the f32 rows alone, on the same rows, in turns: the same bits, and how long each takes."""

from __future__ import annotations

import filecmp
import time

import stats
from coded import Totals
from errors import say
from phases import Absent, CutShort, Failed, Late
from session import Session
from speed import System
from worker import Worker, WorkerFailed

SPECTRA = ("decaying", "isotropic")
MOST_DIM = 128
MOST_BATCH = 16  # beyond it codes are not taken
COMPARED = 64  # queries, rounded up to whole batches
NOT_BUILT = "int8 codes are not built"  # what a backend says that has none
FACTS = ("code_bytes", "device_bytes", "fit_s", "fit_steps", "rotated", "level_dims")


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


def measure(session: Session, entry: dict, seconds: float, save) -> str:
    shape, end = session.shape, time.monotonic() + seconds
    dim = max(d for d in shape.dims if d <= MOST_DIM)
    batches = [batch for batch in shape.batches if batch <= MOST_BATCH]
    planned = len(SPECTRA) * len(batches)
    entry.update(points=[], loads={}, timed=not session.emulated)
    try:
        _spectra(session, entry, (dim, batches, planned), seconds, end, save)
    except Late as late:
        if not entry["points"]:
            raise
        raise CutShort(f"{len(entry['points'])} of {planned} workloads, in the next {late}") from None
    if len(entry["points"]) < planned:
        raise CutShort(f"{len(entry['points'])} of {planned} workloads")
    rotated = [spectrum for spectrum, facts in entry["loads"].items() if facts["rotated"]]
    return (f"{planned} workloads, the bits of the f32 scan and all certified; rotated: {', '.join(rotated) or 'none'}"
            + (", no times: emulated" if session.emulated else ""))  # fmt: skip


def _spectra(session: Session, entry: dict, what: tuple, seconds: float, end: float, save) -> None:
    dim, batches, planned = what
    with session.workers(seconds):
        tool = session.ours("tool")
        systems = [Coded("rows", session.ours("rows")), Coded("codes", session.ours("codes"))]
        session.hello(systems[0].worker)
        # Rows of a rehearsal are too few for codes to be taken by themselves.
        session.hello(systems[1].worker, path="codes" if session.emulated else "")
        for spectrum in SPECTRA:
            if time.monotonic() > end:
                return
            say(f"  {session.shape.rows:,} x {dim}, {spectrum}")
            base, queries = session.dataset(dim, tool, spectrum)
            systems[0].worker.ask("load", base=base, metric="l2")
            try:
                loaded = systems[1].worker.ask("load", base=base, metric="l2", scan_dtype="i8")
            except WorkerFailed as failed:
                if NOT_BUILT in str(failed):
                    raise Absent(str(failed)) from None
                raise
            facts = {key: loaded[key] for key in FACTS}
            entry["loads"][spectrum] = {**facts, "fit_s": stats.rounded(facts["fit_s"])} if entry["timed"] else {"rotated": facts["rotated"]}
            for batch in batches:
                left = end - time.monotonic()
                if left < 0:
                    return
                share = left / (planned - len(entry["points"]))
                entry["points"].append(_point(session, systems, (spectrum, dim, batch), queries, time.monotonic() + share))
                save()


def _point(session: Session, systems: list[Coded], what: tuple, queries: str, end: float) -> dict:
    (spectrum, dim, batch), k = what, session.shape.ks[0]
    point = {"rows": session.shape.rows, "dim": dim, "spectrum": spectrum, "batch": batch, "k": k, "metric": "l2"}
    count = min(session.shape.queries, -(-COMPARED // batch) * batch)
    for system in systems:
        system.totals = Totals()
        system.begin(queries, batch, k, session.shape.run_seconds)
        system.worker.ask("answers", to=session.path(f"codes-{system.name}"), count=count)
    for ending in ("rows", "distances"):
        first, second = (session.path(f"codes-{system.name}.{ending}") for system in systems)
        if not filecmp.cmp(first, second, shallow=False):
            raise Failed(f"{spectrum}, batch {batch}: the {ending} by codes are not bit for bit those by rows")
    for number in range(50):
        if number >= session.shape.rounds and time.monotonic() > end or number >= 1 and time.monotonic() > end + 5:
            break
        for system in systems:
            system.run()
        if session.emulated:
            break
    totals = systems[1].totals
    if totals.certified != totals.queries:
        raise Failed(f"{spectrum}, batch {batch}: {totals.queries - totals.certified} of {totals.queries} answers are not certified")
    if not totals.whole_bytes:
        raise Failed(f"{spectrum}, batch {batch}: the codes were not used")
    point["read_share"] = stats.rounded(totals.scanned_bytes / totals.whole_bytes, 4)
    point["rescored_p50"] = max(totals.rescored_p50)
    if not session.emulated:
        point["by_rows"], point["by_codes"] = (system.times() for system in systems)
        point["ratio"] = stats.rounded(point["by_rows"]["median_s"] / point["by_codes"]["median_s"], 4)
    return point
