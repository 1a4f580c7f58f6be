# SPDX-License-Identifier: Apache-2.0
"""What all phases share: the options, the build, the scratch folder, and how a worker is started."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import phases
from building import Build
from worker import Worker

ISOTROPIC = "isotropic"  # a spectrum of rows: bench/native/spectrum.hpp
GRACE = 20  # seconds beyond its time after which a phase's workers are ended: a device may hang


@dataclass(frozen=True)
class Shape:
    """What is measured."""

    rows: int
    dims: tuple[int, ...]
    batches: tuple[int, ...]
    ks: tuple[int, ...]
    table: tuple[tuple[int, int], ...]  # batch and k, of indexes of few dimensions with codes and without
    lists: int  # of an index
    clusters: int
    iterations: int  # of a clustering
    run_seconds: float = 0.05  # a run makes as many calls as fill this
    rounds: int = 5  # at least
    limit_seconds: float = 0.3  # for each limit of the device

    @property
    def queries(self) -> int:
        return 2 * max(max(self.batches), 1000 if self.rows >= 1_000_000 else 0)


REAL = Shape(1_000_000, (128, 768), (1, 16, 200, 1000, 10_000), (10, 100, 1000),
             ((1, 10), (5, 10), (16, 10), (32, 10), (96, 10), (1000, 10), (10_000, 10), (1, 100), (1000, 100), (10_000, 100)),
             lists=1024, clusters=1024, iterations=25)  # fmt: skip
# Of the last k the lists do not fit what a kernel of CUDA may declare.
TINY = Shape(700, (8, 20), (1, 16, 40), (3, 10, 600), ((1, 3), (5, 3), (20, 3), (40, 3), (1, 40), (40, 40)), lists=8, clusters=8, iterations=2,
             run_seconds=0.0, rounds=1, limit_seconds=0.0)  # fmt: skip


@dataclass
class Session:
    options: object
    backend: str  # of the library: cuda or metal
    column: str  # of the suite: cuda, metal or cuda+simt
    folder: str  # scratch
    environment: dict[str, str]  # of everything that loads the backend
    shape: Shape
    emulated: bool
    build: Build | None = None
    device: dict = field(default_factory=dict)
    refused: str = ""  # why nothing may be recorded of the device
    smoke_cases: tuple[str, ...] = ()  # options of the suite beside --smoke
    data: dict[int, tuple[str, str]] = field(default_factory=dict)  # by dimension: .fbin of base and of queries
    spectra: dict[tuple[int, str], tuple[str, str]] = field(default_factory=dict)  # of other spectra, by dimension and name

    def log(self, name: str) -> str:
        return os.path.join(self.folder, f"{name}.log")

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def ours(self, name: str = "nearfield") -> Worker:
        assert self.build is not None
        return Worker(name, [self.build.program("nearfield_bench")], self.log(name), self.environment)

    def hello(self, worker: Worker, path: str = "") -> dict:
        """What the library says of its device, which must be of the kind that this run is about."""
        assert self.build is not None
        reply = worker.ask("hello", backend=self.backend, library=str(self.build.lib), **({"path": path} if path else {}))
        emulated = reply.get("emulated", int(self.emulated)) == 1  # the Java worker does not tell
        if emulated != self.emulated:
            self.refused = f"{reply['device']} is {'an emulator, which proves nothing of a GPU' if emulated else 'no emulator'}"
            raise phases.Failed(self.refused)
        return reply

    def dataset(self, dim: int, tool: Worker, spectrum: str = ISOTROPIC) -> tuple[str, str]:
        """Made once; later phases measure the same rows."""
        made, key = (self.data, dim) if spectrum == ISOTROPIC else (self.spectra, (dim, spectrum))
        if key not in made:
            ending = f"{dim}.fbin" if spectrum == ISOTROPIC else f"{dim}-{spectrum}.fbin"
            base, queries = self.path(f"base-{ending}"), self.path(f"queries-{ending}")
            common = {"dim": dim, "metric": "l2", "seed": 1, "spectrum": spectrum}
            tool.ask("generate", to=base, rows=self.shape.rows, **common)
            tool.ask("generate", to=queries, rows=self.shape.queries, first=self.shape.rows, **common)
            made[key] = (base, queries)
        return made[key]

    @contextmanager
    def workers(self, seconds: float):
        """The workers of a phase end with it, and soon after its time: a device that hangs must not hold the run."""
        late = threading.Event()

        def end_torch() -> None:  # a peer that hangs costs only its own figures
            for worker in list(Worker.running):
                if worker.name == "torch":
                    worker.process.kill()

        def end() -> None:
            late.set()
            for worker in list(Worker.running):
                worker.process.kill()

        timers = [threading.Timer(seconds + GRACE / 2, end_torch), threading.Timer(seconds + GRACE, end)]
        for timer in timers:
            timer.daemon = True
            timer.start()
        try:
            yield
        except Exception:
            if late.is_set():
                raise phases.Late(f"no answer for {GRACE} s beyond the {seconds:.0f} s of this phase") from None
            raise
        finally:
            for timer in timers:
                timer.cancel()
            Worker.stop_all()

    def java_class_path(self) -> str | None:
        """Of the Java worker: what prove/carry.sh packed, or what Maven compiled here."""
        root = Path(__file__).resolve().parents[1]
        folders = [self.build.folder] if self.build else []
        for folder in [*folders, root / "build" / "carry"]:
            if (folder / "java").is_dir():
                return os.pathsep.join([str(folder / "java"), *map(str, sorted((folder / "java").glob("*.jar")))])
        listed = root / "bench" / "java" / "target" / "classpath.txt"
        if not listed.exists():
            return None
        return f"{listed.parent / 'classes'}{os.pathsep}{listed.read_text(encoding='utf-8').strip()}"
