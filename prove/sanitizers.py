# SPDX-License-Identifier: Apache-2.0
"""The vendor's checkers over the suite's small cases: compute-sanitizer for CUDA, shader validation for Metal."""

from __future__ import annotations

import re

import children
import suite
import surroundings
from phases import Absent, CutShort, Failed

# "ERROR SUMMARY: 0 errors" of memcheck; "RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)" of racecheck.
SUMMARY = {"memcheck": re.compile(r"ERROR SUMMARY: (\d+) error"), "racecheck": re.compile(r"RACECHECK SUMMARY: (\d+) hazard")}
FINDING = re.compile(r"^=+ +(Invalid .*|.*Error: .*hazard.*|.*hazard detected.*|Program hit .*)$", re.MULTILINE)
# The tool does not know the device, or may not look at it (a virtual GPU, a container); 999 is CUDA_ERROR_UNKNOWN.
UNSUPPORTED = re.compile(r"^.*(Device not supported|[Ee]rror:? \(?999\b).*$", re.MULTILINE)
# The driver calls that ask for what a device lacks are answered by an error that is handled: no fault.
COMMON = ("--target-processes", "all", "--report-api-errors", "no", "--print-limit", "20")
TOOLS = {"memcheck": ("--leak-check", "no"), "racecheck": ()}


def check(tool: str, session, entry: dict, seconds: float) -> str:
    small = ("--smoke",) + session.smoke_cases
    if session.backend == "metal":
        return _metal(tool, session, entry, seconds, small)
    program = surroundings.tool("compute-sanitizer")
    if program is None:
        raise Absent("compute-sanitizer is not here")
    entry["tool"] = surroundings.output(program, "--version").splitlines()[-1:]
    command = [program, "--tool", tool, *COMMON, *TOOLS[tool], *suite.command(session.build, session.backend, *small)]
    ended = children.run(command, session.log(tool), seconds, {**session.environment, "NEARFIELD_REQUIRE": session.backend})
    column = suite.read(session.backend, ended)
    entry["suite"] = column.as_record()
    found = SUMMARY[tool].findall(ended.output)
    entry["faults"] = int(found[-1]) if found else None
    entry["first_faults"] = [line.strip() for line in FINDING.findall(ended.output)][: suite.MOST_FAILURES]
    return _judge(tool, entry, column, ended)


def _judge(tool: str, entry: dict, column: suite.Column, ended: children.Ended) -> str:
    cannot = UNSUPPORTED.search(ended.output)
    if cannot and column.passed == 0 and not entry["first_faults"]:  # the suite then fails for want of a device, too
        raise Absent(f"{tool} cannot look at this device: {cannot[0].strip('= ')}")
    if entry["first_faults"] or entry["faults"]:
        first = f": {entry['first_faults'][0]}" if entry["first_faults"] else ""
        raise Failed(f"{tool} found {entry['faults'] or len(entry['first_faults'])} faults{first}")
    if column.failed:
        raise Failed(f"under {tool} {suite.sentence(column)}")
    if ended.cut_short:
        raise CutShort(f"no fault in the {column.passed} cases that there was time for")
    if entry["faults"] is None or column.passed == 0:
        raise Failed(f"{tool} ended with status {ended.status} and no summary: {children.last_line(ended.output)}")
    return f"0 faults in {column.passed} cases"


def _metal(tool: str, session, entry: dict, seconds: float, small: tuple[str, ...]) -> str:
    """Apple's shader validation finds accesses out of bounds; it has no check for races."""
    if tool != "memcheck":
        raise Absent("Metal has no checker for races")
    entry["tool"] = ["Metal shader validation"]
    checking = {**session.environment, "MTL_DEBUG_LAYER": "1", "MTL_SHADER_VALIDATION": "1", "NEARFIELD_REQUIRE": "metal"}
    ended = children.run(suite.command(session.build, "metal", *small), session.log(tool), seconds, checking)
    column = suite.read("metal", ended)
    entry["suite"] = column.as_record()
    entry["first_faults"] = [line for line in ended.output.splitlines() if "Invalid device" in line or "validation" in line.lower()
                             and "error" in line.lower()][: suite.MOST_FAILURES]  # fmt: skip
    entry["faults"] = len(entry["first_faults"])
    return _judge(tool, entry, column, ended)
