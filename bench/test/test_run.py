# SPDX-License-Identifier: Apache-2.0
"""Whole runs on tiny data, as a user starts them."""

import json
import os
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import coded
import everything
import flat
import inserts
import library
import machine
import options
import peers
import workloads
from errors import BenchError, Missing
from report import KEYS, SCAN_KEYS
from worker import Worker

DRIVER = str(machine.ROOT / "bench" / "driver")
TINY = "--rows 2000 --dim 16 --batch 4 --k 3 --repeats 2 --seconds 0 --threads 2 --library local".split()


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="nearfield bench ")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_bench(self, *arguments: str, status: int = 0, **environment: str) -> subprocess.CompletedProcess:
        done = subprocess.run([sys.executable, DRIVER, *arguments], capture_output=True, text=True, check=False,
                              env={**os.environ, **environment})  # fmt: skip
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def refused(self, arguments: str, status: int, *words: str):
        done = self.run_bench(*shlex.split(arguments), status=status)
        self.assertEqual(done.stdout, "")
        sentence = done.stderr.strip().splitlines()[-1]
        for word in ("nearfield: ", *words):
            self.assertIn(word, sentence)
        self.assertNotIn("Traceback", done.stderr)


class RunTest(Runs):
    def checked(self, records: list[dict], systems: list[str]):
        self.assertEqual([r["system"] for r in records], systems)
        for r in records:
            self.assertEqual(tuple(r), KEYS)
            self.assertEqual((r["rows"], r["dim"], r["batch"], r["k"], r["workload"], r["data"], r["backend"]), (2000, 16, 4, 3, "flat", "isotropic", "cpu"))
            self.assertEqual(r["recall"], 1.0, r)
            self.assertTrue(0 < r["min_s"] <= r["median_s"] <= r["max_s"], r)
            self.assertAlmostEqual(r["qps"] * r["median_s"], 4, delta=0.01)
            self.assertAlmostEqual(r["ratio"], r["median_s"] / records[0]["median_s"], delta=0.01 * r["ratio"])
            self.assertGreater(r["limit_fraction"], 0)

    def test_json_without_peers(self):
        for metric in options.METRICS:
            done = self.run_bench("flat", *TINY, "--peers", "none", "--format", "json", "--metric", metric)
            records = json.loads(done.stdout)
            self.checked(records, ["nearfield"])
            self.assertRegex(records[0]["device"], COMPILER + ", local build, ")

    def test_packaged(self):
        """By default the library of the jar; it is there after ./nearfield test and ./nearfield bench."""
        try:
            folder = library.find("packaged", "cpu").folder if library.shipped_platform() else None
        except Missing as missing:
            if os.environ.get("CI"):
                raise
            self.skipTest(str(missing))
        if folder is None:
            self.skipTest("nothing is packaged for this platform")
        done = self.run_bench("flat", *TINY[:-2], "--peers", "none", "--local", "--format", "json")
        records = json.loads(done.stdout)
        self.checked(records, ["nearfield", "nearfield-local"])
        for record, words in zip(records, (", packaged, ", ", local build, ")):
            self.assertRegex(record["device"], COMPILER + words)
        # Its rows may be written to another folder, and the library is then the same.
        done = self.run_bench("flat", *TINY[:-1], str(folder), "--peers", "none", "--format", "json")
        self.assertEqual(json.loads(done.stdout)[0]["device"].replace("of a folder", "packaged"), records[0]["device"])

    def test_all_fails_a_slow_package(self):
        """Slow twice in a row: once may be chance. What was measured is kept."""
        slow, even = outcome_of(1.06), outcome_of(1.04)
        self.addCleanup(setattr, flat, "measure", flat.measure)
        chosen = options.All(out=self.folder, library="packaged", only="packaged 100000x128")
        for outcomes, fails in (([even], False), ([slow, even], False), ([slow, slow], True)):
            left = list(outcomes)
            flat.measure = lambda point, folder: left.pop(0)  # noqa: B023 - called at once
            if fails:
                with self.assertRaises(BenchError) as caught:
                    everything.run(chosen, lambda work: work(self.folder))
                self.assertIn("packaged 100000x128 l2 batch=480 k=10 (1.06 s over 1 s is 1.06 x, the limit is 1.05 x)", str(caught.exception))
                self.assertEqual(caught.exception.status, 1)
            else:
                everything.run(chosen, lambda work: work(self.folder))
            self.assertEqual(left, [])
            self.assertEqual(len(json.loads(Path(self.folder, "records.json").read_text(encoding="utf-8"))), 2)
        chosen = options.All(out=self.folder, library="local")
        self.assertEqual([point for point in everything.points(chosen) if point.local], [])

    def test_peers(self):
        done = self.run_bench("flat", *TINY, "--peers", "faiss,usearch,numpy,faiss-default", "--format", "json")
        records = json.loads(done.stdout)
        if "could not be installed" in done.stderr and not os.environ.get("CI"):
            self.skipTest(done.stderr)
        self.checked(records, ["nearfield", "faiss", "usearch", "numpy", "faiss-default"])

    def test_scan(self):
        """Our two scans and the peers that leave something out, on rows of a decaying spectrum."""
        # Enough rows for codes to be read at all: the f32 scan is faster with few.
        tiny = [*TINY, "--rows", "40000", "--dim", "64", "--spectrum", "decaying", "--batch", "1", "--format", "json"]
        done = self.run_bench("scan", *tiny, "--peers", "panorama,panorama-threads,faiss-sq8")
        records = json.loads(done.stdout)
        if "could not be installed" in done.stderr and not os.environ.get("CI"):
            self.skipTest(done.stderr)
        self.assertEqual([(r["system"], r["batch"], r["scan_dtype"]) for r in records],
                         [("nearfield", 1, "f32"), ("nearfield-i8", 1, "i8"), ("panorama", 1, None), ("panorama-threads", 2, None), ("faiss-sq8", 1, None)])  # fmt: skip
        for r in records:
            self.assertEqual(tuple(r), KEYS + SCAN_KEYS)
            self.assertEqual((r["workload"], r["data"], r["limit_fraction"] is None), ("scan", "decaying", r["system"] != "nearfield"))
            self.assertAlmostEqual(r["ratio"], records[0]["qps"] / r["qps"], delta=0.01 * r["ratio"])  # of the seconds a query
            self.assertGreaterEqual(r["recall"], 0.8 if r["system"] == "faiss-sq8" else 1.0, r)
            coded = r["system"] == "nearfield-i8"
            self.assertEqual([r[key] is not None for key in SCAN_KEYS[1:]], [coded] * 3)
        self.assertEqual(records[1]["certified_fraction"], 1)
        self.assertGreaterEqual(records[1]["candidates_p50"], 3)
        self.assertTrue(0 < records[1]["bytes_read_fraction"] <= 1, records[1])
        # A cap of as many rows as are asked for: the answers are no longer the f32 scan's, and nobody says so.
        capped = json.loads(self.run_bench("scan", *tiny, "--peers", "none", "--max-oversample", "1").stdout)[1]
        self.assertLessEqual(capped["candidates_p50"], 3)

    def test_scan_that_answers_otherwise(self):
        """One byte of one answer is enough."""
        systems = [flat.System(name, None, "", {}, scan_dtype=dtype) for name, dtype in (("nearfield", "f32"), ("nearfield-i8", "i8"))]
        for name in ("nearfield", "nearfield-i8"):
            for ending in ("rows", "distances"):
                Path(self.folder, f"{name}-all.{ending}").write_bytes(bytes(24))
        coded.check_same_answers(systems, self.folder)
        Path(self.folder, "nearfield-i8-all.distances").write_bytes(bytes(23) + b"\1")
        with self.assertRaises(BenchError) as caught:
            coded.check_same_answers(systems, self.folder)
        self.assertIn("nearfield-i8: the distances", str(caught.exception))

    @unittest.skipUnless("avx2" in machine.describe()["cpu_flags"], "no AVX2 here")
    def test_a_forced_path_holds_for_the_peer(self):
        done = self.run_bench("flat", *TINY, "--peers", "faiss-default", "--path", "avx2", "--format", "json")
        ours, peer = (r["device"].lower() for r in json.loads(done.stdout))
        self.assertIn(", local build, avx2, ", ours)  # behind the paths that the library has
        self.assertIn("avx2", peer)
        self.assertNotIn("avx512", peer)

    def test_more_neighbours_than_rows(self):
        done = self.run_bench("flat", *TINY, "--rows", "5", "--k", "9", "--peers", "faiss,usearch,numpy", "--format", "json")
        records = json.loads(done.stdout)
        if "could not be installed" in done.stderr and not os.environ.get("CI"):
            self.skipTest(done.stderr)
        self.assertEqual([r["system"] for r in records], ["nearfield", "faiss", "usearch", "numpy"])
        for r in records:
            self.assertEqual((r["rows"], r["k"], r["recall"]), (5, 9, 1.0), r)

    def test_peer_without_the_metric(self):
        done = self.run_bench("flat", *TINY, "--peers", "usearch,numpy", "--metric", "poincare")
        if "could not be installed" in done.stderr and not os.environ.get("CI"):
            self.skipTest(done.stderr)
        self.assertIn("Going on without usearch: no metric poincare", done.stderr)
        self.assertIn("without usearch: no metric poincare", done.stdout)
        self.assertIn("numpy", done.stdout)

    def test_peer_that_cannot_be_installed(self):
        self.addCleanup(setattr, peers, "INSTALLED", peers.INSTALLED)
        self.addCleanup(Worker.stop_all)
        peers.INSTALLED = Path(self.folder) / "python"
        for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", self.folder), ("PIP_CONFIG_FILE", os.devnull)):
            before = os.environ.get(name)
            os.environ[name] = value
            self.addCleanup(os.environ.__setitem__ if before else os.environ.pop, name, *([before] if before else []))
        outcome = flat.measure(options.flat([*TINY, "--peers", "numpy"]), self.folder)
        self.checked(outcome.records, ["nearfield"])
        self.assertEqual(len(outcome.notes), 1)
        self.assertIn("numpy could not be installed", outcome.notes[0])
        self.assertEqual(list(peers.INSTALLED.iterdir()), [])

    def test_files_with_truth(self):
        rows = [[float((i * 7 + j * 3) % 11) for j in range(4)] for i in range(50)]
        paths = {name: os.path.join(self.folder, name) for name in ("b.fvecs", "q.fbin", "right.ivecs", "wrong.ivecs", "out.json")}
        Path(paths["b.fvecs"]).write_bytes(b"".join(struct.pack("<i4f", 4, *row) for row in rows))
        Path(paths["q.fbin"]).write_bytes(struct.pack("<II", 4, 4) + b"".join(struct.pack("<4f", *row) for row in rows[:4]))

        def near(i: int) -> list[int]:
            return sorted(range(50), key=lambda j: (sum((a - b) ** 2 for a, b in zip(rows[i], rows[j])), j))[:2]

        Path(paths["right.ivecs"]).write_bytes(b"".join(struct.pack("<3i", 2, *near(i)) for i in range(4)))
        files = ["--library", "local", "--base", paths["b.fvecs"], "--queries", paths["q.fbin"], "--batch", "2", "--k", "2", "--peers", "none",
                 "--repeats", "1", "--seconds", "0", "--format", "json", "--out", paths["out.json"]]  # fmt: skip
        for truth in ([], ["--truth", paths["right.ivecs"]]):
            self.assertEqual(self.run_bench("flat", *files, *truth).stdout, "")
            (found,) = json.loads(Path(paths["out.json"]).read_text(encoding="utf-8"))
            self.assertEqual((found["rows"], found["dim"], found["recall"]), (50, 4, 1.0))
        Path(paths["wrong.ivecs"]).write_bytes(b"".join(struct.pack("<3i", 2, 50, 0) for _ in range(4)))
        self.run_bench("flat", *files, "--truth", paths["wrong.ivecs"], status=2)

    def test_all_and_report(self):
        folder = os.path.join(self.folder, "figures")
        shape = "flat 10000x128 l2 batch=16"
        done = self.run_bench("all", "--quick", "--library", "local", "--out", folder, "--only", shape, "--peers", "numpy")
        self.assertIn("nearfield", done.stderr)
        records = json.loads(Path(folder, "records.json").read_text(encoding="utf-8"))
        self.assertEqual(tuple(records[0]), KEYS)
        point = json.loads(Path(folder, "about.json").read_text(encoding="utf-8"))["points"][f"{shape} k=10"]
        self.assertTrue(point["quick"])
        self.assertRegex("; " + point["library"], COMPILER + ", local build$")
        self.assertGreater(point["facts"]["nearfield"]["device_bytes"], 10_000 * 128 * 4)
        self.run_bench("all", "--quick", "--library", "local", "--out", folder, "--only", shape, "--peers", "numpy")
        self.assertEqual(len(json.loads(Path(folder, "records.json").read_text(encoding="utf-8"))), len(records))
        self.refused(f"all --out '{folder}' --only nothing", 2, "'nothing'")
        os.unlink(os.path.join(folder, "about.json"))
        self.refused(f"all --quick --out '{folder}' --only '{shape}'", 2, "records.json without about.json")
        self.assertEqual(len(json.loads(Path(folder, "records.json").read_text(encoding="utf-8"))), len(records))

    def test_all_without_embeddings(self):
        self.addCleanup(setattr, workloads, "EMBEDDINGS_FILE", workloads.EMBEDDINGS_FILE)
        workloads.EMBEDDINGS_FILE = Path(self.folder, "embeddings.fbin")
        chosen = options.All(out=self.folder, only="scan ")
        without = everything.points(chosen)
        self.assertEqual({point.data for point in without}, {"decaying", "isotropic", "clusters"})
        with self.assertRaises(Missing) as caught:
            everything.points(options.All(out=self.folder, only="scan embeddings"))
        self.assertIn("--export", str(caught.exception))
        workloads.EMBEDDINGS_FILE.touch()
        self.assertEqual(len([point for point in everything.points(chosen) if point.data == "embeddings"]), 6)
        named = options.everything(["--out", self.folder, "--embeddings", str(workloads.EMBEDDINGS_FILE), "--only", "scan embeddings"])
        self.assertEqual({point.base for point in everything.points(named)}, {str(workloads.EMBEDDINGS_FILE)})

    def test_all_goes_on_after_a_failure(self):
        def measure(point, folder):
            raise BenchError("a worker ended")

        self.addCleanup(setattr, flat, "measure", flat.measure)
        flat.measure = measure
        chosen = options.everything(["--quick", "--library", "local", "--out", self.folder, "--only", "128 l2 batch=16 "])
        with self.assertRaises(BenchError) as caught:
            everything.run(chosen, lambda work: work(self.folder))
        self.assertIn(f"{len(everything.points(chosen))} of", str(caught.exception))
        self.assertIn("a worker ended", str(caught.exception))
        self.assertEqual(caught.exception.status, 1)

    def test_java(self):
        if not os.environ.get("JAVA_HOME") or not (machine.ROOT / "bench" / "java" / "target" / "classpath.txt").exists():
            if os.environ.get("CI"):
                self.fail("the Java worker is not built")
            self.skipTest("the Java worker is not built: ./nearfield bench flat --java builds it")
        done = self.run_bench("flat", *TINY[:-4], "--library", "local", "--peers", "none", "--java", "--format", "json")
        records = json.loads(done.stdout)
        self.checked(records, ["nearfield", "nearfield-java"])
        for r in records:
            self.assertRegex(r["device"], COMPILER + ", local build, ")
        folder = os.path.join(self.folder, "figures")
        for name in ("insert 10000x128 l2 batch=10000 ", "8 clients"):
            self.run_bench("all", "--quick", "--library", "local", "--out", folder, "--only", name)
        records = json.loads(Path(folder, "records.json").read_text(encoding="utf-8"))
        self.assertEqual([(r["workload"], r["system"], r["recall"]) for r in records],
                         [("insert", "nearfield", None), ("insert", "nearfield-java", None),
                          ("8 clients", "nearfield", 1.0), ("8 clients", "nearfield-java", 1.0)])  # fmt: skip

    def test_insert(self):
        chosen = options.flat("--rows 1000 --dim 16 --batch 300 --peers none --repeats 2 --library local".split())
        chosen.workload = "insert"
        self.addCleanup(Worker.stop_all)
        outcome = inserts.measure_insert(chosen, self.folder)
        (found,) = outcome.records
        self.assertEqual((tuple(found), found["rows"], found["batch"], found["recall"]), (KEYS, 1000, 300, None))
        self.assertAlmostEqual(found["qps"] * found["median_s"], 1000, delta=1)
        self.assertGreater(outcome.facts["nearfield"]["p50_s"], 0)

    def test_refusals(self):
        self.refused("frobnicate", 2, "frobnicate")
        self.refused("", 2, "flat, scan, ivf, kmeans, all, turns or report")
        self.refused("flat --frobnicate", 2, "--frobnicate")
        self.refused("flat --rows 4000000000 --dim 10000 --peers none --library local", 2, "4000000000 rows", "GiB")
        self.refused("flat --base no.fbin --queries no.fbin --peers none --library local", 2, "no.fbin", "not there")
        self.refused("flat --out /nonexistent/x --peers none", 2, "/nonexistent")
        self.refused("flat --library local --peers none --rows 10 --path neon" if machine.describe()["cpu_flags"].count("avx")
                     else "flat --library local --peers none --rows 10 --path avx2", 3, "force_path")  # fmt: skip
        self.refused("report nothing.json", 2, "nothing.json")

    def test_interrupt(self):
        out = os.path.join(self.folder, "out.json")
        before = set((machine.ROOT / "build" / "bench").glob("run-*"))
        with subprocess.Popen([sys.executable, DRIVER, "flat", "--library", "local", "--rows", "20000", "--peers", "none", "--seconds", "600", "--out", out],
                              stderr=subprocess.PIPE, text=True, start_new_session=True) as driver:  # fmt: skip
            for line in driver.stderr:
                if line.startswith("Measuring"):
                    break
            children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children")
            pids = children.read_text(encoding="utf-8").split() if children.exists() else []
            driver.send_signal(signal.SIGINT)
            driver.stderr.read()
        self.assertEqual(driver.returncode, 130)
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(set((machine.ROOT / "build" / "bench").glob("run-*")), before)
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}"), "a worker is still there")

    def test_java_without_the_setting_is_left_out(self):
        self.addCleanup(setattr, flat, "java", flat.java)
        self.addCleanup(Worker.stop_all)
        refusal = """input(); print('{"ok":false,"error":"hello: [3] threads","unsupported":true}')"""
        flat.java = lambda folder, _, name: Worker(name, [sys.executable, "-c", refusal], f"{folder}/java.log")
        outcome = flat.measure(options.flat([*TINY, "--peers", "none", "--java"]), self.folder)
        self.checked(outcome.records, ["nearfield"])
        self.assertEqual(outcome.notes, ["nearfield-java: hello: [3] threads"])

    def test_a_worker_that_dies_is_left_out(self):
        """A peer killed in the rounds, as by the system for memory."""
        self.addCleanup(Worker.stop_all)
        chosen, notes = options.flat(TINY), []
        ours = flat.System("nearfield", Worker("nearfield", [sys.executable, "-c", ECHO], f"{self.folder}/a.log"), "", {})
        peer = flat.System("peer", Worker("peer", [sys.executable, "-c", "input()"], f"{self.folder}/b.log"), "", {})
        systems = [ours, peer]
        flat.rounds(systems, 1, chosen, notes)
        self.assertEqual((systems, len(ours.seconds)), ([ours], 2))
        self.assertIn("peer: the worker ended", notes[0])
        with self.assertRaises(BenchError):
            flat.rounds([peer], 1, chosen, notes)


# At the end of what a library says of itself.
COMPILER = r"; [0-9.]+ [a-z0-9;]+, (gcc|clang|Apple clang) [0-9.]+"


def outcome_of(times: float) -> flat.Outcome:
    """The packaged library taking so many times the local build's second."""
    records = [{"system": s, "backend": "cpu", "device": "", "workload": "packaged", "data": "isotropic", "rows": 100_000, "dim": 128, "batch": 480, "k": 10, "metric": "l2",
                "median_s": t, "min_s": t, "max_s": t, "qps": 480 / t, "limit_fraction": None, "recall": 1.0, "ratio": t / times}
               for s, t in (("nearfield", times), ("nearfield-local", 1.0))]  # fmt: skip
    return flat.Outcome(records, {"flops_per_s": 1.0}, "arithmetic", [], {}, "0.1.0 avx2, clang 1.2.3, packaged")


ECHO = """
import sys
for _ in sys.stdin: print('{"ok":true,"seconds":1,"p50_s":1}', flush=True)
"""
