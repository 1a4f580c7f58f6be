# SPDX-License-Identifier: Apache-2.0
"""`bench turns`: its lines, and whole runs on little data."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import flat
import library
import machine
import options
import report
import turn_lines
import turns
from errors import BenchError, Missing, UsageError
from worker import Worker, WorkerFailed

DRIVER = str(machine.ROOT / "bench" / "driver")
VERDICTS = {True: "met", False: "missed", None: ""}


def record(line: str, **other) -> dict:
    """A line whose target is met."""
    about = turn_lines.LINES[line]
    whole = {"line": line, "scenario": line.partition("/")[0], "what": about.what, "rows": 1000, "dim": 128, "count": 200, "p50_s": 1e-6, "p99_s": 2e-6,
             "max_s": 0.001, "alone_s": 2.0, "beside_s": 2.2, "value": None, "unit": about.unit, "device": "A CPU", "commit": "abc"}  # fmt: skip
    if about.unit:
        whole.update({key: None for key in turn_lines.WAITS}, value=1.0)
    return {**whole, **other}


def every(**other) -> list[dict]:
    return [record(line, **other) for line in turn_lines.LINES]


class LinesTest(unittest.TestCase):
    def verdict(self, line: str, before: list[dict] | None = None, others: tuple[str, ...] = (), **keys) -> str:
        records = [record(line, **keys)] + [record(other) for other in others]
        return turn_lines.table(records, before, VERDICTS)[1][0][-1]

    def test_a_target_is_met_or_missed(self):
        for line, about in turn_lines.LINES.items():
            with self.subTest(line=line):
                others = ("single/native", "clients/no-linger.cpu_s_each")
                self.assertEqual(self.verdict(line, others=others), "met" if about.target else "")
                if about.target:
                    self.assertEqual(self.verdict(line, others=others, p50_s=1.0, p99_s=1.0, max_s=1.0, value=9.0), "missed")

    def test_the_limits(self):
        self.assertEqual(self.verdict("search/get", p99_s=0.0299), "met")
        self.assertEqual(self.verdict("search/get", p99_s=0.03), "missed")
        self.assertEqual(self.verdict("search/get", beside_s=2.21), "missed")
        self.assertEqual(self.verdict("changes/add", p99_s=0.001, max_s=0.03), "missed")
        self.assertEqual(self.verdict("close/close", p99_s=0.0999), "met")
        self.assertEqual(self.verdict("single/timed", others=("single/native",), p50_s=1.9e-6), "met")
        self.assertEqual(self.verdict("single/timed", others=("single/native",), p50_s=2.1e-6), "missed")
        self.assertEqual(self.verdict("single/timed"), "", "nothing to judge by")

    def test_the_earlier_version_was_not_faster(self):
        self.assertEqual(self.verdict("knn/get", before=[record("knn/get", alone_s=2.0)]), "met")
        self.assertEqual(self.verdict("knn/get", before=[record("knn/get", alone_s=1.9)]), "missed")

    def test_an_earlier_record_of_other_work_is_none(self):
        for other in ({"rows": 10}, {"dim": 16}, {"scenario": "knn of fewer queries"}):
            with self.subTest(other=other):
                earlier = [record("knn/get", alone_s=0.1, p50_s=0.008, **other)]
                self.assertEqual(self.verdict("knn/get", before=earlier), "met")
                head, rows = turn_lines.table([record("knn/get")], earlier, VERDICTS)
                self.assertEqual(rows[0][head.index("p50, before")], "")

    def test_before_and_now_stand_beside_each_other(self):
        head, rows = turn_lines.table([record("build/build")], [record("build/build", p50_s=0.008)], VERDICTS)
        self.assertEqual(rows[0][head.index("p50, before")], "8 ms")
        self.assertEqual(rows[0][head.index("p50")], "1 us")
        head, rows = turn_lines.table([record("sets/held", value=2.0**20)], [record("sets/dropped")], VERDICTS)
        self.assertEqual((rows[0][head.index("p50, before")], rows[0][head.index("p50")]), ("", "1.0 MiB"))
        text = turn_lines.text(every(), every(commit="old"), ["a: reason"])
        for words in ("p99, before", "now: A CPU, commit abc", "before: A CPU, commit old", "without a: reason"):
            self.assertIn(words, text)
        self.assertNotIn("before", turn_lines.text(every(), None, []))

    def test_a_scenario_makes_lines(self):
        made = [line for scenario in turns.scenarios(options.turns([])) for line in turns.lines_of(scenario, "")]
        self.assertEqual(sorted(made), sorted(turn_lines.LINES))

    def test_quick(self):
        for whole, quick in zip(turns.scenarios(options.turns([])), turns.scenarios(options.turns(["--quick"]))):
            self.assertEqual(quick.rows, max(min(1000, whole.rows), whole.rows // 100))


class OptionsTest(unittest.TestCase):
    def refused(self, arguments: str, *words: str):
        with self.assertRaises(UsageError) as caught:
            options.turns(arguments.split())
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_turns(self):
        chosen = options.turns("--rows 5000 --only get --quick --library local --format json --out x".split())
        self.assertEqual((chosen.rows, chosen.only, chosen.quick, chosen.library, chosen.format, chosen.out), (5000, "get", True, "local", "json", "x"))
        self.assertEqual(options.turns([]).rows, 10_000_000)

    def test_refused(self):
        self.refused("extra", "extra")
        self.refused("--dim 3", "--dim")
        self.refused("--rows 0", "from 1")
        self.refused("--rows 3000000000", "2147483639")
        self.refused("--quick=1", "--quick")
        self.refused("--before none.json", "none.json")
        self.refused(f"--before {__file__} --format json", "--before")
        self.refused("--api none.jar", "none.jar")
        self.refused(f"--api {os.path.dirname(__file__)}", "classes")

    def test_unknown_line(self):
        with self.assertRaises(UsageError) as caught:
            turns.run(options.turns(["--only", "nothing"]), lambda work: self.fail("begun"))
        self.assertIn("close/close", str(caught.exception))

    def test_too_little_memory(self):
        with mock.patch.object(machine, "available_memory", return_value=2**30), self.assertRaises(UsageError) as caught:
            turns.run(options.turns([]), lambda work: self.fail("begun"))
        self.assertIn("10,000,000 rows", str(caught.exception))


class TurnsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="nearfield bench ")
        self.addCleanup(folder.cleanup)
        self.addCleanup(Worker.stop_all)
        self.folder = folder.name

    def file(self, name: str, content) -> str:
        path = os.path.join(self.folder, name)
        Path(path).write_text(json.dumps(content), encoding="utf-8")
        return path

    def test_files_are_checked(self):
        broken = record("build/build")
        del broken["p99_s"]
        for content, word in (({}, "no array"), ([broken], "p99_s"), ([record("build/build", device=1)], "device"), ([record("build/build", count="1")], "count")):
            with self.assertRaises(UsageError) as caught:
                turn_lines.records_of(self.file("turns.json", content))
            self.assertIn(word, str(caught.exception))
        self.assertEqual(turn_lines.records_of(self.file("turns.json", every())), every())

    def test_report(self):
        folder = Path(self.folder)
        self.assertEqual(report._turns(folder), [])
        self.file("turns.json", every())
        text = "\n".join(report._turns(folder))
        targets = sum(bool(line.target) for line in turn_lines.LINES.values())
        for words in ("## Turns", "| `close()` of that index |", f"{targets} met, 0 missed."):
            self.assertIn(words, text)
        self.assertNotIn("before |", text)
        how = {has_turns: report._how(has_turns)[-1] for has_turns in (True, False)}
        self.assertIn("turns.json` the section on turns; bench/README.md", how[True])
        self.assertNotIn("turns", how[False])
        self.file("turns-before.json", every(alone_s=1.0))
        text = "\n".join(report._turns(folder))
        for words in ("| p99, before | p99 |", "**missed**", f"{targets - 4} met, 4 missed."):
            self.assertIn(words, text)

    def test_a_library_unknown_to_the_native_worker(self):
        refusal = [sys.executable, "-c", """input(); print('{"ok":false,"error":"hello: ABI 3, 4 is needed"}')"""]
        notes: list[str] = []
        with mock.patch.object(flat, "tool", return_value=Worker("nearfield", refusal, f"{self.folder}/log")):
            self.assertEqual(turns.native(turns.scenarios(options.turns(["--quick"]))[-2], library.Library(Path(self.folder), ""), self.folder, notes), {})
        self.assertIn("ABI 3", notes[0])

    def test_one_scenario_fails(self):
        """The others are measured and written all the same."""
        out, chosen = os.path.join(self.folder, "out.json"), ["--quick", "--only", "search of 2,048", "--format", "json"]
        answers = [({"device": "A CPU", "version": "1", "settings": "Java 25"}, {f"{line}.{key}": 1 for line in ("search", "get") for key in turn_lines.WAITS}),
                   WorkerFailed("nearfield-java: no"), WorkerFailed("nearfield-java: nor that"), WorkerFailed("nearfield-java: either")]  # fmt: skip
        with mock.patch.object(turns, "ask", side_effect=answers), mock.patch.object(library, "find", return_value=library.Library(Path(self.folder), "it")):
            with self.assertRaises(BenchError) as caught:
                turns.run(options.turns([*chosen, "--out", out]), lambda work: work(self.folder))
        self.assertIn("3 of 4 scenarios failed: knn (nearfield-java: no); close", str(caught.exception))
        self.assertEqual([r["line"] for r in turn_lines.records_of(out)], ["search/search", "search/get"])

    def java(self) -> str:
        """The Java worker's class path, where it is built."""
        listed = machine.ROOT / "bench" / "java" / "target" / "classpath.txt"
        try:
            library.find("local", "cpu")
        except Missing as missing:
            self.lacking(str(missing))
        if not listed.exists() or not os.environ.get("JAVA_HOME"):
            self.lacking("the Java worker is not built, or JAVA_HOME is not set")
        return listed.read_text(encoding="utf-8").strip()

    def lacking(self, reason: str):
        if os.environ.get("CI"):
            self.fail(reason)
        self.skipTest(reason)

    def run_turns(self, *arguments: str) -> str:
        done = subprocess.run([sys.executable, DRIVER, "turns", "--quick", "--library", "local", *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_whole(self):
        self.java()
        out = os.path.join(self.folder, "turns.json")
        self.assertEqual(self.run_turns("--format", "json", "--out", out), "")
        records = turn_lines.records_of(out)
        self.assertEqual([r["line"] for r in records], list(turn_lines.LINES))
        for r in records:
            with self.subTest(line=r["line"]):
                self.assertEqual(tuple(r), turn_lines.KEYS)
                self.assertIn("local build, Java", r["device"])
                if turn_lines.LINES[r["line"]].unit:
                    self.assertGreaterEqual(r["value"], 0)
                else:
                    self.assertTrue(0 < r["p50_s"] <= r["p99_s"] <= r["max_s"], r)
                    self.assertGreater(r["count"], 0)
                if r["line"].split("/")[0] in ("search", "knn", "changes"):
                    self.assertGreater(r["alone_s"], 0)
                    self.assertGreater(r["beside_s"], 0)
        text = self.run_turns("--only", "build", "--before", out)
        self.assertIn("p50, before", text)
        self.assertIn("`build()`", text)
        self.assertNotIn("`close()`", text)

    def test_another_version(self):
        """The worker is compiled against the API that is named."""
        api = self.java().split(":")[0]
        (one,) = json.loads(self.run_turns("--only", "sets/held", "--api", api, "--format", "json"))
        self.assertEqual((one["line"], one["commit"]), ("sets/held", machine.commit()))
        jar = os.path.join(self.folder, "other.jar")
        Path(jar).write_bytes(b"")
        with self.assertRaises(BenchError) as caught:
            with mock.patch.object(turns, "SOURCES", Path(self.folder)):
                turns.compiled(jar, self.folder)
        self.assertIn("does not compile", str(caught.exception))
        with mock.patch.dict(os.environ, {"JAVA_HOME": ""}), self.assertRaises(Missing):
            turns.compiled(jar, self.folder)
