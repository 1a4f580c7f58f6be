# SPDX-License-Identifier: Apache-2.0
"""Curves of recall, changed rows and clusterings: their options, what is looked for and measured, and their figures."""

import json
import os
import struct
import sys
import unittest
from pathlib import Path
from unittest import mock

import data
import everything
import ivf
import kmeans
import list_options
import list_output
import lists
import options
import peers
import report
import targets
import test_report
import workloads
from errors import UsageError
from report import KEYS, SCAN_KEYS
from test_run import Runs
from test_worker import LIBRARY, WorkerTest
from worker import Worker

STAND_IN = str(Path(__file__).resolve().parent / "stand_ins" / "lists.py")
TINY = "--rows 3000 --dim 16 --lists 30 --k 5 --repeats 1 --seconds 0 --threads 2 --library local".split()


class OptionsTest(unittest.TestCase):
    def test_curves(self):
        chosen = list_options.ivf([])
        self.assertEqual((chosen.rows, chosen.dim, chosen.lists, chosen.spectrum, chosen.batches, chosen.batch), (1_000_000, 128, 1024, "decaying", (1, 1000), 1000))
        self.assertEqual((chosen.workload, chosen.scans, chosen.peers, chosen.parts), ("ivf", ("f32", "i8"), options.LIST_PEERS, ("ivf",)))
        chosen = list_options.ivf("--batch 7,3 --probes 1,16 --target-recall 0.5,1 --exact --churn --peers faiss,hnswlib --lists=100 --rows=100".split())
        self.assertEqual((chosen.batches, chosen.batch, chosen.probes, chosen.target_recall), ((7, 3), 7, (1, 16), (0.5, 1.0)))
        self.assertEqual((chosen.parts, chosen.peers), (("ivf", "ivf exact", "ivf churn"), (*options.LIST_PEERS[:4], "hnswlib")))
        self.assertEqual(list_options.ivf(["--target-recall", "none", "--peers", "none"]).target_recall, ())
        self.assertEqual(list_options.ivf(["--peers", "usearch"]).peers, ("usearch-hnsw",))

    def test_clusterings(self):
        chosen = list_options.kmeans([])
        self.assertEqual((chosen.rows, chosen.dim, chosen.clusters, chosen.iterations, chosen.peers), (262_144, 128, 1024, 25, options.KMEANS_PEERS))
        self.assertEqual(list_options.kmeans("--peers faiss --rows 9 --clusters 9".split()).peers, ("faiss-kmeans", "faiss-superkmeans"))

    def refused(self, check, arguments: str, *words: str):
        with self.assertRaises(UsageError, msg=arguments) as caught:
            check(arguments.split())
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def test_refused(self):
        for arguments, words in (
            ("--lists 0", ("--lists=0", "from 1 to 65536")), ("--lists 11 --rows 10", ("--lists=11", "10 rows")), ("--lists many", ("many",)),
            ("--probes 0", ("--probes=0", "from 1")), ("--probes 1,-4", ("--probes=-4",)), ("--probes 8,2000", ("--probes=2000", "1024 lists")), ("--probes 4,4", ("twice",)),
            ("--target-recall 0", ("--target-recall=0", "above 0")), ("--target-recall 1.01", ("1.01", "at most 1")), ("--target-recall .9,nan", ("nan",)),
            ("--target-recall high", ("high", "no number")), ("--target-recall -0.5", ("-0.5",)),
            ("--peers annoy", ("annoy", "faiss-ivfflat", "hnswlib")), ("--peers faiss,faiss-ivfflat", ("twice",)), ("--peers faiss-kmeans", ("faiss-kmeans", "not known")),
            ("--training 5 --lists 10", ("--training=5", "10 lists")), ("--training 2000 --rows 1500", ("--training=2000", "1500 rows")),
            ("--batch 0", ("0",)), ("--batch 1,1", ("twice",)), ("--metric manhattan", ("manhattan", "no lists")), ("--java", ("--java", "unknown")),
            ("--exact=1", ("--exact", "no value")), ("--batches 3", ("--batches",)), ("--parts x", ("--parts",)), ("--iterations 0", ("--iterations=0",)), ("more", ("'more'",)),
        ):  # fmt: skip
            self.refused(list_options.ivf, arguments, "bench ivf", *words)
        for arguments, words in (
            ("--clusters 11 --rows 10", ("--clusters=11", "10 rows")), ("--clusters 70000", ("70000", "65536")), ("--metric poincare", ("poincare", "no clusters")),
            ("--peers hnswlib", ("hnswlib", "superkmeans")), ("--batch 4", ("--batch", "unknown")), ("--iterations 1.5", ("1.5",)), ("--k 3", ("--k",)),
        ):  # fmt: skip
            self.refused(list_options.kmeans, arguments, "bench kmeans", *words)

    def test_all_takes_faiss_for_all_of_its_own(self):
        def chosen(text: str) -> set[str]:
            every = everything.points(options.everything(["--out", "x", "--library", "local", "--peers", text, "--only", "1000000x128"]))
            return {peer for point in every for peer in point.peers if peer in options.LIST_PEERS}

        self.assertEqual(chosen("faiss"), set(options.LIST_PEERS[:4]))
        self.assertEqual(chosen("faiss-ivfsq8,hnswlib"), {"faiss-ivfsq8", "hnswlib"})
        self.assertEqual(chosen("numpy"), set())

    def test_every_peer_has_a_worker_and_a_package(self):
        for name in options.LIST_PEERS + options.KMEANS_PEERS:
            self.assertTrue((peers.FOLDER / f"{name.replace('-', '_')}_worker.py").is_file(), name)
            self.assertTrue((peers.FOLDER / f"requirements-{peers.package_of(name)}.txt").is_file(), name)
        # Nobody has published wheels of it.
        self.assertTrue((peers.FOLDER / "requirements-hnswlib-build.txt").is_file())


