# SPDX-License-Identifier: Apache-2.0
"""The flat index beside torch, on the same data, in turns; every answer compared with float64."""

from __future__ import annotations

import math
import sys
import time
from array import array
from pathlib import Path

import data
import machine
import stats
from errors import say
from phases import Absent, CutShort, Failed, Late
from session import Session
from worker import Worker, WorkerFailed

SAMPLE = 32  # queries whose answers are compared with float64
AGREEMENT = 1000  # queries whose rows are compared with torch's
TUNE_BATCH = 1000  # torch's settings do not depend on more
PATIENCE = 4  # torch gets this many times our own time, and three rounds at least
PEER = machine.ROOT / "bench" / "peers" / "torch_worker.py"
STAND_IN = machine.ROOT / "prove" / "torch_stand_in.py"


class System:
    def __init__(self, name: str, worker: Worker, form: str):
        self.name, self.worker, self.form = name, worker, form
        self.settings = ""
        self.keys: dict = {}  # of the command `workload`, beside the usual
        self.reach: dict = {}  # of an index with lists: how far its searches look

    def begin(self, queries: str, batch: int, k: int, run_seconds: float) -> None:
        self.worker.ask("workload", queries=queries, batch=batch, k=k, **self.keys)
        if self.reach:
            self.worker.ask("reach", **self.reach)
        self.seconds: list[float] = []
        self.p50: list[float] = []
        self.calls, self.spent = 1, 0.0
        for _ in range(3 if run_seconds else 1):  # the first calls load kernels and find their pace
            taken = self.worker.ask("run", calls=self.calls)["seconds"] / self.calls
            self.calls = max(1, math.ceil(run_seconds / max(taken, 1e-7)))
            if taken > 0.5:
                break

    def run(self) -> None:
        reply = self.worker.ask("run", calls=self.calls)
        self.seconds.append(reply["seconds"] / self.calls)
        self.p50.append(reply["p50_s"])
        self.spent += reply["seconds"]

    def times(self) -> dict:
        found = {**stats.summary(self.seconds), "p50_s": stats.summary(self.p50)["median_s"]}
        return {**{key: stats.rounded(value) for key, value in found.items()}, "rounds": len(self.seconds), "calls": self.calls}


def measure(session: Session, entry: dict, seconds: float, save) -> str:
    shape, end = session.shape, time.monotonic() + seconds
    entry.update(points=[], limits={}, timed=not session.emulated)
    planned = len(shape.dims) * len(shape.batches) * len(shape.ks)
    try:
        _workloads(session, entry, seconds, end, planned, save)
    except Late as late:
        if not entry["points"]:
            raise
        raise CutShort(f"{len(entry['points'])} of {planned} workloads, in the next {late}") from None
    return _judge(session, entry, planned)


def _workloads(session: Session, entry: dict, seconds: float, end: float, planned: int, save) -> None:
    shape = session.shape
    with session.workers(seconds):
        ours = System("nearfield", session.ours(), "canonical")
        session.hello(ours.worker)
        tool = session.ours("tool")  # makes data and truth, on the host
        torch = start_torch(session, entry)
        _limits(session, entry, torch)
        for dim in shape.dims:
            if time.monotonic() > end:
                break
            say(f"  {shape.rows:,} x {dim}")
            base, queries = session.dataset(dim, tool)
            truth = _truth(session, tool, dim)
            systems = _load([ours] + ([torch] if torch else []), base, entry, dim)
            torch = next((s for s in systems if s is torch), None)
            for k in shape.ks:
                for batch in shape.batches:
                    left = end - time.monotonic()
                    if left < 0:
                        break
                    share = left / (planned - len(entry["points"]))
                    point = _point(session, systems, tool, (dim, batch, k), (base, queries, truth), share)
                    entry["points"].append(point)
                    save()
                    if "without_torch" in point:
                        systems, torch = [ours], None


