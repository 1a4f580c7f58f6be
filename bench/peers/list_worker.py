# SPDX-License-Identifier: Apache-2.0
"""The peers' side of the commands of `bench ivf` and `bench kmeans`, beside those of worker.py."""

from __future__ import annotations

import numpy as np

from worker import Peer, Refused, Worker, answer_lines, read_fbin, seconds_of


class ListPeer(Peer):
    """An index that answers more or less of the truth, by how far it is told to look. One process holds one index."""

    choices: tuple[str, ...] = ("",)  # settings of a search besides how far it looks, in words

    def build_lists(self, base: np.ndarray, metric: str, training: np.ndarray, command: dict) -> float:
        """Answers the seconds of training and adding; finding settings is outside."""
        raise NotImplementedError

    def reach(self, effort: int, choice: int) -> None:
        """The lists that the next searches look into, or the ef of a graph."""
        raise NotImplementedError


class ListWorker(Worker):
    def load(self, command: dict) -> dict:
        self.metric = command["metric"]
        if self.metric not in self.peer.metrics:
            raise Refused(f"no metric {self.metric}", unsupported=True)
        base = read_fbin(command["base"])
        training = read_fbin(command["training"]) if command.get("training") else base
        self.dim = base.shape[1]
        prepared = [self.peer.prepare(rows, self.metric) for rows in (base, training)]
        seconds = self.peer.build_lists(prepared[0], self.metric, prepared[1], command)
        return {"rows": base.shape[0], "dim": self.dim, "seconds": seconds, "build_s": seconds, "device_bytes": 0, "workspace_bytes": 0,
                "choices": len(self.peer.choices)}  # fmt: skip

    def reach(self, command: dict) -> dict:
        choice = command.get("choice", 0)
        self.peer.reach(max(command.get("probes", 0), command.get("ef", 0)), choice)
        return {"settings": self.peer.choices[choice]}

    def commands(self) -> dict:
        return {**super().commands(), "reach": self.reach}


class KMeansPeer(Peer):
    def kmeans(self, rows: np.ndarray, start: np.ndarray, iterations: int, metric: str) -> tuple[float, np.ndarray]:
        """Seconds and centroids."""
        raise NotImplementedError


class KMeansWorker(Worker):
    rows: np.ndarray | None = None
    path = ""

    def kmeans(self, command: dict) -> dict:
        if command["metric"] not in self.peer.metrics:
            raise Refused(f"no metric {command['metric']}", unsupported=True)
        if self.path != command["base"]:
            self.rows, self.path = self.peer.prepare(read_fbin(command["base"]), command["metric"]), command["base"]
        seconds, centroids = self.peer.kmeans(self.rows, read_fbin(command["start"]), command.get("iterations", 10), command["metric"])
        with open(command["to"], "wb") as out:
            np.array(centroids.shape, "<u4").tofile(out)
            np.ascontiguousarray(centroids, "<f4").tofile(out)
        return {"seconds": seconds, "iterations": command.get("iterations", 10)}

    def commands(self) -> dict:
        return {**super().commands(), "kmeans": self.kmeans}


def serve_lists(peer: ListPeer) -> None:
    answer_lines(ListWorker(peer))


def serve_kmeans(peer: KMeansPeer) -> None:
    answer_lines(KMeansWorker(peer))


__all__ = ["KMeansPeer", "ListPeer", "Refused", "seconds_of", "serve_kmeans", "serve_lists"]