class EffortsTest(unittest.TestCase):
    def test_the_least_that_reaches_it(self):
        asked: list[int] = []

        def ask(effort: int) -> dict:
            asked.append(effort)
            return {"recall": min(1.0, effort / 100)}

        for least, most, wanted, expected in ((1, 1000, 0.37, 37), (1, 1000, 0.01, 1), (10, 1000, 0.05, 10), (1, 64, 0.64, 64), (1, 64, 0.65, None), (1, 1, 1.0, None)):
            asked.clear()
            self.assertEqual(lists.Efforts(ask, least, most).for_recall(wanted), expected, (least, most, wanted))
            self.assertEqual(len(set(asked)), len(asked), "nothing is asked twice")
            self.assertLess(len(asked), 16)

    def test_more_effort_that_finds_no_more(self):
        efforts = lists.Efforts(lambda effort: {"recall": min(0.9, effort / 100)}, 1, 1 << 16)
        self.assertEqual((efforts.for_recall(0.95), efforts.for_recall(0.9)), (None, 90))
        self.assertEqual(max(efforts.found), 256)

    def test_an_effort_is_never_below_the_least(self):
        efforts = lists.Efforts(lambda effort: {"recall": 1.0}, 10, 4)
        self.assertEqual(efforts.for_recall(0.9), 10)


class ChurnTest(WorkerTest):
    def test_removed_first_and_added_last(self):
        rows = [(float(number), -float(number)) for number in range(25)]
        Path(self.path("base.fbin")).write_bytes(struct.pack("<II", 25, 2) + b"".join(struct.pack("<2f", *row) for row in rows))
        paths = [self.path(f"{name}.fbin") for name in ("before", "after", "added")]
        with mock.patch.object(data, "CHUNK", 40):  # five rows: roles go on across blocks
            self.assertEqual(data.churn(self.path("base.fbin"), 11, *paths), 2)
        numbers = []
        for path in paths:
            content = Path(path).read_bytes()
            count, dim = struct.unpack("<II", content[:8])
            self.assertEqual((dim, len(content)), (2, 8 + count * 8))
            numbers.append([int(x) for x in struct.unpack(f"<{2 * count}f", content[8:])[::2]])
        before, after, added = numbers
        self.assertEqual((before[:2], added), ([0, 11], [5, 16]))
        self.assertEqual(after, before[2:] + added)
        self.assertEqual(sorted(before + added), list(range(25)))
        with self.assertRaises(UsageError) as caught:
            data.churn(self.path("base.fbin"), 26, *paths)
        self.assertIn("25 rows", str(caught.exception))


