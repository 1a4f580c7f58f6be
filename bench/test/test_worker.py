# SPDX-License-Identifier: Apache-2.0
"""The native worker by its protocol, and workers that misbehave."""

import os
import struct
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import machine
from options import SPECTRA
from worker import Worker, WorkerFailed

PROGRAM = machine.ROOT / "build" / "release" / "bin" / "nearfield_bench"
LIBRARY = str(machine.ROOT / "build" / "release" / "lib")


class WorkerTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="nearfield bench ")
        self.addCleanup(folder.cleanup)
        self.addCleanup(Worker.stop_all)
        self.folder = folder.name

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def start(self, *command: str) -> Worker:
        return Worker("it", list(command) or [str(PROGRAM)], self.path("log"))

    def fails(self, work, *words: str) -> WorkerFailed:
        with self.assertRaises(WorkerFailed) as caught:
            work()
        for word in words:
            self.assertIn(word, str(caught.exception))
        return caught.exception


class NativeTest(WorkerTest):
    def generate(self, worker: Worker, name: str, rows: int, dim: int = 7, metric: str = "l2", seed: int = 1, first: int = 0,
                 spectrum: str = "isotropic") -> str:  # fmt: skip
        worker.ask("generate", to=self.path(name), rows=rows, dim=dim, metric=metric, seed=seed, first=first, spectrum=spectrum)
        return self.path(name)

    def test_generated_rows_depend_on_their_number_alone(self):
        worker, firsts = self.start(), set()
        for spectrum in SPECTRA:
            of = {"spectrum": spectrum}
            whole = Path(self.generate(worker, "whole", 40_000, **of)).read_bytes()
            self.assertEqual(len(whole), 8 + 40_000 * 7 * 4)
            self.assertEqual(whole[8 : 8 + 100 * 28], Path(self.generate(worker, "part", 100, **of)).read_bytes()[8:])
            self.assertEqual(whole[8 + 30 * 28 : 8 + 50 * 28], Path(self.generate(worker, "later", 20, first=30, **of)).read_bytes()[8:])
            self.assertNotEqual(whole[8:36], Path(self.generate(worker, "other", 1, seed=2, **of)).read_bytes()[8:])
            firsts.add(whole[8:36])
        self.assertEqual(len(firsts), len(SPECTRA))
        self.fails(lambda: self.generate(worker, "none", 1, spectrum="pink"), "pink", "decaying")

    def test_spectra(self):
        """The share of the variance that the strongest direction has, found by power iteration, and that the strongest coordinate has."""
        expected = {"isotropic": (1 / 16, 1 / 16), "decaying": (1 / sum(i**-1.5 for i in range(1, 17)), None), "clusters": (1 / 16, 1 / 16),
                    "overlapping": (1 / sum(i**-0.5 for i in range(1, 17)), None)}  # fmt: skip
        worker = self.start()
        for spectrum, (direction, coordinate) in expected.items():
            numbers = struct.unpack(f"<{4000 * 16}f", Path(self.generate(worker, "rows", 4000, 16, spectrum=spectrum)).read_bytes()[8:])
            columns = [numbers[i::16] for i in range(16)]
            means = [sum(column) / 4000 for column in columns]
            columns = [[x - mean for x in column] for column, mean in zip(columns, means)]
            covariance = [[sum(a * b for a, b in zip(left, right)) / 4000 for right in columns] for left in columns]
            trace = sum(covariance[i][i] for i in range(16))
            vector = [1.0 + i / 16 for i in range(16)]
            for _ in range(60):
                vector = [sum(a * b for a, b in zip(row, vector)) for row in covariance]
                length = sum(x * x for x in vector) ** 0.5
                vector = [x / length for x in vector]
            # Of 1000 centres the largest of 16 equal directions has (1 + sqrt(16 / 1000))^2 = 1.27 times its share (Marchenko and Pastur).
            self.assertAlmostEqual(length / trace, direction, delta=0.35 * direction, msg=spectrum)
            largest = max(covariance[i][i] for i in range(16)) / trace
            if coordinate:
                self.assertAlmostEqual(largest, coordinate, delta=0.15 * coordinate, msg=spectrum)
            else:
                self.assertLess(largest, 0.8 * direction, "rotated: no coordinate is an axis")

    def test_clusters_are_tight(self):
        """The nearest of 5000 rows is in the same cluster, a tenth away; of isotropic ones it is as far as all others."""
        worker = self.start()
        worker.ask("hello", library=LIBRARY)
        nearest = {}
        for spectrum in ("isotropic", "clusters"):
            base, queries = (self.generate(worker, name, rows, 32, first=first, spectrum=spectrum) for name, rows, first in (("b", 5000, 0), ("q", 50, 5000)))
            worker.ask("load", base=base, metric="l2")
            worker.ask("workload", queries=queries, batch=50, k=1)
            worker.ask("answers", to=self.path("near"))
            nearest[spectrum] = sorted(struct.unpack("<50f", Path(self.path("near.distances")).read_bytes()))[25]
        self.assertLess(nearest["clusters"], 2 * 2 * 32 * 0.01)  # |x - y|^2 of two rows: 2 x 32 x 0.1^2 at the mean
        self.assertGreater(nearest["isotropic"], 10)

    def test_poincare_rows_lie_in_the_ball(self):
        numbers = struct.unpack("<3000f", Path(self.generate(self.start(), "ball", 1000, 3, "poincare")).read_bytes()[8:])
        norms = sorted(sum(x * x for x in numbers[i : i + 3]) ** 0.5 for i in range(0, 3000, 3))
        self.assertLess(norms[-1], 1 - 1e-5)
        self.assertGreater(norms[-1], 0.98)
        self.assertLess(norms[0], 0.1)

    def test_answers_are_the_truth(self):
        for metric in ("l2", "cosine", "dot", "poincare", "manhattan"):
            with self.subTest(metric=metric):
                worker = self.start()
                worker.ask("hello", library=LIBRARY, threads=2)
                base = self.generate(worker, "base", 3000, 20, metric)
                queries = self.generate(worker, "queries", 12, 20, metric, first=3000)
                self.assertEqual(worker.ask("load", base=base, metric=metric)["rows"], 3000)
                worker.ask("workload", queries=queries, batch=5, k=10)
                worker.ask("answers", to=self.path("mine"))
                self.assertEqual(os.path.getsize(self.path("mine.rows")), 12 * 10 * 8)
                self.assertEqual(os.path.getsize(self.path("mine.distances")), 12 * 10 * 4)
                worker.ask("truth", base=base, queries=queries, metric=metric, k=10, to=self.path("truth"))
                check = {"base": base, "queries": queries, "metric": metric, "k": 10, "truth": self.path("truth")}
                self.assertEqual(worker.ask("recall", answers=self.path("mine"), **check)["recall"], 1)
                self.wrong_answers(worker, check)
                self.wrong_distances(worker, check)
                worker.stop()

    def wrong_answers(self, worker: Worker, check: dict):
        """One wrong row, one twice, and one missing are three of 120."""
        rows = list(struct.unpack("<120q", Path(self.path("truth.rows")).read_bytes()))
        rows[0] = next(row for row in range(3000) if row not in rows[:10])
        rows[11], rows[119] = rows[10], -1
        Path(self.path("wrong.rows")).write_bytes(struct.pack("<120q", *rows))
        Path(self.path("wrong.distances")).write_bytes(struct.pack("<120f", *[0.0] * 120))
        self.assertAlmostEqual(worker.ask("recall", answers=self.path("wrong"), **check)["recall"], 117 / 120)

    def wrong_distances(self, worker: Worker, check: dict):
        """Of 120 distances one is off by a hundredth, and one is no number."""
        right = list(struct.unpack("<120f", Path(self.path("mine.distances")).read_bytes()))
        Path(self.path("false.rows")).write_bytes(Path(self.path("mine.rows")).read_bytes())
        for form in ("canonical", "expanded"):
            self.assertEqual(worker.ask("recall", answers=self.path("mine"), form=form, **check)["wrong_distances"], 0)
            false = [*right[:13], right[13] * 1.01, *right[14:50], float("nan"), *right[51:]]
            Path(self.path("false.distances")).write_bytes(struct.pack("<120f", *false))
            found = worker.ask("recall", answers=self.path("false"), form=form, **check)
            self.assertEqual((found["recall"], found["wrong_distances"]), (1, 2))
            self.assertIn("query 1 ", found["first_wrong"])

    def test_runs(self):
        worker = self.start()
        worker.ask("hello", library=LIBRARY)
        base = self.generate(worker, "base", 1000)
        worker.ask("load", base=base, metric="l2")
        for clients in (1, 3):
            worker.ask("workload", queries=base, batch=7, k=2, clients=clients)
            reply = worker.ask("run", calls=200)  # more than there are batches: it wraps round
            self.assertGreater(reply["p50_s"], 0)
            self.assertLessEqual(reply["p50_s"], reply["p99_s"])
            self.assertLessEqual(reply["p99_s"], reply["max_s"])
            self.assertLessEqual(reply["max_s"], reply["seconds"])
        inserted = worker.ask("insert", base=base, metric="l2", batch=300)
        self.assertEqual(inserted["rows"], 1000)
        self.assertLessEqual(inserted["max_s"], inserted["seconds"])

    def test_runs_with_codes(self):
        worker = self.start()
        worker.ask("hello", library=LIBRARY)
        base = self.generate(worker, "base", 40_000, 64, spectrum="decaying")  # with few rows codes are not read
        queries = self.generate(worker, "queries", 20, 64, first=40_000, spectrum="decaying")
        found = {}
        for dtype in ("f32", "i8"):
            loaded = worker.ask("load", base=base, metric="l2", scan_dtype=dtype)
            self.assertEqual("code_bytes" in loaded, dtype == "i8")
            worker.ask("workload", queries=queries, batch=1, k=7)
            ran = worker.ask("run", calls=8)
            self.assertEqual("certified" in ran, dtype == "i8")
            worker.ask("answers", to=self.path(dtype))
            found[dtype] = [Path(self.path(f"{dtype}.{ending}")).read_bytes() for ending in ("rows", "distances")]
        self.assertEqual(found["f32"], found["i8"])
        self.assertGreaterEqual(loaded["code_bytes"], 40_000 * 64)
        self.assertGreaterEqual(loaded["fit_steps"], 1)
        self.assertLessEqual(loaded["fit_longest_step_s"], loaded["fit_s"])
        self.assertEqual((ran["queries"], ran["certified"]), (8, 8))
        self.assertGreaterEqual(ran["rescored_p50"], 7)
        self.assertTrue(0 < ran["scanned_bytes"] <= ran["whole_bytes"], ran)
        worker.ask("workload", queries=queries, batch=1, k=7, max_oversample=1)
        self.assertLessEqual(worker.ask("run", calls=8)["rescored_p50"], 7)
        inserted = worker.ask("insert", base=base, metric="l2", scan_dtype="i8", before=1000)
        self.assertEqual(inserted["rows"], 39_000)
        self.fails(lambda: worker.ask("workload", queries=queries, batch=5, max_oversample="much"), "much")
        self.fails(lambda: worker.ask("load", base=base, metric="l2", scan_dtype="i4"), "i4", "f32")
        self.fails(lambda: worker.ask("insert", base=base, metric="l2", before=40_000), "before=40000")

    def test_more_neighbours_than_rows(self):
        worker = self.start()
        worker.ask("hello", library=LIBRARY)
        base = self.generate(worker, "base", 3)
        worker.ask("load", base=base, metric="l2")
        worker.ask("workload", queries=base, batch=2, k=5)
        worker.ask("answers", to=self.path("mine"), count=1)
        rows = struct.unpack("<5q", Path(self.path("mine.rows")).read_bytes())
        self.assertEqual((rows[0], rows[3:]), (0, (-1, -1)))

    def test_limits(self):
        worker = self.start()
        found = worker.ask("limits", threads=1, bytes=1 << 24)
        copying = worker.ask("copying", bytes=1 << 24)
        for key in ("read_bytes_per_s", "flops_per_s", "clock_hz"):
            self.assertGreater(found[key], 1e7, key)
        self.assertGreater(copying["memcpy_cold_bytes_per_s"], 1e7)

    def test_refusals(self):
        worker = self.start()
        base, narrow = self.generate(worker, "base", 10), self.generate(worker, "narrow", 10, 6)
        self.fails(lambda: worker.ask("frobnicate"), "frobnicate", "not known")
        self.fails(lambda: worker.ask("run"), "workload comes first")
        self.fails(lambda: worker.ask("load", base=base, metric="l2"), "hello comes first")
        self.fails(lambda: worker.ask("hello", library=LIBRARY, backend="none"), "none")
        self.fails(lambda: worker.ask("hello", library=LIBRARY, path="sse2"), "sse2")
        self.fails(lambda: worker.ask("hello", library=LIBRARY, threads="many"), "many")
        self.fails(lambda: worker.ask("hello"), "library")
        worker.ask("hello", library=LIBRARY)
        self.fails(lambda: worker.ask("workload", queries=base), "load comes first")
        self.fails(lambda: worker.ask("load", base=base, metric="hamming"), "hamming")
        self.fails(lambda: worker.ask("load", base=self.path("no"), metric="l2"), "cannot be opened")
        self.fails(lambda: worker.ask("load", base=str(PROGRAM), metric="l2"), "header")
        worker.ask("load", base=base, metric="l2")
        self.fails(lambda: worker.ask("workload", queries=narrow), "6", "7")
        self.fails(lambda: worker.ask("workload", queries=base, batch=11), "batch=11", "10")
        self.fails(lambda: worker.ask("workload", queries=base, k=0), "k=0")
        self.fails(lambda: worker.ask("generate", to="/nonexistent/x", rows=1, dim=1, metric="l2", seed=1), "/nonexistent/x")
        self.fails(lambda: worker.ask("limits", bytes=1, path="sse2"), "sse2")
        worker.process.stdin.write("no json\n")
        self.fails(lambda: worker.ask("quit"), "flat JSON")

    def test_nan_is_refused_with_its_place(self):
        worker = self.start()
        worker.ask("hello", library=LIBRARY)
        Path(self.path("nan")).write_bytes(struct.pack("<II4f", 2, 2, 1, 2, 3, float("nan")))
        self.fails(lambda: worker.ask("load", base=self.path("nan"), metric="l2"), "row 1")