def _judge(session: Session, entry: dict, planned: int) -> str:
    points = entry["points"]
    wrong = [p for p in points if p["wrong_distances"] or p["recall"] != 1]
    if wrong:
        p = wrong[0]
        raise Failed(f"{len(wrong)} of {len(points)} workloads have wrong answers, first {name(p)}: recall {p['recall']}, "
                     f"{p['wrong_distances']} wrong distances {p['first_wrong']}")  # fmt: skip
    if len(points) < planned:
        raise CutShort(f"{len(points)} of {planned} workloads {beside(entry)}")
    return f"{len(points)} workloads {beside(entry)}" + (", no times: emulated" if session.emulated else "")


def beside(entry: dict) -> str:
    if "torch" not in entry:
        return f"without torch: {entry['without_torch']}"
    return "beside a stand-in for torch" if "stand_in" in entry["torch"] else "beside torch"


def name(point: dict) -> str:
    return f"{point['rows']:,} x {point['dim']}, batch {point['batch']:,}, k {point['k']}"


def start_torch(session: Session, entry: dict) -> System | None:
    """In a rehearsal something plays it where it is missing, so that what is done with it is tried out."""
    worker = Worker("torch", [sys.executable, str(PEER)], session.log("torch"))
    try:
        about = worker.ask("hello")
    except WorkerFailed as failed:
        worker.stop()
        missing = "No module named" in str(failed)  # torch, or numpy
        reason = "it is not installed for this python3" if missing else str(failed)
        if not session.emulated:
            entry["without_torch"] = reason
            return None
        worker = Worker("torch", [sys.executable, str(STAND_IN), str(session.build.folder)], session.log("torch"))
        about = worker.ask("hello")
        entry["torch"] = {"stand_in": reason}
        return System("torch", worker, "expanded")
    if not session.emulated and about["backend"] == "cpu":
        worker.stop()
        entry["without_torch"] = f"torch {about['version']} sees no GPU"
        return None
    entry["torch"] = {key: about[key] for key in ("version", "backend", "device")}
    return System("torch", worker, "expanded")


def _limits(session: Session, entry: dict, torch: System | None) -> None:
    found = entry["limits"]
    found["driver"] = {key: value for key, value in session.device.items() if key.endswith(("_bytes_per_s", "_flops_per_s"))}
    if torch is not None:
        try:
            reply = torch.worker.ask("limits", bytes=4 << 30 if not session.emulated else 1 << 20, seconds=session.shape.limit_seconds)
            found["torch"] = {key: value for key, value in reply.items() if key != "ok"}
        except WorkerFailed as failed:
            found["without_torch"] = str(failed)
    for key, sources in (("copy_bytes_per_s", ("copy_bytes_per_s",)),
                         ("f32_flops_per_s", ("f32_flops_per_s", "multiply_add_flops_per_s")),
                         ("bf16_flops_per_s", ("bf16_flops_per_s",))):  # fmt: skip
        rates = [of[source] for of in (found["driver"], found.get("torch", {})) for source in sources if of.get(source)]
        found[key] = None if session.emulated or not rates else stats.rounded(max(rates))
    if session.emulated:  # what an emulator takes is no figure
        found["driver"] = found["torch"] = {}


def _truth(session: Session, tool: Worker, dim: int) -> str:
    """Of the first queries, for the largest k; truth-DIM-K.rows for each."""
    base, queries = session.data[dim]
    sample = data.head(queries, SAMPLE, session.path(f"sample-{dim}.fbin"))
    count, most = min(SAMPLE, session.shape.queries), max(session.shape.ks)
    stem = session.path(f"truth-{dim}")
    tool.ask("truth", base=base, queries=sample, metric="l2", k=most, to=stem)
    rows = read(f"{stem}.rows", "q")
    for k in session.shape.ks:
        nearest = array("q", [rows[q * most + i] for q in range(count) for i in range(k)])
        Path(f"{stem}-{k}.rows").write_bytes(nearest.tobytes())
    return stem


def read(path: str, kind: str) -> array:
    numbers = array(kind)
    numbers.frombytes(Path(path).read_bytes())
    return numbers


def _load(systems: list[System], base: str, entry: dict, dim: int) -> list[System]:
    loaded = []
    for system in systems:
        try:
            reply = system.worker.ask("load", base=base, metric="l2")
        except WorkerFailed as failed:
            if system.name == "nearfield":
                raise
            entry["without_torch"] = str(failed)
            continue
        loaded.append(system)
        if entry["timed"]:
            facts = {"seconds": stats.rounded(reply["seconds"]), "device_bytes": reply["device_bytes"]}
            entry.setdefault("loads", {})[f"{system.name} {dim}"] = facts
    return loaded


