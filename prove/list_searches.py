# SPDX-License-Identifier: Apache-2.0
"""Searches of an index with lists, by f32 rows and by codes: exact ones have the bits of the direct form, and how long those take that
find 95% of the nearest, by a recall target and with the fewest lists that reach it."""

from __future__ import annotations

import time
from pathlib import Path

import codes
import data
import speed
import stats
from errors import say
from lists import JUDGED, Efforts
from phases import Absent, CutShort, Failed, Late
from session import Session
from speed import System
from worker import Worker, WorkerFailed

SPECTRUM = "decaying"  # the one with clusters: among isotropic rows lists find little
RECALL = 0.95
FORMS = {"rows": {}, "codes": {"scan_dtype": "i8"}}  # keys of the command `load`
# Of a rehearsal, whose lists are too short for what a million rows are searched by.
PATHS_OF_FEW_ROWS = {"rows": codes.PATH_OF_FEW_ROWS, "codes": "codes"}
NOT_BUILT = "lists are not built"  # what a backend says that has none
FACTS = ("build_s", "device_bytes", "smallest_list", "largest_list")


def batches(session: Session) -> tuple[int, int]:
    return 1, session.shape.batches[-1]


def measure(session: Session, entry: dict, seconds: float, save) -> str:
    planned, end = 2 * len(FORMS) * len(batches(session)), time.monotonic() + seconds
    entry.update(points=[], loads={}, timed=not session.emulated)
    try:
        _forms(session, entry, planned, seconds, end, save)
    except Late as late:
        if not entry["points"]:
            raise
        raise CutShort(f"{len(entry['points'])} of {planned} workloads, in the next {late}") from None
    if len(entry["points"]) < planned:
        raise CutShort(f"{len(entry['points'])} of {planned} workloads")
    recalls = [p["recall"] for p in entry["points"] if "target_recall" in p]
    return (f"{planned} workloads, exact searches have the bits of the direct form; recall of a target of {RECALL:g}: {min(recalls):.4f} at least"
            + (", no times: emulated" if session.emulated else ""))  # fmt: skip


def _forms(session: Session, entry: dict, planned: int, seconds: float, end: float, save) -> None:
    dim = codes.dim_of(session.shape)
    with session.workers(seconds):
        tool = session.ours("tool")
        base, queries = session.dataset(dim, tool, SPECTRUM)
        judge = Judge(session, tool, base, queries)
        for form, keys in FORMS.items():
            say(f"  {session.shape.rows:,} x {dim}, {session.shape.lists:,} lists, {form}")
            system = System("nearfield", session.ours(form), "canonical")
            session.hello(system.worker, path=PATHS_OF_FEW_ROWS[form] if session.emulated else "")
            loaded = _load(system.worker, base=base, metric="l2", lists=session.shape.lists, **keys)
            entry["loads"][form] = {key: stats.rounded(loaded[key]) for key in FACTS if entry["timed"] or key.endswith("_list")}
            judge.check_exact(system.worker, form)
            for reach, found in judge.reaches(system.worker):
                for batch in batches(session):
                    left = end - time.monotonic()
                    if left < 0:
                        return
                    what = {"rows": session.shape.rows, "dim": dim, "spectrum": SPECTRUM, "form": form, "lists": session.shape.lists, "batch": batch,
                            "k": session.shape.ks[0], "metric": "l2"}  # fmt: skip
                    point = {**what, **reach, **found}
                    system.reach = reach
                    system.begin(queries, batch, what["k"], session.shape.run_seconds)
                    speed.rounds(session, [system], point, time.monotonic() + left / (planned - len(entry["points"])))
                    if entry["timed"]:
                        point["nearfield"] = system.times()
                    entry["points"].append(point)
                    save()
            system.worker.stop()


def _load(worker: Worker, **keys) -> dict:
    try:
        return worker.ask("load", **keys)
    except WorkerFailed as failed:
        if NOT_BUILT in str(failed):
            raise Absent(str(failed)) from None
        raise


class Judge:
    """Compares with the answers of the direct form, which the phases `speed` and `codes` compare with float64, and distances with float64."""

    def __init__(self, session: Session, tool: Worker, base: str, queries: str):
        self.session, self.tool, self.base, self.k = session, tool, base, session.shape.ks[0]
        self.count = min(JUDGED, session.shape.queries)
        self.queries = data.head(queries, self.count, session.path("judged.fbin"))
        self.truth = session.path("lists-direct")
        direct = session.ours("direct")
        session.hello(direct, path=codes.DIRECT)
        direct.ask("load", base=base, metric="l2")
        self._answers(direct, self.truth)
        direct.stop()

    def _answers(self, worker: Worker, stem: str, **reach) -> dict:
        """Of all queries in one call."""
        worker.ask("workload", queries=self.queries, batch=self.count, k=self.k)
        if reach:
            worker.ask("reach", **reach)
        return worker.ask("answers", to=stem, count=self.count)

    def check_exact(self, worker: Worker, form: str) -> None:
        stem = self.session.path("lists-exact")
        self._answers(worker, stem, exact=1)
        for ending in ("rows", "distances"):
            if Path(f"{stem}.{ending}").read_bytes() != Path(f"{self.truth}.{ending}").read_bytes():
                raise Failed(f"{form}: the {ending} of exact searches through lists are not bit for bit those of the direct form")

    def ask(self, worker: Worker, reach: dict) -> dict:
        stem = self.session.path("lists-answers")
        reply = self._answers(worker, stem, **reach)
        found = self.tool.ask("recall", base=self.base, queries=self.queries, metric="l2", k=self.k, truth=self.truth, answers=stem, form="canonical")
        if found["wrong_distances"]:
            raise Failed(f"{found['wrong_distances']} of {self.count * self.k} distances of searches of lists are wrong: {found['first_wrong']}")
        return {"recall": stats.rounded(found["recall"], 6), **{key: stats.rounded(reply[key]) for key in ("lists_scanned", "recall_estimate")}}

    def reaches(self, worker: Worker):
        """How far searches look, each with what it finds: as each query decides by itself, and as many lists as the recall takes."""
        target = {"target_recall": RECALL}
        yield target, self.ask(worker, target)
        efforts = Efforts(lambda probes: self.ask(worker, {"probes": probes}), 1, self.session.shape.lists)
        probes = efforts.for_recall(RECALL) or self.session.shape.lists
        yield {"probes": probes}, efforts.at(probes)
