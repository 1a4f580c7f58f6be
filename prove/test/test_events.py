# SPDX-License-Identifier: Apache-2.0
"""Kernel times by events: what is read, what is measured, and the driver in between over the emulated one."""

import dataclasses

import codes
import kernel_events
import session as sessions
from phases import Absent, CutShort, Failed
from stand_ins import RELEASE, SMALL, StandInTest


class ReadTest(StandInTest):
    def test_lines(self):
        self.assertEqual(kernel_events.read("flat_m1 2000\nmerge_m1 500\n"), [("flat_m1", 2e-6), ("merge_m1", 5e-7)])
        with self.assertRaisesRegex(Failed, "flat_m1: the driver told no time"):
            kernel_events.read("flat_m1 -1000000\n")

    def test_a_search_is_the_sum_of_its_launches(self):
        runs = [[("flat", 1e-6), ("merge", 1e-6)], [("flat", 2e-6), ("merge", 2e-6), ("flat", 2e-6)], [("flat", 9e-6)]]
        found = kernel_events.summary(runs)
        self.assertEqual((found["calls"], found["seconds"], found["min_s"], found["max_s"]), (3, 6e-6, 2e-6, 9e-6))
        self.assertEqual(found["kernels"]["flat"], {"launches": 1.3333, "seconds": 4.6667e-6})
        self.assertEqual(kernel_events.summary(runs[:1], True), {"kernels": {"flat": {"launches": 1}, "merge": {"launches": 1}}})

    def test_what_is_measured(self):
        session = self.session()
        session.shape, session.data = sessions.REAL, {128: ("b", "q"), 768: ("b", "q")}
        plain, other, *coded, listed = kernel_events._indexes(session)
        self.assertEqual((plain.dim, plain.is_coded, plain.workloads), (128, False, sessions.REAL.table))
        self.assertEqual((other.dim, other.workloads), (768, ((1, 10), (10_000, 10))))
        self.assertEqual([(index.spectrum, index.is_coded) for index in coded], [("decaying", True), ("isotropic", True)])
        self.assertEqual((listed.spectrum, listed.is_coded, listed.lists, listed.workloads), ("decaying", True, 1024, ((1, 10), (10_000, 10))))
        self.assertEqual(listed.facts(), {"dim": 128, "scan_dtype": "i8", "spectrum": "decaying", "lists": 1024, "target_recall": 0.95})
        session.device["compute_capability"] = kernel_events.WARPGROUPS
        forced = kernel_events._indexes(session)[2]
        self.assertEqual((forced.dim, forced.path, forced.workloads), (128, "tf32-mma", ((10_000, 10),)))
        for index in coded:
            self.assertEqual(set(sessions.REAL.table) - set(index.workloads), {(1, 100)})


class PhaseTest(StandInTest):
    def emulated(self) -> sessions.Session:
        driver, between = RELEASE / "simt" / "cuda" / "libcuda.so.1", RELEASE / "prove" / "libcuda.so.1"
        if not driver.exists() or not between.exists():
            self.skipTest("the emulated driver, or the one in between, is not built here")
        session = self.session()
        cuda = session.build.library("cuda")
        cuda.unlink()
        cuda.symlink_to(RELEASE / "lib" / "libnearfield_cuda.so")
        session.build.tool("libcuda.so.1").parent.mkdir()
        session.build.tool("libcuda.so.1").symlink_to(between)
        session.environment, session.emulated = {"LD_LIBRARY_PATH": str(driver.parent)}, True
        session.shape = dataclasses.replace(SMALL, table=((1, 3), (20, 3)))
        return session

    def test_the_driver_in_between_sees_every_launch(self):
        session, entry = self.emulated(), {}
        self.assertEqual(kernel_events.measure(session, entry, 120, lambda: None), "9 workloads, no times: emulated")
        seen = {(w.get("spectrum"), w["batch"]): " ".join(w["kernels"]) for w in entry["workloads"] if not {"lists", "clusters"} & set(w)}
        self.assertRegex(seen[None, 1], "flat_m1_q1")
        self.assertRegex(seen[None, 20], "matrix_tf32_wgmma_m1")
        for spectrum in codes.SPECTRA:
            self.assertRegex(seen[spectrum, 1], "levels_m1")
            self.assertRegex(seen[spectrum, 20], "coded_product_m1.* prune_m1")
        one, many, clusters = entry["workloads"][-3:]
        self.assertEqual((one["lists"], one["batch"], many["lists"], many["batch"], clusters["clusters"]), (8, 1, 8, 40, 8))
        for workload in (one, many):
            self.assertRegex(" ".join(workload["kernels"]), "levels_m1.*|flat_m1")
        self.assertTrue(clusters["kernels"])
        self.assertNotIn("seconds", str(entry["workloads"]))

    def test_times(self):
        """Of the emulator, as if it were a GPU."""
        session, entry = self.emulated(), {}
        session.emulated, session.hello = False, lambda worker, path="": worker.ask("hello", backend="cuda", library=str(session.build.lib))
        self.assertEqual(kernel_events.measure(session, entry, 120, lambda: None), "9 workloads")
        for workload in entry["workloads"]:
            self.assertTrue(0 < workload["min_s"] <= workload["seconds"] <= workload["max_s"] < 10, workload)
            self.assertAlmostEqual(sum(of["seconds"] for of in workload["kernels"].values()) / workload["seconds"], 1, delta=0.9)

    def test_no_time(self):
        with self.assertRaisesRegex(CutShort, "0 of 9 workloads"):
            kernel_events.measure(self.emulated(), {}, 0, lambda: None)

    def test_absent(self):
        with self.assertRaisesRegex(Absent, "was not brought along"):
            kernel_events.measure(self.session(), {}, 5, lambda: None)
