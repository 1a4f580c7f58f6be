# SPDX-License-Identifier: Apache-2.0
"""Programs with a limit of time, whose output so far is kept when they are ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass

import interruption


STUCK = -1000
PATIENCE = 5  # seconds for an end; a process inside a driver that hangs may survive SIGKILL, and must not hold the run
# Of compilers, ptxas ("ptxas error   :"), nvcc ("nvcc fatal   :"), CMake and Ninja.
ERROR = re.compile(r"\berror *:|\bfatal *:|CMake Error|\bFAILED\b")


@dataclass
class Ended:
    status: int  # negative: the signal; STUCK: it did not end at all
    output: str  # stdout and stderr together
    cut_short: bool  # it took all its time and was ended


def run(command: list[str], log: str, seconds: float, environment: dict[str, str] | None = None,
        stdin: str = "", folder: str | None = None) -> Ended:
    """Leads a process group of its own, all of which is ended with it, also when this program is interrupted."""
    process, cut_short = None, False
    try:
        with interruption.held(), open(log, "wb") as out, open(log + ".in", "w+", encoding="utf-8") as words:
            words.write(stdin)
            words.seek(0)
            process = subprocess.Popen(command, stdin=words, stdout=out, stderr=subprocess.STDOUT, cwd=folder,
                                       env={**os.environ, **(environment or {})}, start_new_session=True)  # fmt: skip
        process.wait(timeout=max(0.1, seconds))
    except subprocess.TimeoutExpired:
        cut_short = True
    finally:
        if process is not None and process.poll() is None:
            with interruption.held():
                _end(process)
    with open(log, encoding="utf-8", errors="replace") as text:
        return Ended(STUCK if process.returncode is None else process.returncode, text.read(), cut_short)


def _end(process: subprocess.Popen) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
        try:
            process.wait(timeout=PATIENCE)
            return
        except subprocess.TimeoutExpired:
            continue


def first_error(output: str) -> str:
    """The line that names the cause: what follows it is often only that something stopped."""
    found = next((line.strip() for line in output.splitlines() if ERROR.search(line)), "")
    return found or last_line(output)


def last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
