# SPDX-License-Identifier: Apache-2.0
"""The phases of a proof, and the record they fill."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import building
import clustering
import codes
import java_api
import kernel_events
import kernel_times
import list_searches
import phases
import record
import sanitizers
import session as sessions
import speed
import suite
import support
import surroundings
import units
from errors import Missing, say
from interruption import Interrupted, held
from machine import ROOT
from phases import Absent, CutShort, Failed, Phase
from session import Session
from worker import Worker

TAIL = 16_000  # characters of each log of a phase that failed, kept in the record: the machine may be gone tomorrow


def run(options) -> int:
    clock, status = phases.Clock(options.seconds), 1  # what comes before the phases takes of their time
    session, about = _session(options, clock)
    if "absent" in about:
        if options.rehearse:
            raise Missing(f"the emulated driver cannot be used: {about['absent']}")
        say(_not_proven(session.backend, about["absent"], options))
        return 3
    session.folder = tempfile.mkdtemp(dir=ROOT / "build", prefix="proof-")
    written = record.begin(session, options)
    written.device({**about, "name": about.get("name", session.backend)})  # from now on a killed run leaves a record
    try:
        phases.carry_out(_phases(session, about, written), lambda name: name in phases.ALWAYS or name in options.only, clock, written.phases,
                         written.save, lambda entry, begun: _keep_logs(session, entry, begun))  # fmt: skip
        status = written.finish("complete")
    except Interrupted as interrupted:
        with held():
            written.finish("interrupted")
        status = interrupted.status
    finally:
        with held():
            Worker.stop_all()
            shutil.rmtree(session.folder, ignore_errors=True)
    if options.out is None and not options.rehearse:
        support.write()
    sys.stdout.write(written.markdown())
    say(f"Written: {written.path}.json and .md")
    return status


def _session(options, clock: phases.Clock) -> tuple[Session, dict]:
    """The session, and what the driver says before anything is built."""
    backend = "metal" if sys.platform == "darwin" else "cuda"
    (ROOT / "build").mkdir(exist_ok=True)
    environment, column, shape = {}, backend, sessions.REAL
    if options.rehearse:
        backend, column, shape = "cuda", "cuda+simt", sessions.TINY
        folder = Path(options.build or ROOT / "build" / "release").resolve() / "simt" / "cuda"
        if not (folder / "libcuda.so.1").exists():
            raise Missing(f"the emulated driver {folder}/libcuda.so.1 is not built; start through ./nearfield prove --rehearse")
        environment = {"LD_LIBRARY_PATH": surroundings.library_path(str(folder))}
    about = surroundings.cuda_device(environment, False, clock.left()) if backend == "cuda" else {}
    session = Session(options, backend, column, "", environment, shape, options.rehearse)
    return session, about


def _not_proven(backend: str, reason: str, options) -> str:
    shape = sessions.REAL
    count = len(shape.dims) * len(shape.batches) * len(shape.ks)
    what = {"device": "that the library finds the device", "units": "that the matrix units sum as the certificates count on",
            "suite": f"the test suite on {backend}",
            "speed": f"the speed of {count} workloads beside torch and the device's own limits", "kernels": "kernel times by Nsight Compute", "events": "kernel times",
            "codes": "that searches by int8 codes, and many at a time, have the bits of the direct form, and how fast they are beside torch",
            "lists": "that exact searches through lists have those bits, and the speed and recall of others", "kmeans": "k-means",
            "memcheck": "no access out of bounds (memcheck)", "racecheck": "no race (racecheck)",
            "wgpu": "the WebGPU kernels on a real GPU", "java": "the Java API on the device"}  # fmt: skip
    lines = [f"There is no GPU to prove {backend} on: {reason}. Not proven:"]
    lines += [f"  {what[name]}" for name in options.only]
    return "\n".join(lines + ["./nearfield prove --rehearse tries the script out on the emulator."])


def _phases(session: Session, about: dict, written) -> list[Phase]:
    """That it is right comes before how fast it is."""
    slow = session.emulated
    return [
        Phase("build", "Build", 5, 600 if slow else 170, lambda entry, s: _build(session, about, entry, s)),
        Phase("device", "The device", 5, 30, lambda entry, s: _device(session, entry, s, written)),
        Phase("units", "Sums of the matrix units", 5, 60, _on_device(session, units.check)),
        Phase("suite", f"Test suite on {session.column}", 60, 600 if slow else 110, _on_device(session, _suite)),
        Phase("memcheck", "memcheck over the small cases", 25, 70, _on_device(session, partial(sanitizers.check, "memcheck"))),
        Phase("racecheck", "racecheck over the small cases", 25, 70, _on_device(session, partial(sanitizers.check, "racecheck"))),
        Phase("wgpu", "Test suite on wgpu, the vendor's Vulkan", 20, 60, _on_device(session, _wgpu)),
        Phase("speed", "Speed", 100, 400 if slow else 170, _on_device(session, partial(speed.measure, save=written.save))),
        Phase("codes", "Codes, rows and torch", 55, 500 if slow else 130, _on_device(session, partial(codes.measure, save=written.save))),
        Phase("lists", "Lists", 25, 300 if slow else 70, _on_device(session, partial(list_searches.measure, save=written.save))),
        Phase("kmeans", "k-means", 10, 100 if slow else 40, _on_device(session, clustering.measure)),
        Phase("events", "Kernel times by events", 30, 300 if slow else 60, _on_device(session, partial(kernel_events.measure, save=written.save))),
        Phase("kernels", "Kernel times by ncu", 10, 40, _on_device(session, kernel_times.measure)),
        Phase("java", "Java API", 15, 120 if slow else 40, _on_device(session, java_api.measure)),
    ]


def _build(session: Session, about: dict, entry: dict, seconds: float) -> str:
    session.build = building.find(session.options, session.backend, about.get("compute_capability", ""), entry, seconds,
                                  session.log("build"))  # fmt: skip
    if "build_failed" in entry:
        raise Failed(f"{entry['build_failed']}; went on with {entry['from']}")
    return f"{session.build.folder}" if entry["from"] != "built here" else "built here"


def _need_build(session: Session) -> None:
    if session.build is None:
        raise Absent("there is no build")


def _on_device(session: Session, work):
    """The work of a phase that needs the build, and the kind of device that this run is about."""

    def guarded(entry: dict, seconds: float) -> str:
        _need_build(session)
        if session.refused:
            raise Absent(session.refused)
        return work(session=session, entry=entry, seconds=seconds)

    return guarded


def _device(session: Session, entry: dict, seconds: float, written) -> str:
    _need_build(session)
    end = time.monotonic() + seconds
    with session.workers(seconds):
        hello = session.hello(session.ours())
    driver = {} if session.backend == "metal" else surroundings.cuda_device(session.environment, True, end - time.monotonic())
    session.device = {**driver, "name": hello["device"], "driver": hello["driver"], "emulated": session.emulated}
    entry["library"] = hello["version"]
    written.device(session.device)
    return f"{hello['device']}, {hello['driver']}" + (", emulated" if session.emulated else "")


def _suite(session: Session, entry: dict, seconds: float) -> str:
    more = ("--smoke",) + session.smoke_cases if session.emulated else ()
    column = suite.run(session.build, session.column, session.log("suite"), seconds, session.environment, *more)
    entry["suite"] = column.as_record()
    if column.failed or (column.status != 0 and not column.cut_short):
        raise Failed(suite.sentence(column))
    if column.cut_short:
        raise CutShort(f"{suite.sentence(column)} when the time was over")
    return suite.sentence(column)


def _wgpu(session: Session, entry: dict, seconds: float) -> str:
    if session.emulated:
        raise Absent("an emulator has no Vulkan")
    if not session.build.library("wgpu").exists():
        raise Absent(f"{session.build.library('wgpu')} was not brought along; it cannot be built without pip")
    environment = {}
    if session.backend == "cuda":
        environment, reason = surroundings.vulkan()
        if reason:
            raise Absent(reason)
    column = suite.run(session.build, "wgpu", session.log("wgpu"), seconds, environment)
    entry["suite"] = column.as_record()
    if column.absent:
        raise Absent(column.absent)
    if column.failed or (column.status != 0 and not column.cut_short):
        raise Failed(suite.sentence(column))
    if column.cut_short:
        raise CutShort(f"{suite.sentence(column)} when the time was over")
    return f"{column.device}: {suite.sentence(column)}"


def _keep_logs(session: Session, entry: dict, begun: float) -> None:
    if entry["outcome"] not in (phases.FAILED, phases.CUT_SHORT):
        return
    entry["logs"] = {}
    for log in sorted(Path(session.folder).glob("*.log*")):
        if log.suffix != ".in" and log.stat().st_mtime >= begun:
            entry["logs"][log.name] = log.read_text(encoding="utf-8", errors="replace")[-TAIL:]


