# SPDX-License-Identifier: Apache-2.0
"""The Java API on the same device: that it chooses it, answers the same, and what it adds to a call."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import children
import stats
import surroundings
from machine import ROOT
from phases import Absent, Failed
from session import Session
from speed import System, need_points
from worker import Worker

OLDEST = 22  # java.lang.foreign is final there
BATCHES = (1, 1000)
CARRIED = ROOT / "build" / "carry"


def home(session: Session) -> str:
    folders = (session.build.folder, CARRIED)  # the build may be of here, with only the runtime brought along
    places = [session.options.java, *(str(folder / "jre") for folder in folders), os.environ.get("JAVA_HOME")]
    found = shutil.which("java")
    if found:
        places.append(str(Path(found).resolve().parents[1]))
    seen = []
    for place in places:
        if place and os.access(f"{place}/bin/java", os.X_OK):
            version = surroundings.java_version(place)
            if version >= OLDEST:
                return place
            seen.append(f"{place} has Java {version or 'that does not start'}")
    raise Absent(f"there is no Java runtime of version {OLDEST} or later" + "".join(f"; {s}" for s in seen))


def measure(session: Session, entry: dict, seconds: float) -> str:
    class_path = session.java_class_path()
    if class_path is None:
        raise Absent("the Java classes are not here: prove/carry.sh packs them, ./nearfield bench compiles them")
    java = home(session)
    entry["java"] = surroundings.java_version(java)
    library_path = f"-Djava.library.path={session.build.lib}"
    command = [f"{java}/bin/java", "--enable-native-access=ALL-UNNAMED", library_path, "-cp", class_path]
    report = children.run([*command, "dev.nearfield.Main"], session.log("java-report"), min(60, seconds), session.environment)
    entry["report"] = report.output
    if report.status != 0:
        raise Failed(f"Accelerators.report() ended with status {report.status}: {children.last_line(report.output)}")
    # An emulator is only used when it is asked for by name.
    chosen = f"Searches run on {session.backend}:0"
    if not session.emulated and chosen not in report.output:
        raise Failed(f"Accelerators does not choose {session.backend}: {children.last_line(report.output)}")
    need_points(session)
    return _beside_native(session, entry, command, seconds - 5)


def _beside_native(session: Session, entry: dict, command: list[str], seconds: float) -> str:
    dim, k, end = min(session.data), session.shape.ks[0], time.monotonic() + seconds
    base, queries = session.data[dim]
    batches = BATCHES if not session.emulated else session.shape.batches[:1]
    entry["points"] = []
    with session.workers(seconds):
        worker = Worker("nearfield-java", [*command, "dev.nearfield.bench.Worker"], session.log("java"), session.environment)
        systems = [System("nearfield", session.ours(), "canonical"), System("nearfield-java", worker, "canonical")]
        for system in systems:
            session.hello(system.worker)
            system.worker.ask("load", base=base, metric="l2")
        for number, batch in enumerate(batches):
            for system in systems:
                system.begin(queries, batch, k, session.shape.run_seconds)
                system.worker.ask("answers", to=session.path(f"java-{system.name}"), count=batch)
            same = all(Path(session.path(f"java-nearfield.{e}")).read_bytes() == Path(session.path(f"java-nearfield-java.{e}")).read_bytes()
                       for e in ("rows", "distances"))  # fmt: skip
            if not same:
                raise Failed(f"batch {batch}: the answers through Java are not bit for bit those of the ABI")
            share = (end - time.monotonic()) / (len(batches) - number)
            until = time.monotonic() + share
            for _ in range(session.shape.rounds):
                for system in systems:
                    system.run()
                if time.monotonic() > until:
                    break
            if not session.emulated:
                native, through = (system.times() for system in systems)
                added = stats.rounded(through["p50_s"] - native["p50_s"])
                entry["points"].append({"rows": session.shape.rows, "dim": dim, "batch": batch, "k": k, "nearfield": native,
                                        "nearfield-java": through, "added_s": added})  # fmt: skip
    return f"Java {entry['java']}, batches {', '.join(map(str, batches))}: the same bits as through the ABI"