def _point(session: Session, systems: list[System], tool: Worker, what: tuple, files: tuple, seconds: float) -> dict:
    (dim, batch, k), (base, queries, truth) = what, files
    begun, ours = time.monotonic(), systems[0]
    point = {"rows": session.shape.rows, "dim": dim, "batch": batch, "k": k, "metric": "l2"}
    taking_part = []
    for system in systems:
        try:
            _begin(session, system, queries, batch, k)
            found = _answers(session, system, tool, batch, k, base, truth, dim)
        except WorkerFailed as failed:
            if system is ours:
                raise
            point["without_torch"] = str(failed)
            continue
        taking_part.append(system)
        point.update(found if system is ours else {f"torch_{key}": value for key, value in found.items()})
    if len(taking_part) > 1:
        point["agreement"] = _agreement(session, k)
        point["torch_settings"] = taking_part[1].settings
    rounds(session, taking_part, point, begun + seconds)
    if not session.emulated:
        for system in taking_part:
            point[system.name] = system.times()
        if len(taking_part) > 1:
            point["ratio"] = stats.rounded(point["torch"]["median_s"] / point["nearfield"]["median_s"], 4)
    return point


def _begin(session: Session, system: System, queries: str, batch: int, k: int) -> None:
    if system.name == "torch":
        system.worker.ask("workload", queries=queries, batch=min(batch, TUNE_BATCH), k=k)
        system.settings = system.worker.ask("tune")["settings"]
    system.begin(queries, batch, k, session.shape.run_seconds)


def _answers(session: Session, system: System, tool: Worker, batch: int, k: int, base: str, truth: str, dim: int) -> dict:
    """Of whole batches, as they are measured; the first of them are compared with float64."""
    stem = session.path(f"answers-{system.name}")
    wanted = min(session.shape.queries, max(SAMPLE, AGREEMENT if batch > 1 else SAMPLE))
    count = min(session.shape.queries, math.ceil(wanted / batch) * batch)
    system.worker.ask("answers", to=stem, count=count)
    sampled = min(SAMPLE, session.shape.queries)
    for ending, size in (("rows", 8), ("distances", 4)):
        with open(f"{stem}.{ending}", "rb") as whole:
            Path(f"{stem}-sample.{ending}").write_bytes(whole.read(sampled * k * size))
    found = tool.ask("recall", base=base, queries=session.path(f"sample-{dim}.fbin"), metric="l2", k=k, truth=f"{truth}-{k}",
                     answers=f"{stem}-sample", form=system.form)  # fmt: skip
    return {key: found[key] for key in ("recall", "wrong_distances", "first_wrong")}


def _agreement(session: Session, k: int) -> float:
    ours, theirs = (read(session.path(f"answers-{name}.rows"), "q") for name in ("nearfield", "torch"))
    return shared(ours, theirs, k)


def shared(ours: array, theirs: array, k: int) -> float:
    """The share of our rows that are among the other's for the same query."""
    same = sum(len(set(ours[at : at + k]) & set(theirs[at : at + k])) for at in range(0, len(ours), k))
    return stats.rounded(same / len(ours), 6)


def rounds(session: Session, systems: list[System], point: dict, end: float) -> None:
    number = 0
    while number < session.shape.rounds or time.monotonic() < end and number < 50:
        if number >= 1 and time.monotonic() > end:  # a slow workload makes do with fewer: the record has their number
            break
        for system in list(systems):
            if system is not systems[0] and number >= 3 and system.spent > PATIENCE * systems[0].spent:
                continue
            try:
                system.run()
            except WorkerFailed as failed:
                if system is systems[0]:
                    raise
                point["without_torch"] = str(failed)
                systems.remove(system)
        number += 1
        if session.emulated:  # whose times nobody keeps
            return


def need_points(session: Session) -> None:
    if not session.data:
        raise Absent("the phase speed, which makes the data, did not run")
