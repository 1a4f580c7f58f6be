# SPDX-License-Identifier: Apache-2.0
"""The peers' side of the worker protocol (bench/README.md): reads commands, answers each with one line."""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np


class Refused(Exception):
    """A command that cannot be done; its text is the one sentence that the driver shows."""

    def __init__(self, sentence: str, unsupported: bool = False):
        super().__init__(sentence)
        self.unsupported = unsupported


def read_fbin(path: str) -> np.ndarray:
    """Rows x dimensions f32, in memory of its own."""
    rows, dim = np.fromfile(path, dtype="<u4", count=2)
    return np.fromfile(path, dtype="<f4", offset=8).reshape(int(rows), int(dim))


def unit(rows: np.ndarray) -> np.ndarray:
    """The rows at length 1, for peers whose cosine is a dot product of such rows."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))  # without a copy of the rows in f64
    return rows / lengths.astype(np.float32)[:, None]


def widened(found: np.ndarray, k: int, missing) -> np.ndarray:
    """k columns, where a peer answers with as many as there are rows."""
    return np.pad(found, ((0, 0), (0, k - found.shape[1])), constant_values=missing)


def usable_threads() -> int:
    """The cores of this process's affinity, and no more than a container's CPU quota pays for, rounded up."""
    cores = len(os.sched_getaffinity(0))
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return cores
    return min(cores, max(1, -(-int(quota) // int(period)))) if quota.isdigit() else cores


def seconds_of(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Peer:
    """What a peer implements; `search` alone is timed."""

    system = ""
    metrics: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("f32",)  # of its products

    def hello(self, threads: int) -> dict:
        """Sets the threads; answers version and settings."""
        raise NotImplementedError

    def build(self, base: np.ndarray, metric: str) -> None:
        raise NotImplementedError

    def prepare(self, queries: np.ndarray, metric: str) -> np.ndarray:
        return unit(queries) if metric == "cosine" else queries

    def use(self, precision: str) -> None:
        """From the next search on; what `tune` chose for it, if anything, is chosen again."""

    def tune(self, queries: np.ndarray, k: int) -> str:
        """Chooses among settings for searches like this one; answers the choice in words."""
        return ""

    def search(self, queries: np.ndarray, k: int):
        """Distances and rows, in whatever form is this peer's own."""
        raise NotImplementedError

    def answers(self, found, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """What `search` returned as (distances, rows), smaller is better."""
        raise NotImplementedError

    def limits(self, bytes_: int, seconds: float) -> dict:
        """What its device can do, as this library reaches it."""
        raise Refused("limits are not measured by this peer", unsupported=True)


class Worker:
    def __init__(self, peer: Peer):
        self.peer = peer
        self.metric = ""
        self.queries = np.zeros((0, 0), np.float32)
        self.dim = self.batch = self.k = self.next = 0

    def hello(self, command: dict) -> dict:
        threads = command.get("threads", 0) or usable_threads()
        about = self.peer.hello(threads)
        return {"system": self.peer.system, "backend": "cpu", "device": "", "threads": threads, **about}

    def load(self, command: dict) -> dict:
        self.metric = command["metric"]
        if self.metric not in self.peer.metrics:
            raise Refused(f"no metric {self.metric}", unsupported=True)
        base = read_fbin(command["base"])
        self.dim = base.shape[1]
        seconds = seconds_of(lambda: self.peer.build(base, self.metric))
        return {"rows": base.shape[0], "dim": self.dim, "seconds": seconds, "device_bytes": 0, "workspace_bytes": 0}

    def workload(self, command: dict) -> dict:
        queries = read_fbin(command["queries"])
        if queries.shape[1] != self.dim:
            raise Refused(f"workload: the queries have {queries.shape[1]} dimensions, the base has {self.dim}")
        if command.get("clients", 1) != 1:
            raise Refused("called by one client only", unsupported=True)
        precision = command.get("precision", "f32")
        if precision not in self.peer.precisions:
            raise Refused(f"no precision {precision}", unsupported=True)
        self.peer.use(precision)
        self.queries = self.peer.prepare(queries, self.metric)
        self.batch, self.k, self.next = command.get("batch", 1), command.get("k", 10), 0
        return {"settings": ""}

    def tune(self, command: dict) -> dict:
        return {"settings": self.peer.tune(self.queries[: self.batch], self.k)}

    def run(self, command: dict) -> dict:
        calls = []
        start = time.perf_counter()
        for _ in range(command.get("calls", 1)):
            batch = self.queries[self.next : self.next + self.batch]
            calls.append(seconds_of(lambda: self.peer.search(batch, self.k)))
            self.next += self.batch
            if self.next + self.batch > len(self.queries):
                self.next = 0
        seconds = time.perf_counter() - start
        p50, p90, p99 = np.percentile(calls, [50, 90, 99], method="inverted_cdf")
        return {"seconds": seconds, "p50_s": float(p50), "p90_s": float(p90), "p99_s": float(p99), "max_s": max(calls)}

    def answers(self, command: dict) -> dict:
        count = min(command.get("count", 0) or len(self.queries), len(self.queries))
        with open(command["to"] + ".rows", "wb") as rows, open(command["to"] + ".distances", "wb") as distances:
            for first in range(0, count, self.batch):
                found = self.peer.search(self.queries[first : min(first + self.batch, count)], self.k)
                d, r = self.peer.answers(found, self.metric)
                rows.write(widened(r, self.k, -1).astype("<i8").tobytes())
                distances.write(widened(d, self.k, np.nan).astype("<f4").tobytes())
        return {"count": count}

    def limits(self, command: dict) -> dict:
        return self.peer.limits(command["bytes"], command.get("seconds", 0.3))

    def commands(self) -> dict:
        return {"hello": self.hello, "load": self.load, "workload": self.workload, "run": self.run, "tune": self.tune, "answers": self.answers,
                "limits": self.limits, "quit": lambda _: {}}  # fmt: skip

    def answer(self, line: str) -> dict:
        try:
            command = json.loads(line)
            work = self.commands().get(command["command"])
            if work is None:
                raise Refused(f"no command {command['command']}", unsupported=True)
            return {"ok": True, **work(command)}
        except Refused as refused:
            return {"ok": False, "error": str(refused), "unsupported": refused.unsupported}
        except Exception as error:  # a peer's failure is an answer: the run goes on without it
            return {"ok": False, "error": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def serve(peer: Peer) -> None:
    answer_lines(Worker(peer))


def answer_lines(worker: Worker) -> None:
    # What a library prints goes to stderr; the replies have the real stdout for themselves.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(worker.answer(line)), file=replies, flush=True)
        if '"quit"' in line:
            break
