#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requires that the cases of the suite's default run catch every planted fault, and that they pass without one.

  faults_test.py SUITE LIB_DIR [--only TEXT] [--all]

--only TEXT: faults whose name contains it. --all: whatever catches a fault first in its columns, for finding the cases to name.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

from faults import FAULTS

COUNTS = re.compile(r"^(\d+) passed, (\d+) failed", re.M)


def run(suite, libraries, column, case, fault=""):
    environment = dict(os.environ, NEARFIELD_PLANTED=fault)
    environment.pop("NEARFIELD_REQUIRE", None)
    environment.pop("NEARFIELD_TEST_FULL", None)
    done = subprocess.run([suite, "--quick", "--fail-fast", "--lib-dir", libraries, "--backend", column, "--case", case],
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    counts = COUNTS.findall(done.stdout)
    passed, failed = map(int, counts[-1]) if counts else (0, 0)
    return done.returncode, passed, failed, done.stdout


def what_failed(output):
    """The case, and what it said."""
    lines = output.splitlines()
    for i, line in enumerate(lines):
        if line.startswith("FAIL "):
            return line[5:] + (": " + lines[i + 1].strip()[:160] if i + 1 < len(lines) else "")
    return "nothing"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("libraries")
    parser.add_argument("--only", default="")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    names = subprocess.run([options.suite, "--quick", "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    chosen = [f for f in FAULTS if options.only in f.name]
    passed = failed = 0

    def expect(holds, text):
        nonlocal passed, failed
        passed, failed = passed + holds, failed + (not holds)
        print(("ok   " if holds else "FAIL ") + text, flush=True)

    def caught(fault, column, case, runs):
        for _ in range(runs):
            code, _, failures, output = run(options.suite, options.libraries, column, case, fault.name)
            # A crash is caught, too: a default run would end there.
            holds = (code == 1 and failures > 0) or code < 0 or code > 2
            if holds:
                break
        how = what_failed(output) if code == 1 else f"the suite ended with {code}"
        return holds, f"{fault.name}, {column} --case '{case}': " + (how if holds else f"not caught, exit {code}")

    def clean(column, case):
        code, passes, failures, output = run(options.suite, options.libraries, column, case)
        holds = code == 0 and passes > 0 and failures == 0
        return holds, f"no fault, {column} --case '{case}': exit {code}, {passes} passed, {what_failed(output)} failed"

    pairs = [(f, column, "" if options.all else case) for f in chosen for column, case in f.caught]
    for fault, column, case in pairs:
        if case not in names:
            expect(False, f"{fault.name}: no case of the default run contains '{case}'")
    with concurrent.futures.ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(caught, *pair, 2) for pair in pairs]
        if not options.all:
            jobs += [pool.submit(clean, *pair) for pair in dict.fromkeys((column, case) for _, column, case in pairs)]
        results = [job.result() for job in jobs]
    # Whether two workers meet is up to the system, and how a GPU cuts its work to how busy the machine is: what was not caught beside
    # others is tried alone.
    for i, pair in enumerate(pairs):
        if not results[i][0]:
            results[i] = caught(*pair, 20)
    for result in results:
        expect(*result)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
