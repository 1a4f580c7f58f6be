# SPDX-License-Identifier: Apache-2.0
"""The command line, checked before anything is built or started."""

from __future__ import annotations

import os
from dataclasses import dataclass

from errors import UsageError

PHASES = ("device", "units", "suite", "memcheck", "racecheck", "wgpu", "speed", "codes", "lists", "kmeans", "events", "kernels", "java")
DEFAULT_SECONDS = 460  # under eight minutes with what starting and writing take
REHEARSAL_SECONDS = 1200  # an emulator on two slow cores


@dataclass
class Options:
    out: str | None = None
    build: str | None = None
    java: str | None = None
    seconds: float = 0.0
    only: tuple[str, ...] = PHASES
    rehearse: bool = False
    support: bool = False


def parse(arguments: list[str]) -> Options:
    options, given, at = Options(), set(), 0
    while at < len(arguments):
        name, equals, value = arguments[at].partition("=")
        at += 1
        if name in ("--rehearse", "--support"):
            if equals:
                raise UsageError(f"prove: {name} takes no value")
            setattr(options, name[2:], True)
            given.add(name)
            continue
        if name not in ("--out", "--build", "--java", "--seconds", "--only"):
            raise UsageError(f"prove: unknown option '{name}'; see ./nearfield prove --help")
        if not equals:
            if at == len(arguments):
                raise UsageError(f"prove: {name} takes a value; see ./nearfield prove --help")
            value = arguments[at]
            at += 1
        if value == "":
            raise UsageError(f"prove: {name} is empty")
        given.add(name)
        setattr(options, name[2:], _CHECKS.get(name, lambda text: text)(value))
    if options.support and len(given) > 1:
        raise UsageError("prove: --support stands alone, it only makes docs/support.md again")
    _check_folders(options)
    options.seconds = options.seconds or (REHEARSAL_SECONDS if options.rehearse else DEFAULT_SECONDS)
    return options


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise UsageError(f"prove: --seconds={text} is no number") from None
    if not 1 <= seconds <= 86400:
        raise UsageError(f"prove: --seconds={text}, it must be from 1 to 86400")
    return seconds


def _only(text: str) -> tuple[str, ...]:
    names = text.split(",")
    for name in names:
        if name not in PHASES:
            raise UsageError(f"prove: --only={text}: there is no phase '{name}'; there are {', '.join(PHASES)}")
    return tuple(name for name in PHASES if name in names)


_CHECKS = {"--seconds": _seconds, "--only": _only}


def _check_folders(options: Options) -> None:
    if options.build is not None and not os.path.isdir(os.path.join(options.build, "lib")):
        raise UsageError(f"prove: --build={options.build} has no folder lib")
    if options.java is not None and not os.access(os.path.join(options.java, "bin", "java"), os.X_OK):
        raise UsageError(f"prove: --java={options.java} has no bin/java")
    if options.out is not None:
        folder = os.path.abspath(options.out)
        while not os.path.exists(folder):
            folder = os.path.dirname(folder)
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise UsageError(f"prove: --out={options.out}: {folder} is {'not writable' if os.path.isdir(folder) else 'no folder'}")