class NativeWorkerTest(WorkerTest):
    """The commands of our worker, by its protocol."""

    def started(self) -> Worker:
        worker = self.start()
        worker.ask("hello", library=LIBRARY, threads=2)
        return worker

    def generate(self, worker: Worker, name: str, rows: int, first: int = 0, dim: int = 8) -> str:
        worker.ask("generate", to=self.path(name), rows=rows, dim=dim, metric="l2", seed=1, first=first, spectrum="decaying")
        return self.path(name)

    def rows(self, worker: Worker, count: int, k: int) -> tuple[int, ...]:
        worker.ask("answers", to=self.path("found"))
        return struct.unpack(f"<{count * k}q", Path(self.path("found.rows")).read_bytes())

    def test_reach(self):
        worker = self.started()
        base, queries = self.generate(worker, "base", 4000), self.generate(worker, "queries", 50, 4000)
        for dtype in ("f32", "i8"):
            loaded = worker.ask("load", base=base, metric="l2", scan_dtype=dtype, lists=40, iterations=4, seed=1, training=self.generate(worker, "training", 1500))
            self.assertEqual(loaded["lists"], 40)
            self.assertTrue(1 <= loaded["smallest_list"] <= 100 <= loaded["largest_list"], loaded)
            self.assertGreaterEqual(loaded["build_s"], loaded["seconds"])
            worker.ask("workload", queries=queries, batch=25, k=4)
            for reach, least, most in (({"probes": 3}, 3, 3), ({"probes": 40}, 40, 40), ({"target_recall": 0.9}, 1, 39), ({"exact": 1}, 1, 40)):
                worker.ask("reach", **reach)
                ran, answered = worker.ask("run", calls=2), worker.ask("answers", to=self.path("mine"))
                for reply in (ran, answered):
                    self.assertTrue(least <= reply["lists_scanned"] <= most, (reach, reply))
                    self.assertTrue(0 < reply["recall_estimate"] <= 1, reply)
            found = self.rows(worker, 50, 4)
            worker.ask("load", base=base, metric="l2")
            worker.ask("workload", queries=queries, batch=50, k=4)
            self.assertEqual(found, self.rows(worker, 50, 4), "an exact search finds what a flat index finds")
            self.assertNotIn("lists_scanned", worker.ask("run"))

    def test_changed_rows_keep_their_numbers(self):
        """Numbers count from the first row that stays, also once the removed ones are dropped."""
        worker = self.started()
        base, added = self.generate(worker, "base", 1000), self.generate(worker, "added", 100, 1000)
        worker.ask("load", base=base, metric="l2", lists=10, scan_dtype="i8")
        worker.ask("change", removed=100, added=added)
        for _ in range(2):
            worker.ask("workload", queries=added, batch=100, k=1)
            worker.ask("reach", probes=10)
            self.assertEqual(self.rows(worker, 100, 1), tuple(range(900, 1000)))
            worker.ask("workload", queries=base, batch=100, k=1)
            found = self.rows(worker, 1000, 1)
            self.assertEqual(found[100:], tuple(range(900)))
            self.assertFalse(any(row < 0 for row in found))
            worker.ask("compact")

    def test_clustering(self):
        worker = self.started()
        base, start = self.generate(worker, "base", 2000), self.generate(worker, "start", 20)
        inertia = []
        for iterations in (1, 5):
            reply = worker.ask("kmeans", base=base, start=start, metric="l2", iterations=iterations, to=self.path("centroids"))
            self.assertEqual((reply["iterations"], os.path.getsize(self.path("centroids"))), (iterations, 8 + 20 * 8 * 4))
            inertia.append(worker.ask("truth", base=self.path("centroids"), queries=base, metric="l2", k=1, to=self.path("nearest"))["sum"])
        self.assertLess(inertia[1], inertia[0])
        rows, centroids = (struct.unpack(f"<{count * 8}f", Path(path).read_bytes()[8:]) for path, count in ((base, 2000), (self.path("centroids"), 20)))
        sums = [min(sum((a - b) ** 2 for a, b in zip(rows[i : i + 8], centroids[j : j + 8])) for j in range(0, 160, 8)) for i in range(0, 16_000, 8)]
        self.assertAlmostEqual(sum(sums), inertia[1], delta=1e-8 * inertia[1])  # of nine digits

    def test_refusals(self):
        worker = self.started()
        base, narrow = self.generate(worker, "base", 100), self.generate(worker, "narrow", 10, dim=6)
        self.fails(lambda: worker.ask("reach", probes=1), "workload comes first")
        self.fails(lambda: worker.ask("compact"), "load comes first")
        self.fails(lambda: worker.ask("load", base=base, metric="l2", lists=101), "101", "100")
        self.fails(lambda: worker.ask("load", base=base, metric="manhattan", lists=4), "Manhattan")
        worker.ask("load", base=base, metric="l2", lists=4)
        worker.ask("workload", queries=base, batch=10)
        self.fails(lambda: worker.ask("reach", probes=-1), "probes=-1")
        for reach, word in (({"probes": 5}, "5"), ({"target_recall": 1.5}, "1.5"), ({"target_recall": -0.5}, "-0.5")):
            worker.ask("reach", **reach)
            self.fails(lambda: worker.ask("run"), word)
        worker.ask("reach", probes=4)
        worker.ask("run")
        self.fails(lambda: worker.ask("change", removed=101, added=base), "removed=101", "100")
        self.fails(lambda: worker.ask("change", removed=1, added=narrow), "6 dimensions")
        self.fails(lambda: worker.ask("kmeans", base=base, start=narrow, metric="l2", to=self.path("c")), "6 dimensions")
        self.fails(lambda: worker.ask("kmeans", base=narrow, start=narrow, metric="poincare", to=self.path("c")), "metric")


