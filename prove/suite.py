# SPDX-License-Identifier: Apache-2.0
"""Runs nearfield_suite on one column and reads what it prints with --verbose: complete even when it is ended early."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import children

# "ok      12.3 ms cuda search(metric=l2, ...)" and "-  ... : why"; main.cpp prints them.
CASE = re.compile(r"^(ok|-) +([\d.]+) ms (\S+) ((\w[\w-]*)\(.*?\))(?:: (.*))?$")
FAIL = re.compile(r"^FAIL (\S+) (([\w-]+)\(.*\))$")
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.MULTILINE)
RAN = re.compile(r"^What really ran: (.*)\.$", re.MULTILINE)
ABSENT = re.compile(r"^(\S+) is absent: (.*)$", re.MULTILINE)
MOST_FAILURES = 20  # kept in the record with their reasons


@dataclass
class Column:
    """What one column of the suite came to."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    cut_short: bool = False
    status: int = 0
    device: str = ""  # as the suite names it; empty when it was ended early
    absent: str = ""
    operations: dict[str, dict[str, list[int]]] = field(default_factory=dict)  # operation: metric: [passed, failed, not applicable]
    failures: list[str] = field(default_factory=list)

    def cell(self, operation: str, case: str) -> list[int]:
        metric = re.search(r"metric=([\w-]+)", case)
        return self.operations.setdefault(operation, {}).setdefault(metric[1] if metric else "all", [0, 0, 0])

    def as_record(self) -> dict:
        return dict(vars(self))


def read(name: str, ended: children.Ended) -> Column:
    column = Column(name, cut_short=ended.cut_short, status=ended.status)
    lines = ended.output.splitlines()
    for number, line in enumerate(lines):
        case, failure = CASE.match(line), FAIL.match(line)
        if case and case[3] == name:
            column.cell(case[5], case[4])[0 if case[1] == "ok" else 2] += 1
        elif failure and failure[1] == name:
            column.cell(failure[3], failure[2])[1] += 1
            if len(column.failures) < MOST_FAILURES:
                column.failures.append(" ".join(text.strip() for text in lines[number : number + 3]))
    cells = [cell for metrics in column.operations.values() for cell in metrics.values()]
    column.passed, column.failed, column.skipped = (sum(cell[i] for cell in cells) for i in range(3))
    counts = COUNTS.search(ended.output)
    if counts:  # the suite's own sums count what stands on no case's line, too
        column.passed, column.failed, column.skipped = int(counts[1]), int(counts[2]), int(counts[3] or 0)
    ran = RAN.search(ended.output)
    column.device = ran[1] if ran else ""
    for absent in ABSENT.finditer(ended.output):
        if absent[1] == name:
            column.absent = absent[2]
    return column


def command(build, column: str, *more: str) -> list[str]:
    return [build.program("nearfield_suite"), "--lib-dir", str(build.lib), "--backend", column, "--verbose", *more]


def run(build, column: str, log: str, seconds: float, environment: dict[str, str], *more: str) -> Column:
    required = {**environment, "NEARFIELD_REQUIRE": column}
    return read(column, children.run(command(build, column, *more), log, seconds, required))


def sentence(column: Column) -> str:
    counts = f"{column.passed} passed, {column.failed} failed, {column.skipped} not applicable"
    if column.failures:
        counts += f"; first: {column.failures[0]}"
    elif column.status != 0 and not column.cut_short:
        counts += f"; the suite ended with status {column.status}"
    return counts
