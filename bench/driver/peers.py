# SPDX-License-Identifier: Apache-2.0
"""The peers: how each is installed, and the settings among which the best for a workload is looked for."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from errors import BenchError, say
from machine import ROOT, cpu_flags
from options import KMEANS_PEERS, LIST_PEERS
from worker import Worker, WorkerFailed

FOLDER = ROOT / "bench" / "peers"
INSTALLED = ROOT / "build" / "bench" / "python"
OWN = ("torch",)  # the machine's own, never installed: its wheels are gigabytes and fit one driver
DEFAULT = "-default"  # after a peer's name: as it comes
THREADS = "-threads"  # likewise: called with as many queries as threads, whatever the batch of the others
GRAPHS = ("hnswlib", "usearch-hnsw")  # look as far as their ef says, not into lists
PACKAGES = {"panorama": "faiss", "faiss-sq8": "faiss", "usearch-hnsw": "usearch",  # of peers whose own name is no package's
            **{name: "faiss" for name in LIST_PEERS + KMEANS_PEERS if name.startswith("faiss-")}}  # fmt: skip
APPROXIMATE = ("faiss-sq8", "faiss-ivfsq8")  # their distances are those to rows that were rounded: only the recall is judged
REFINED = ("faiss-ivfsq8", "faiss-ivfrabitq")  # keep f32 rows beside their codes
PARTIAL = ("panorama", "panorama-threads", "faiss-sq8")  # do not read every f32 coordinate: the least time for that is none of theirs
# Settings are compared on a part of the base: seconds instead of minutes. Small batches are bound by memory, and take enough
# rows to be so there, too.
TUNE_ROWS, TUNE_PAIRS = 100_000, 100_000_000
# Cores of OpenBLAS whose f32 kernels and blocks are SkylakeX's: they add bf16's alone (its kernel/x86_64/KERNEL.SAPPHIRERAPIDS includes the others').
SKYLAKEX = frozenset(("SkylakeX", "Cooperlake", "SapphireRapids"))
TUNE_BATCH = 2000  # of larger batches this many: twice as many take twice the time, whatever the setting


class NotInstalled(BenchError):
    pass


def install(name: str) -> Path:
    """Installs bench/peers/requirements-NAME.txt, each file in a folder of its own, so that one that fails harms no other."""
    requirements = FOLDER / f"requirements-{name}.txt"
    stamp = hashlib.sha256(requirements.read_bytes() + f"{sys.version}{platform.machine()}".encode()).hexdigest()
    folder = INSTALLED / f"{name}-{stamp[:16]}"
    if folder.is_dir():
        return folder
    # What has no wheels is built here, with pinned tools as well.
    builder = install(f"{name}-build") if (FOLDER / f"requirements-{name}-build.txt").exists() else None
    built = ["--no-binary", name, "--no-build-isolation"] if builder else []
    say(f"Installing {name} with pip")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=INSTALLED, prefix=f"{name}-new-") as new:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
                   "--require-hashes", "--only-binary", ":all:", *built, "--target", f"{new}/site", "-r", str(requirements)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore", **({"PYTHONPATH": str(builder)} if builder else {})})  # fmt: skip
        if done.returncode != 0:
            lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or [f"status {done.returncode}"]
            raise NotInstalled(f"{name} could not be installed: {errors[0].removeprefix('ERROR: ').strip()}")
        for old in INSTALLED.glob(f"{name}-*"):
            if len(old.name) == len(folder.name) and "new-" not in old.name:
                shutil.rmtree(old, ignore_errors=True)
        os.rename(f"{new}/site", folder)
    return folder


@functools.cache
def detected_cores(package: str) -> frozenset[str]:
    """The kernels that OpenBLAS chooses here by itself: it names them when it is loaded. faiss brings one of its own beside numpy's."""
    done = subprocess.run([sys.executable, "-c", f"import {package}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(install(package)), "OPENBLAS_VERBOSE": "2"})  # fmt: skip
    return frozenset(re.findall(r"^Core: (\w+)$", done.stdout, re.MULTILINE))


def _blas(package: str, path: str) -> list[dict[str, str]]:
    """OpenBLAS picks kernels by the CPU's model, and falls back to older ones on models it does not know."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return [{}]
    if path == "avx2":
        return [{"OPENBLAS_CORETYPE": "Haswell"}, {"OPENBLAS_CORETYPE": "Zen"}]
    if "avx512f" not in cpu_flags():
        return [{}, {"OPENBLAS_CORETYPE": "Haswell"}]
    found = detected_cores(package) if package not in OWN else frozenset()
    if found and found <= SKYLAKEX:
        return [{}]  # the other would be the same, and take as long to tune
    return [{}, {"OPENBLAS_CORETYPE": "SkylakeX"}]


def system_of(name: str) -> str:
    """The peer without what is said of how it is called."""
    return name.removesuffix(DEFAULT).removesuffix(THREADS)


def package_of(name: str) -> str:
    return PACKAGES.get(system_of(name), system_of(name))


def copies(names: tuple[str, ...]) -> int:
    """Of the base, that these peers hold: Panorama has the rotated rows beside its index while it is tuned."""
    return sum(2 if system_of(name) in REFINED + ("panorama", "faiss-ivfpanorama") else 1 for name in names)


def family(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The peers of that name, or whose package it is."""
    return tuple(name for name in known if text in (name, package_of(name)))


def batch_of(name: str, batch: int, threads: int) -> int:
    return threads if name.endswith(THREADS) else batch


def variants(name: str, path: str) -> list[dict[str, str]]:
    """Environments to compare: they hold from the start of a process on."""
    forced = {"faiss": {"FAISS_SIMD_LEVEL": "AVX2"}, "numpy": {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}}
    package = package_of(name)
    common = forced.get(package, {}) if path == "avx2" else {}
    trains = name in LIST_PEERS + KMEANS_PEERS and name not in GRAPHS
    if name == "usearch" or name in GRAPHS or (system_of(name) in PACKAGES and not trains):
        return [common]  # chooses its kernels itself, and multiplies no matrices of rows
    if name.endswith(DEFAULT):
        return [{**common, **(_blas(package, path)[0] if path else {})}]
    return [{**common, **blas} for blas in _blas(package, path)]


def start(name: str, threads: int, environment: dict[str, str], log: str) -> Worker:
    package = package_of(name)
    script = FOLDER / f"{system_of(name).replace('-', '_')}_worker.py"
    site = [str(install(package))] if package not in OWN else []
    site += [os.environ["PYTHONPATH"]] if package in OWN and os.environ.get("PYTHONPATH") else []
    count = str(threads)
    return Worker(name, [sys.executable, str(script)], log, {
        "PYTHONPATH": os.pathsep.join(site),
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "OMP_WAIT_POLICY": "passive",  # an idle peer leaves the cores to whose turn it is,
        "OPENBLAS_THREAD_TIMEOUT": "4",  # and so do the threads of numpy's OpenBLAS, which spin for 35 ms otherwise
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # huge pages for its rows, as we have them for ours
        **environment,
    })  # fmt: skip


def tune_rows(batch: int) -> int:
    return max(TUNE_ROWS, TUNE_PAIRS // batch)


def _tune(worker: Worker) -> str:
    try:
        tuned = worker.ask("tune")["settings"]
    except WorkerFailed as refused:
        if not refused.unsupported:
            raise
        return ""
    return f", {tuned}" if tuned else ""


def _chosen(name: str, path: str, threads: int, log: str, trial) -> tuple[Worker, dict, str]:
    """The worker with the environment in which trial(worker, about, is_compared) took the fewest seconds, what it said of itself, and the
    settings in words. The trial answers both; where there is nothing to compare with, the seconds are nothing."""
    chosen: tuple[float, Worker, dict, str] | None = None
    failure: WorkerFailed | None = None
    candidates = variants(name, path)
    for environment in candidates:
        worker = start(name, threads, environment, log)
        try:
            about = worker.ask("hello", threads=threads)
            seconds, settings = trial(worker, about, len(candidates) > 1)
        except WorkerFailed as failed:
            failure = failed
            worker.stop()
            continue
        if chosen is not None and chosen[0] <= seconds:
            worker.stop()
            continue
        if chosen is not None:
            chosen[1].stop()
        chosen = (seconds, worker, about, settings)
    if chosen is None:
        raise failure
    return chosen[1:]


def fastest(name: str, path: str, threads: int, log: str, trial) -> tuple[Worker, dict]:
    """The worker with the environment in which trial(worker) took the fewest seconds, and what it said of itself."""

    def timed(worker: Worker, about: dict, is_compared: bool) -> tuple[float, str]:
        return (trial(worker) if is_compared else 0), about["settings"]

    return _chosen(name, path, threads, log, timed)[:2]


def _best_run(worker: Worker) -> float:
    """Of three; a run of a second is long enough alone."""
    best = worker.ask("run")["seconds"]
    for _ in range(2 if best < 1 else 0):
        best = min(best, worker.ask("run")["seconds"])
    return best


def best(name: str, path: str, threads: int, log: str, sample: dict, workload: dict) -> tuple[Worker, dict, str]:
    """The worker with the best settings for this workload, what it said of itself, and the settings in words."""

    def timed(worker: Worker, about: dict, is_compared: bool) -> tuple[float, str]:
        worker.ask("load", **sample)
        worker.ask("workload", **workload)
        settings = about["settings"] + (", not tuned" if name.endswith(DEFAULT) else _tune(worker))
        return (_best_run(worker) if is_compared else 0), settings

    return _chosen(name, path, threads, log, timed)
