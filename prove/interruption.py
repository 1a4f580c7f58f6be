# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and its like end the run after the record has been written."""

from __future__ import annotations

import signal
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_held, _pending = 0, 0


class Interrupted(BaseException):
    def __init__(self, number: int):
        super().__init__(number)
        self.status = 128 + number


def interrupt(number: int, _frame) -> None:
    global _pending
    _pending = number
    if not _held:
        raise Interrupted(number)


@contextmanager
def held():
    """An interruption waits for the end of the block: between the start of a process and knowing it, and while the record is written."""
    global _held
    _held += 1
    before = _pending
    try:
        yield
    finally:
        _held -= 1
    if _pending != before and not _held:
        raise Interrupted(_pending)