class CurveTest(Runs):
    """Whole runs."""

    def checked_points(self, records: list[dict]):
        for r in records:
            self.assertEqual(tuple(r), KEYS + SCAN_KEYS + lists.KEYS)
            self.assertTrue(0 < r["min_s"] <= r["median_s"] <= r["max_s"], r)
            self.assertEqual((r["k"], r["dim"], r["limit_fraction"]), (5, 16, None))
            if r["at_recall"] is not None and r["workload"] == "ivf":
                self.assertGreaterEqual(r["recall"], r["at_recall"], r)
        first = {(r["workload"], r["batch"], r["at_recall"]): r for r in reversed(records) if r["system"] == "nearfield"}
        for r in records:
            if r["workload"] == "ivf" and r["at_recall"] is not None:
                ours = first[r["workload"], r["batch"], r["at_recall"]]
                self.assertAlmostEqual(r["ratio"], r["median_s"] / ours["median_s"], delta=0.01 * r["ratio"])

    def test_curve_exact_and_changed_rows(self):
        done = self.run_bench("ivf", *TINY, "--batch", "1,50", "--probes", "2,30", "--peers", "none", "--exact", "--churn", "--format", "json")
        records = json.loads(done.stdout)
        self.checked_points(records)
        for batch in (1, 50):
            for system in ("nearfield", "nearfield-i8"):
                curve = [r for r in records if (r["workload"], r["batch"], r["system"]) == ("ivf", batch, system)]
                self.assertEqual({r["at_recall"] for r in curve if r["at_recall"]}, set(list_options.RECALLS))
                self.assertEqual({r["target_recall"] for r in curve if r["target_recall"]}, {0.9, 0.95, 0.99})
                fixed = {r["probes"]: r for r in curve if r["probes"] and not r["at_recall"]}
                self.assertEqual((set(fixed), fixed[30]["recall"], fixed[2]["lists_scanned"]), ({2, 30}, 1.0, 2.0))
                for r in curve:
                    self.assertEqual((r["rows"], r["lists"], r["ef"], r["scan_dtype"]), (3000, 30, None, "i8" if system.endswith("-i8") else "f32"))
                    self.assertGreater(r["build_s"], 0)
                    self.assertTrue(0 < r["recall_estimate"] <= 1, r)
            exact = [r for r in records if (r["workload"], r["batch"]) == ("ivf exact", batch)]
            self.assertEqual([(r["system"], r["recall"], r["lists"]) for r in exact], [("nearfield-flat-i8", 1, None), ("nearfield", 1, 30), ("nearfield-i8", 1, 30)])
            changed = [r for r in records if (r["workload"], r["batch"]) == ("ivf churn", batch)]
            self.assertEqual([r["system"] for r in changed], [f"nearfield{state}{code}" for code in ("", "-i8") for state in ("", "-changed", "-compacted")])
            for r in changed:
                self.assertEqual(r["rows"], 3000 - 3000 // 11)
                self.assertGreater(r["recall"], 0.85, "numbers are those of the rows that stay")
        for part in (changed[:3], changed[3:]):
            self.assertEqual(len({r["probes"] for r in part}), 1)
            self.assertEqual(part[1]["recall"], part[2]["recall"], "a compaction changes no answer")

    def test_peers(self):
        done = self.run_bench("ivf", *TINY, "--batch", "20", "--target-recall", "none", "--format", "json")
        if "could not be installed" in done.stderr and not os.environ.get("CI"):
            self.skipTest(done.stderr)
        records = json.loads(done.stdout)
        self.checked_points(records)
        self.assertEqual({r["system"] for r in records}, {"nearfield", "nearfield-i8", *options.LIST_PEERS})
        for r in records:
            graph = r["system"] in peers.GRAPHS
            self.assertEqual((r["ef"] is None, r["probes"] is None, r["lists"] is None), (not graph, graph, graph))
            self.assertIn("refined" if r["system"] in peers.REFINED else "", r["device"])
        self.assertNotIn("are wrong", done.stderr)

    def test_clusterings(self):
        done = self.run_bench("kmeans", *"--rows 3000 --dim 16 --clusters 30 --iterations 4 --repeats 2 --threads 2 --library local --format json".split())
        if "could not be installed" in done.stderr and not os.environ.get("CI"):
            self.skipTest(done.stderr)
        records = json.loads(done.stdout)
        self.assertEqual([r["system"] for r in records], ["nearfield", *options.KMEANS_PEERS])
        for r in records:
            self.assertEqual(tuple(r), KEYS + kmeans.KEYS)
            self.assertEqual((r["rows"], r["lists"], r["iterations"], r["workload"], r["recall"]), (3000, 30, 4, "kmeans", None))
        # The same start and as many iterations: the same clustering, but for roundings that move rows between centroids.
        self.assertAlmostEqual(records[1]["inertia_ratio"], 1, delta=0.02)

    def test_refused_once_the_file_is_read(self):
        path = os.path.join(self.folder, "b.fbin")
        Path(path).write_bytes(struct.pack("<II", 2050, 2) + bytes(2050 * 8))
        self.refused(f"ivf --library local --base '{path}' --peers none --lists 60 --batch 1", 2, "--lists=60", "50 rows")
        self.refused(f"ivf --library local --base '{path}' --peers none --lists 40 --batch 1", 1, "nearfield: ")  # all rows are the same
        self.refused(f"kmeans --library local --base '{path}' --peers none --clusters 2000", 2, "--clusters=2000", "rows")


class StandInTest(WorkerTest):
    """A peer of which everything is known."""

    def measure(self, *arguments: str):
        worker = [Worker("hnswlib-like", [sys.executable, STAND_IN, *arguments], self.path("stand-in.log"))]

        def fastest(name, path, threads, log, trial):
            return worker[0], worker[0].ask("hello")

        chosen = list_options.ivf("--rows 300 --dim 4 --lists 30 --k 2 --batch 10 --repeats 2 --seconds 0 --library local --peers faiss-ivfflat".split())
        with mock.patch.object(peers, "fastest", fastest), mock.patch.object(lists, "JUDGED", 200):
            return ivf.measure(chosen, self.folder)

    def test_the_faster_choice_with_the_least_effort(self):
        outcome = self.measure()
        found = [r for r in outcome.records if r["system"] == "faiss-ivfflat"]
        self.assertEqual([r["at_recall"] for r in found], list(list_options.RECALLS))
        for r in found:
            self.assertTrue(r["at_recall"] <= r["recall"] < r["at_recall"] + 0.06, r)
            self.assertAlmostEqual(r["probes"] / 30, r["recall"], delta=0.12)  # a list is a thirtieth of the rows
            self.assertEqual((r["build_s"], r["lists_scanned"], r["recall_estimate"]), (1.5, r["probes"], None))
            self.assertTrue(r["device"].endswith("it, choice 0, tuned"), r["device"])
        text = list_output.table(outcome)
        self.assertIn("A device; 1.0, it", text)
        self.assertIn("target 0.95", text)

    def test_one_that_ends_is_left_out(self):
        outcome = self.measure("20")
        self.assertEqual({r["system"] for r in outcome.records}, {"nearfield", "nearfield-i8"})
        self.assertIn("no more", outcome.notes[0])


class FiguresTest(test_report.Files):
    def point(self, system: str = "nearfield", seconds: float = 1.0, **other) -> dict:
        none = dict.fromkeys((*SCAN_KEYS, *lists.KEYS))
        made = {"workload": "ivf", "data": "decaying", "batch": 1, "lists": 1024, "build_s": 2.0, "recall": 0.951, "limit_fraction": None, "lists_scanned": 17.0}
        return test_report.record(system, seconds, **{**none, **made, **other})

    def lines(self, records: list[dict], flags: str = "avx512_vnni") -> dict:
        figures = targets.Figures(records, {"points": {}, "machine": {"cpu_flags": flags}})
        return {(line.workload, line.target): (line.measured, line.met) for line in targets.lines(figures)}

    def test_targets(self):
        points = [self.point(at_recall=0.95, probes=17), self.point("nearfield-i8", 0.5, at_recall=0.95, probes=17, build_s=3.0),
                  self.point("faiss-ivfflat", 1.5, at_recall=0.95, probes=18, build_s=4.0), self.point("faiss-ivfpanorama", 0.4, at_recall=0.95, probes=18),
                  self.point("hnswlib", 9, at_recall=0.95, ef=50)]  # fmt: skip
        many = [{**r, "batch": 1000} for r in points]
        many += [self.point(batch=1000, target_recall=0.95, recall=0.9401, lists_scanned=22.1), self.point(batch=1000, target_recall=0.9, recall=0.889)]
        exact = [self.point("nearfield-flat-i8", 2.0, workload="ivf exact", lists=None), self.point(workload="ivf exact"), self.point("nearfield-i8", 1.01, workload="ivf exact")]
        changed = [self.point(f"nearfield{state}", s, workload="ivf churn", probes=17) for state, s in (("", 1), ("-changed", 1.04), ("-compacted", 1.01))]
        shape = {"workload": "kmeans", "data": "decaying", "rows": workloads.KMEANS_ROWS, "batch": workloads.KMEANS_ROWS, "k": 0}
        clustered = [test_report.record(s, t, **shape, lists=1024, iterations=25, inertia_ratio=1.0)
                     for s, t in (("nearfield", 1), ("faiss-kmeans", 3), ("faiss-superkmeans", 2.4))]  # fmt: skip
        found = self.lines(points + many + exact + changed + clustered)
        name = "lists, 1M x 128 decaying, recall 0.95, batch 1"
        self.assertEqual(found[name, "3 x faiss IVFFlat"], ("3.00 x (nearfield-i8)", True))
        self.assertEqual(found[name, "ahead of faiss IVFFlatPanorama"], ("0.80 x (nearfield-i8)", False))
        self.assertEqual(found[name, "ahead of faiss IVFRaBitQFastScan"], ("not measured", None))
        self.assertEqual(found[f"{name},000", "2 x the best faiss index"], ("0.80 x (nearfield-i8)", False))
        self.assertEqual(found[f"{name},000", "ahead of hnswlib"], ("18.00 x (nearfield-i8)", True))
        name = "lists, 1M x 128 decaying, recall target"
        self.assertEqual(found[f"{name} 0.95", "at most 1 point below"], ("0.9401", True))
        self.assertEqual(found[f"{name} 0.95", "at most 1.3 x the lists of the best fixed number"], ("1.30 x (22.1 over 17)", True))
        self.assertEqual(found[f"{name} 0.9", "at most 1 point below"], ("0.8890", False))
        self.assertEqual(found[f"{name} 0.9", "at most 1.3 x the lists of the best fixed number"], ("not measured", None))
        self.assertEqual(found["exact through lists, 1M x 128 decaying, batch 1", "2 x the flat certified scan"], ("2.00 x (nearfield)", True))
        self.assertEqual(found["lists, build of 1M x 128 decaying", "half of faiss IVFFlat's time"], ("0.50 x (2.00 s over 4.00 s, with codes 3.00 s)", True))
        self.assertEqual(found["lists, 10% of the rows replaced, 1M x 128 decaying, batch 1", "under 5% slower than a fresh index"],
                         ("+4.0% (+1.0% once compacted)", True))  # fmt: skip
        name = "k-means, 262,144 x 128, K = 1024, 25 iterations"
        self.assertEqual(found[name, "VNNI: 2.5 x faiss at its best setting"], ("2.40 x", False))
        self.assertEqual(found[name, "AMX: 5 x faiss at its best setting"], ("not yet run", None))
        self.assertEqual(self.lines(clustered, "avx512_vnni amx_int8")[name, "AMX: 5 x faiss at its best setting"], ("2.40 x", False))
        self.assertEqual(self.lines(clustered, "avx2")[name, "AVX2: 1.3 x faiss at its best setting"], ("2.40 x", True))

    def test_page(self):
        points = [self.point(s, 1 + n / 4, batch=b, at_recall=r, recall=r + 0.004, probes=None if s == "hnswlib" else 8 + n, ef=9 if s == "hnswlib" else None)
                  for s in ("nearfield", "nearfield-i8", "faiss-ivfflat", "hnswlib") for b in (1, 1000) for n, r in enumerate((0.9, 0.95))]  # fmt: skip
        points[:0] = [test_report.record(), test_report.record("faiss", 2)]  # without keys of lists
        points.append(self.point(target_recall=0.95, lists_scanned=9.9, recall_estimate=0.961))
        points += [self.point("nearfield-flat-i8", workload="ivf exact", lists=None), self.point("nearfield-changed", workload="ivf churn", probes=17)]
        points.append(test_report.record("superkmeans", 2, workload="kmeans", data="decaying", lists=1024, iterations=25, inertia_ratio=1.0031))
        records = self.file("records.json", points)
        self.file("about.json", test_report.about())
        read, _ = report.read_records([records, records])
        self.assertEqual(len(read), len(points), "points of one system are told apart")
        out = os.path.join(self.folder, "page.md")
        try:
            report.write(options.report([records, "--out", out]), Path(self.folder))
        except report.Missing:
            if os.environ.get("CI"):
                raise
            self.skipTest("matplotlib could not be installed")
        text = Path(out).read_text(encoding="utf-8")
        for words in ("page/lists-dark.svg", "### decaying, 1,000,000 x 128 L2, batch 1, k = 10, 1,024 lists", "| hnswlib |  |  | 1,000 (ef 9) | 800 (ef 9) |  |  | 2 s |",
                      "| nearfield | 0.95 | 0.9510 | 0.9610 | 9.9 | 9 | 1.10 x | 1,000 | 800 |", "| nearfield-flat-i8 | every row |", "| nearfield-changed | 17 lists |",
                      "1,024 clusters, 25 iterations | superkmeans | 2 s | 1.8 s to 2.4 s | 1.0031 | 2.00 |"):  # fmt: skip
            self.assertIn(words, text)
        self.assertNotIn("| ivf: ", text, "the table of all workloads has other columns")
        for broken, word in ((self.point(probes="8"), "probes"), (self.point(at_recall=[]), "at_recall"), (self.point(inertia_ratio="1"), "inertia_ratio")):
            with self.assertRaises(UsageError) as caught:
                report.read_records([self.file("r.json", [broken])])
            self.assertIn(word, str(caught.exception))
