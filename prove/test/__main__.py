# SPDX-License-Identifier: Apache-2.0
"""Tests of ./nearfield prove: `python3 prove/test [NAME...]`, NAME as in test_phases.PhasesTest. They need the release build (its CPU
and planted backends stand for a GPU's) and a C compiler. The last line is `N passed, N failed[, N skipped]`."""

import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "bench" / "driver")]


def main() -> int:
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromNames(sys.argv[1:]) if len(sys.argv) > 1 else loader.discover(str(HERE))
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    passed = result.testsRun - len({str(test) for test, _ in result.failures + result.errors}) - skipped
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not result.testsRun else 0


sys.exit(main())
