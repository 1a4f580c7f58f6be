# SPDX-License-Identifier: Apache-2.0
"""How the benchmark ends early; the launcher's exit statuses."""


class BenchError(Exception):
    """Ends the run with one sentence."""

    status = 1


class UsageError(BenchError):
    """Wrong options, or a file that is not what it was given as."""

    status = 2


class Missing(BenchError):
    """Something that this machine lacks."""

    status = 3


def say(sentence: str) -> None:
    """Progress, to stderr: stdout is for the answer."""
    import sys

    print(sentence, file=sys.stderr, flush=True)
