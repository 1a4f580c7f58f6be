# SPDX-License-Identifier: Apache-2.0
"""./nearfield prove: starts here. The driver of the benchmark (bench/driver) lends its workers, statistics and errors."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bench" / "driver")]

import command_line  # noqa: E402
import proof  # noqa: E402
import support  # noqa: E402
from errors import BenchError  # noqa: E402
from interruption import SIGNALS, Interrupted, interrupt  # noqa: E402


def main(arguments: list[str]) -> int:
    for number in SIGNALS:
        signal.signal(number, interrupt)
    try:
        checking = arguments[:1] == ["--check"]  # the launcher asks before it builds
        options = command_line.parse(arguments[1:] if checking else arguments)
        if checking:
            return 0
        if options.support:
            support.write()
            return 0
        return proof.run(options)
    except BenchError as error:
        print(f"nearfield: {error}", file=sys.stderr)
        return error.status
    except Interrupted as interrupted:
        return interrupted.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
