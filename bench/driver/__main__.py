# SPDX-License-Identifier: Apache-2.0
"""./nearfield bench: starts here, through the launcher, which has built what is needed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile

import everything
import flat
import ivf
import kmeans
import list_options
import list_output
import options
import output
import report
import turns
from errors import BenchError, UsageError
from machine import ROOT
from worker import Worker


class Interrupted(BaseException):
    def __init__(self, number: int):
        super().__init__(number)
        self.status = 128 + number


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(number: int, _frame) -> None:
    for each in SIGNALS:  # a second Ctrl-C must not keep the first from tidying up
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


def run_one(measure, table):
    """What a command of one workload does with its options."""

    def run(chosen: options.Flat) -> None:
        if chosen.out is not None:
            output.check_writable(chosen.out)
        outcome = in_scratch(lambda folder: measure(chosen, folder))
        output.write(output.json_text(outcome.records) if chosen.format == "json" else table(outcome), chosen.out)

    return run


def in_scratch(work):
    """Runs work(folder) with a folder for data and logs that is gone afterwards."""
    parent = ROOT / "build" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(dir=parent, prefix="run-")
    try:
        return work(folder)
    finally:
        Worker.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


# What each command checks before anything is built, and what it does.
COMMANDS = {
    "flat": (options.flat, run_one(flat.measure, output.table)),
    "scan": (options.scan, run_one(flat.measure, output.table)),
    "ivf": (list_options.ivf, run_one(ivf.measure, list_output.table)),
    "kmeans": (list_options.kmeans, run_one(kmeans.measure, list_output.kmeans)),
    "all": (options.everything, lambda chosen: everything.run(chosen, in_scratch)),
    "turns": (options.turns, lambda chosen: turns.run(chosen, in_scratch)),
    "report": (options.report, lambda chosen: report.write(chosen, ROOT)),
}


def main(arguments: list[str]) -> int:
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        if arguments in ([], ["--check"]):
            raise UsageError("bench: flat, scan, ivf, kmeans, all, turns or report? See ./nearfield bench --help")
        checking = arguments[0] == "--check"
        name, *rest = arguments[1:] if checking else arguments
        if name not in COMMANDS:
            raise UsageError(f"bench: unknown command '{name}'; see ./nearfield bench --help")
        check, run = COMMANDS[name]
        chosen = check(rest)
        if not checking:
            run(chosen)
        return 0
    except BenchError as error:
        print(f"nearfield: {error}", file=sys.stderr)
        return error.status
    except Interrupted as interrupted:
        return interrupted.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
