# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and its like end the run after the record has been written."""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    def __init__(self, number: int):
        super().__init__(number)
        self.status = 128 + number


def interrupt(number: int, _frame) -> None:
    for each in SIGNALS:  # a second Ctrl-C must not keep the first from writing the record
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)
