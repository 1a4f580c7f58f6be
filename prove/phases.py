# SPDX-License-Identifier: Apache-2.0
"""Phases in turn, each with its share of the time, each recorded whatever becomes of it."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from typing import Callable

from errors import BenchError, say

PASSED, FAILED, ABSENT, CUT_SHORT, LEFT_OUT, INTERRUPTED = "passed", "failed", "absent", "cut short", "left out", "interrupted"

ALWAYS = ("build", "device")  # all other phases need them
LEAST = 0.5  # seconds in which no phase can come to anything


class Absent(Exception):
    """What the phase needs is not here; its text is the sentence for the record."""


class CutShort(Exception):
    """The time was not enough; what was found so far is in the entry."""


class Failed(Exception):
    pass


class Late(Failed):
    """A worker was ended long after the time of its phase: the device hangs, or is far slower than thought."""


@dataclass
class Phase:
    name: str
    title: str
    least: float  # seconds kept for it by the phases before
    most: float
    work: Callable  # work(entry, seconds): fills its entry of the record; answers a sentence


class Clock:
    def __init__(self, seconds: float):
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        return self.end - time.monotonic()


def carry_out(phases: list[Phase], wanted: Callable[[str], bool], clock: Clock, entries: list[dict], save: Callable,
              ended: Callable) -> None:
    """One entry per phase in `entries`; save() after each change, ended(entry, when it began) after each phase."""
    for number, phase in enumerate(phases):
        entry = {"name": phase.name, "title": phase.title, "outcome": INTERRUPTED, "sentence": "", "seconds": 0.0}
        entries.append(entry)
        if not wanted(phase.name):
            entry.update(outcome=LEFT_OUT, sentence="not asked for")
            save()
            continue
        later = sum(other.least for other in phases[number + 1 :] if wanted(other.name))
        # Where there is not enough for all, each gives way alike.
        kept = later * min(1.0, clock.left() / (phase.least + later))
        allowed = min(phase.most, clock.left() - kept)
        if allowed < LEAST:
            entry.update(outcome=CUT_SHORT, sentence="no time was left for it")
            save()
            continue
        entry["allowed_s"] = round(allowed, 1)
        save()
        say(f"{phase.title} (at most {allowed:.0f} s)")
        begun, when = time.monotonic(), time.time()
        try:
            entry.update(sentence=phase.work(entry, allowed) or "", outcome=PASSED)
        except Absent as absent:
            entry.update(outcome=ABSENT, sentence=str(absent))
        except CutShort as short:
            entry.update(outcome=CUT_SHORT, sentence=str(short))
        except (Failed, BenchError) as failed:
            entry.update(outcome=FAILED, sentence=str(failed))
        except Exception as error:  # a mistake in here must not lose what the others find
            entry.update(outcome=FAILED, sentence=f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
        finally:
            entry["seconds"] = round(time.monotonic() - begun, 1)
            ended(entry, when)
            save()
        say(f"  {entry['outcome']}{': ' if entry['sentence'] else ''}{entry['sentence']}")
