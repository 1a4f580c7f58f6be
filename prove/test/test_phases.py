# SPDX-License-Identifier: Apache-2.0
"""Phases, their time and what is kept of them; children and their end."""

import os
import signal
import sys
import threading
import time
import unittest

import children
import phases
from errors import BenchError
from interruption import Interrupted
from phases import Absent, Clock, CutShort, Failed, Phase
from stand_ins import StandInTest


def carry_out(works: dict, seconds: float = 100, wanted=lambda name: True, least: float = 1) -> tuple[list, list]:
    entries, saves = [], []
    save = lambda: saves.append([dict(e) for e in entries])  # noqa: E731
    list_of = [Phase(name, name, least, 50, work) for name, work in works.items()]
    try:
        phases.carry_out(list_of, wanted, Clock(seconds), entries, save, lambda entry, begun: None)
    except Interrupted:
        pass
    return entries, saves


def throwing(error: BaseException):
    def work(_entry, _seconds):
        raise error

    return work


class PhasesTest(unittest.TestCase):
    def test_each_outcome_is_kept_and_the_next_goes_on(self):
        works = {"good": lambda e, s: "fine", "none": throwing(Absent("no tool")), "short": throwing(CutShort("2 of 3")),
                 "bad": throwing(Failed("wrong")), "worse": throwing(BenchError("died")), "mine": throwing(KeyError("x")),
                 "last": lambda e, s: None}  # fmt: skip
        entries, _ = carry_out(works)
        self.assertEqual([e["outcome"] for e in entries], ["passed", "absent", "cut short", "failed", "failed", "failed", "passed"])
        self.assertEqual(entries[5]["sentence"], "KeyError: 'x'")
        self.assertIn("Traceback", entries[5]["traceback"])

    def test_interrupted_is_what_stands_there_meanwhile(self):
        entries, saves = carry_out({"first": lambda e, s: "done", "second": throwing(Interrupted(2)), "third": lambda e, s: ""})
        self.assertEqual([e["outcome"] for e in entries], ["passed", "interrupted"])
        self.assertEqual([e["outcome"] for e in saves[-1]], ["passed", "interrupted"])
        # Saved before it ran, so that a killed run says so, too.
        self.assertIn(["passed", "interrupted"], [[e["outcome"] for e in s] for s in saves[:-1]])

    def test_time_is_kept_for_later_phases(self):
        given = {}
        works = {name: (lambda e, s, name=name: given.__setitem__(name, s)) for name in ("a", "b", "c")}
        carry_out(works, seconds=40, least=12)
        self.assertAlmostEqual(given["a"], 16, delta=0.5)
        self.assertAlmostEqual(given["c"], 40, delta=1)
        carry_out(works, seconds=15, least=10)  # too little for all: each gives way alike
        self.assertEqual([int(given[name] + 0.1) for name in ("a", "b", "c")], [5, 7, 15])
        entries, _ = carry_out({"a": lambda e, s: time.sleep(1), "b": lambda e, s: ""}, seconds=1.2)
        self.assertEqual([e["outcome"] for e in entries], ["passed", "cut short"])
        self.assertIn("no time", entries[1]["sentence"])

    def test_what_is_not_asked_for(self):
        entries, _ = carry_out({"a": lambda e, s: "", "b": lambda e, s: ""}, wanted=lambda name: name == "b")
        self.assertEqual([e["outcome"] for e in entries], ["left out", "passed"])


class ChildrenTest(StandInTest):
    def run_script(self, text: str, seconds: float = 20, **more) -> children.Ended:
        return children.run([sys.executable, "-u", "-c", text], str(self.folder / "log"), seconds, **more)

    def test_output_status_input_environment(self):
        ended = self.run_script("import os,sys; print(input(), os.environ['A']); print('e', file=sys.stderr); sys.exit(3)",
                                environment={"A": "b"}, stdin="hello\n")  # fmt: skip
        self.assertEqual((ended.status, ended.cut_short), (3, False))
        self.assertEqual(sorted(ended.output.split()), ["b", "e", "hello"])

    def test_late_ones_are_ended_with_their_children_and_keep_their_output(self):
        text = "import subprocess,sys; subprocess.Popen(['sleep', '60']); print('so far'); subprocess.run(['sleep', '60'])"
        begun = time.monotonic()
        ended = self.run_script(text, seconds=1)
        self.assertTrue(ended.cut_short)
        self.assertIn("so far", ended.output)
        self.assertLess(time.monotonic() - begun, 5)

    def test_deaf_ones_are_killed(self):
        text = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
        ended = self.run_script(text, seconds=1)
        self.assertEqual((ended.status, ended.cut_short), (-9, True))
        self.assertEqual(threading.active_count(), 1)

    def test_ones_that_survive_their_end_do_not_hold_the_run(self):
        killpg, signalled = os.killpg, []
        self.addCleanup(setattr, os, "killpg", killpg)
        self.addCleanup(setattr, children, "PATIENCE", children.PATIENCE)
        os.killpg = lambda group, number: signalled.append((group, number))
        children.PATIENCE = 0.2
        begun = time.monotonic()
        ended = self.run_script("import time; print('stuck'); time.sleep(60)", seconds=1)
        killpg(signalled[0][0], signal.SIGKILL)
        self.assertEqual((ended.status, ended.cut_short, ended.output), (children.STUCK, True, "stuck\n"))
        self.assertLess(time.monotonic() - begun, 10)
