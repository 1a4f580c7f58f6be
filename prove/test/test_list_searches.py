# SPDX-License-Identifier: Apache-2.0
"""Searches of lists: the CPU's for a GPU's, workers that answer something else, and a backend that has no lists."""

import codes
import list_searches
import record
from phases import Absent, CutShort, Failed
from stand_ins import RELEASE, SMALL, StandInTest
from worker import Worker


class PhaseTest(StandInTest):
    def setUp(self):
        super().setUp()
        self.here = self.session()
        self.here.backend = "cpu"
        # The backend here has no path `direct`: by rows its own has the same bits.
        before, codes.DIRECT = codes.DIRECT, ""
        self.addCleanup(setattr, codes, "DIRECT", before)

    def measure(self, seconds: float = 60) -> str:
        self.entry = {}
        return list_searches.measure(self.here, self.entry, seconds, lambda: None)

    def changed(self, script: str) -> None:
        """Of all workers: what sed makes of their commands."""
        program = self.here.build.folder / "bin" / "nearfield_bench"
        program.unlink()
        program.write_text(f"#!/bin/sh\nsed -u '{script}' | '{RELEASE}/bin/nearfield_bench'\n")
        program.chmod(0o755)

    def test_all_workloads(self):
        self.assertRegex(self.measure(), "^8 workloads, exact searches have the bits of the direct form; recall of a target of 0.95: [01][.][0-9]{4} at least$")
        self.assertEqual([(p["form"], p["batch"]) for p in self.entry["points"]], [(form, batch) for form in ("rows", "codes") for _ in range(2) for batch in (1, 40)])
        for point in self.entry["points"]:
            self.assertTrue(0 < point["nearfield"]["min_s"] <= point["nearfield"]["median_s"])
            self.assertGreaterEqual(point["nearfield"]["rounds"], 3)
            self.assertTrue(1 <= point["lists_scanned"] <= SMALL.lists, point)
            self.assertTrue(0 < point["recall"] <= 1 and 0 < point["recall_estimate"] <= 1, point)
            if "probes" in point:
                self.assertTrue(point["recall"] >= list_searches.RECALL or point["probes"] == SMALL.lists, point)
        text = "\n".join(record._lists({**self.entry, "name": "lists"}))
        self.assertIn("| 700 x 20, decaying, 8 lists | codes | target 0.95 | 40 | 3 |", text)
        self.assertIn("Rows added and lists trained in steps of 10 ms: by rows ", text)

    def test_the_fewest_lists(self):
        """That those with one list less miss the recall."""
        self.measure()
        with self.here.workers(30):
            tool, worker = self.here.ours("tool"), self.here.ours()
            self.here.hello(worker)
            base, queries = self.here.dataset(20, tool, list_searches.SPECTRUM)
            judge = list_searches.Judge(self.here, tool, base, queries)
            worker.ask("load", base=base, metric="l2", lists=SMALL.lists)
            probes = next(p["probes"] for p in self.entry["points"] if "probes" in p and p["form"] == "rows")
            self.assertGreater(probes, 1)
            self.assertLess(judge.ask(worker, {"probes": probes - 1})["recall"], list_searches.RECALL)

    def test_a_rehearsal_keeps_no_time(self):
        before = list_searches.PATHS_OF_FEW_ROWS
        list_searches.PATHS_OF_FEW_ROWS = {"rows": "", "codes": ""}  # of GPUs alone
        self.addCleanup(setattr, list_searches, "PATHS_OF_FEW_ROWS", before)
        self.here.emulated, self.here.hello = True, lambda worker, path="": worker.ask("hello", backend="cpu", library=str(self.here.build.lib))
        self.assertIn("no times: emulated", self.measure())
        self.assertEqual(len(self.entry["points"]), 8)
        for point in self.entry["points"]:
            self.assertNotIn("nearfield", point)
        self.assertEqual(set(self.entry["loads"]["codes"]), {"smallest_list", "largest_list"})
        self.assertNotIn(" ms", "\n".join(record._lists(self.entry)))

    def test_an_exact_search_that_is_none_fails(self):
        self.changed('s/"exact": 1/"probes": 1/')
        with self.assertRaisesRegex(Failed, "rows: the rows of exact searches through lists are not bit for bit those of the direct form"):
            self.measure()

    def test_wrong_distances_fail(self):
        """Of another metric than the one that is asked for."""
        self.changed('s/"command": "load", \\(.*\\)"metric": "l2"/"command": "load", \\1"metric": "cosine"/')
        with self.assertRaisesRegex(Failed, "distances of searches of lists are wrong: query 0 "):
            self.measure()

    def test_no_time(self):
        with self.assertRaisesRegex(CutShort, "0 of 8 workloads"):
            self.measure(0)

    def test_a_backend_without_lists(self):
        self.here.backend = "cuda"  # the planted one
        with self.assertRaisesRegex(Absent, list_searches.NOT_BUILT):
            self.measure()

    def test_a_worker_that_ends_fails(self):
        self.here.ours = lambda name="nearfield": Worker(name, ["false"], self.here.log(name))
        with self.assertRaisesRegex(Exception, "the worker ended at"):
            self.measure()