class MisbehavingTest(WorkerTest):
    def python(self, program: str) -> Worker:
        return self.start(sys.executable, "-c", program)

    def test_dies(self):
        self.fails(lambda: self.python("import sys; print('why', file=sys.stderr); sys.exit(4)").ask("hello"), "status 4", "why")
        self.fails(lambda: self.python("import os; os.kill(os.getpid(), 9)").ask("hello"), "signal 9")

    def test_talks_nonsense(self):
        self.fails(lambda: self.python("print('Hello!')").ask("hello"), "'hello'", "Hello!")
        failed = self.fails(lambda: self.python("""print('{"ok":false,"error":"no","unsupported":true}')""").ask("hello"), "no")
        self.assertTrue(failed.unsupported)

    def test_closes_its_output_and_goes_on(self):
        worker = self.python("import os, time; os.close(1); time.sleep(600)")
        self.fails(lambda: worker.ask("hello"), "ended at 'hello'", "its output closed")
        self.assertIsNotNone(worker.process.poll())

    def test_outlives_its_kill(self):
        """As a process does that the kernel holds in a driver."""
        worker = self.python("import time; time.sleep(600)")
        kill, worker.process.kill = worker.process.kill, lambda: None
        self.addCleanup(worker.process.wait)
        self.addCleanup(kill)
        with mock.patch("worker.KILL_SECONDS", 0.1), mock.patch("worker.PATIENCE", 0.1), mock.patch("worker.say") as said:
            Worker.stop_all()
        self.assertIn(f"process {worker.process.pid} is still there", said.call_args.args[0])

    def test_is_stopped_in_the_middle(self):
        worker = self.python("import time; time.sleep(600)")
        Worker.stop_all()
        self.assertIsNotNone(worker.process.poll())
