# SPDX-License-Identifier: Apache-2.0
"""torch as a careful user writes exact search, on the best device it has: distances in blocks of queries, then topk. The machine's own
torch is used: it is never installed for this."""

from __future__ import annotations

import time

import numpy as np
import torch

from worker import Peer, serve

MATRIX_BYTES = 8 << 30  # of the distances of one block of queries: a fraction of a GPU's memory
SIDE = 8192  # of the matrices whose product is timed: large enough for any GPU's peak


def _device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if getattr(torch.backends, "mps", None) is not None and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


class Torch(Peer):
    system = "torch"
    metrics = ("l2", "cosine", "dot", "manhattan")
    precisions = ("f32", "tf32", "bf16")
    precision, method, block = "f32", "matmul", 1 << 30  # tuned

    def hello(self, threads: int) -> dict:
        torch.set_num_threads(threads)
        self.tuned: dict[str, tuple[str, int]] = {}
        self.use("f32")  # as everybody in the comparison
        self.device = _device()
        kind = self.device.type
        if kind == "mps":
            self.precisions = ("f32", "bf16")  # it has no other
        name = torch.cuda.get_device_name() if kind == "cuda" else kind
        return {"version": torch.__version__, "backend": kind, "device": name, "settings": f"torch {torch.__version__} on {kind}"}

    def use(self, precision: str) -> None:
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        self.precision = precision
        self.method, self.block = self.tuned.get(precision, ("matmul", 1 << 30))

    def synchronize(self) -> None:
        if self.device.type != "cpu":
            getattr(torch, self.device.type).synchronize()

    def build(self, base: np.ndarray, metric: str) -> None:
        self.metric = metric
        self.base = torch.from_numpy(super().prepare(base, metric)).to(self.device)
        self.squares = (self.base * self.base).sum(dim=1)
        self.low = None  # base and squares in bf16, made when they are asked for
        self.synchronize()

    def prepare(self, queries: np.ndarray, metric: str) -> torch.Tensor:
        found = torch.from_numpy(super().prepare(queries, metric))
        return found.pin_memory() if self.device.type == "cuda" else found

    def tune(self, queries: torch.Tensor, k: int) -> str:
        timed = []
        for method in self._methods():
            for block in (64, 512, 4096):
                self.method, self.block = method, block
                try:
                    timed.append((min(self._seconds(queries, k) for _ in range(2)), method, block))
                except RuntimeError:  # out of memory, or not in this torch
                    continue
                if block >= len(queries):
                    break
        _, self.method, self.block = min(timed)
        self.tuned[self.precision] = self.method, self.block
        return f"{self.precision}, {self.method} and topk, blocks of {self._block()} queries"

    def _block(self) -> int:
        """What is computed at once: the tuned size, or what the memory for distances allows."""
        return max(1, min(self.block, MATRIX_BYTES // (4 * len(self.base))))

    def _methods(self) -> tuple[str, ...]:
        if self.metric == "manhattan":
            return ("cdist",)
        return ("matmul", "cdist") if self.metric == "l2" and self.precision != "bf16" else ("matmul",)

    def _seconds(self, queries: torch.Tensor, k: int) -> float:
        start = time.perf_counter()
        self.search(queries, k)
        return time.perf_counter() - start

    def search(self, queries: torch.Tensor, k: int):
        k = min(k, len(self.base))
        block = self._block()
        best = []
        for first in range(0, len(queries), block):
            part = queries[first : first + block].to(self.device, non_blocking=True)
            best.append(torch.topk(self._distances(part), k, dim=1, largest=False))
        # Copying to the host waits for the device.
        return torch.cat([b.values for b in best]).cpu(), torch.cat([b.indices for b in best]).cpu(), queries

    def _distances(self, queries: torch.Tensor) -> torch.Tensor:
        if self.method == "cdist":
            return torch.cdist(queries, self.base, p=1.0 if self.metric == "manhattan" else 2.0)
        base, squares = self.base, self.squares
        if self.precision == "bf16":
            self.low = self.low or tuple(of.to(torch.bfloat16) for of in (base, squares))
            (base, squares), queries = self.low, queries.to(torch.bfloat16)
        if self.metric == "l2":  # |q|^2 is the same for all rows: added to the k answers alone. Doubling is exact.
            return torch.addmm(squares, queries * -2, base.T)
        return queries @ base.T * -1

    def answers(self, found, metric: str):
        values, rows, queries = found
        distances = values.to(torch.float32).numpy()
        if metric == "l2":
            if self.method == "cdist":
                distances = distances * distances
            else:
                distances = np.maximum(distances + (queries * queries).sum(dim=1, keepdim=True).numpy(), 0)
        elif metric == "cosine":
            distances = 1 + distances
        return distances, rows.numpy()

    def limits(self, bytes_: int, seconds: float) -> dict:
        """Best of several: copying half of so many bytes to the other half, and products of random matrices."""
        half = torch.empty(max(1 << 20, bytes_ // 8), dtype=torch.float32, device=self.device).normal_()
        other = torch.empty_like(half)
        copied = 2 * half.numel() * 4 / self._best(lambda: other.copy_(half), seconds)
        del half, other
        rates = {"copy_bytes_per_s": copied}
        side = SIDE if self.device.type != "cpu" else SIDE // 16
        for name, kind in (("f32", torch.float32), ("bf16", torch.bfloat16)):
            a, b = (torch.empty(side, side, dtype=torch.float32, device=self.device).normal_().to(kind) for _ in range(2))
            out = torch.empty_like(a)
            rates[f"{name}_flops_per_s"] = 2 * side**3 / self._best(lambda: torch.matmul(a, b, out=out), seconds)
        return rates

    def _best(self, work, seconds: float) -> float:
        work()
        self.synchronize()
        best, end = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            work()
            self.synchronize()
            best = min(best, time.perf_counter() - start)
        return best


if __name__ == "__main__":
    serve(Torch())
