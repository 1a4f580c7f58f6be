# SPDX-License-Identifier: Apache-2.0
"""Codes beside rows, the direct form and torch: stand-ins for the workers, and a backend that has no codes."""

import codes
import goals
import record
import session as sessions
import speed
from phases import Absent, CutShort, Failed
from stand_ins import StandInTest
from worker import WorkerFailed

REPLY = {"seconds": 0.001, "p50_s": 0.001, "queries": 4, "certified": 4, "rescored_p50": 7, "scanned_bytes": 20, "whole_bytes": 100,
         "code_bytes": 9, "device_bytes": 9, "fit_s": 1.0, "fit_steps": 1, "rotated": 1, "level_dims": 8, "settings": "the best"}  # fmt: skip


class StandInWorker:
    """Answers as the native worker and torch do; each byte of `answers` is all of one query's."""

    def __init__(self, answers: bytes = b"s" * 8, **reply):
        self.answers, self.reply, self.asked = answers, {**REPLY, **reply}, []

    def ask(self, command: str, **keys) -> dict:
        self.asked.append((command, keys))
        if self.reply.get("fails") == command:
            raise WorkerFailed("out of memory")
        if "scan_dtype" in keys and self.reply.get("no_codes"):
            raise WorkerFailed(f"load: scan_dtype=3, {codes.NOT_BUILT} in this version of the backend")
        if command == "answers":
            for ending in ("rows", "distances"):
                with open(f"{keys['to']}.{ending}", "wb") as out:
                    out.write(self.answers)
        return self.reply


class PointTest(StandInTest):
    def setUp(self):
        super().setUp()
        made = self.build()
        self.here = self.session(made)

    def point(self, emulated: bool = False, answers: bytes = b"s" * 8, batch: int = 16, k: int = 3, torch: StandInWorker = None, **reply) -> dict:
        self.here.emulated = emulated
        systems = [codes.Coded("rows", StandInWorker()), codes.Coded("codes", StandInWorker(answers, **reply))]
        direct = codes.Direct(self.here, StandInWorker(b"s" * 64))
        direct.load("base", "queries")
        precisions = [codes.Precision(name, torch or StandInWorker()) for name in codes.PRECISIONS]
        return codes._point(self.here, (systems, direct, precisions), ("decaying", 20, batch, k), "queries", 0)

    def test_a_point(self):
        found = self.point()
        self.assertEqual((found["spectrum"], found["dim"], found["batch"], found["k"], found["read_share"], found["rescored_p50"]), ("decaying", 20, 16, 3, 0.2, 7))
        self.assertEqual(found["ratio"], 1)
        self.assertEqual(list(found["torch"]), ["f32", "tf32", "bf16"])
        for of in found["torch"].values():
            self.assertEqual((of["settings"], of["agreement"], of["by_rows_ratio"], of["by_codes_ratio"]), ("the best", 1, 1, 1))

    def test_each_precision_is_asked_for_before_each_run(self):
        torch = StandInWorker()
        self.point(torch=torch)
        wanted = [keys["precision"] for command, keys in torch.asked if command == "workload"]
        runs = [at for at, (command, _) in enumerate(torch.asked) if command == "run"]
        self.assertEqual(set(wanted), set(codes.PRECISIONS))
        last = {at: [keys["precision"] for command, keys in torch.asked[:at] if command == "workload"][-1] for at in runs}
        self.assertEqual([last[at] for at in runs[-3:]], list(codes.PRECISIONS))

    def test_a_rehearsal_keeps_no_time(self):
        found = self.point(emulated=True)
        self.assertFalse({"by_rows", "by_codes", "ratio"} & set(found))
        self.assertEqual(found["read_share"], 0.2)
        self.assertEqual(found["torch"]["bf16"], {"settings": "the best", "agreement": 1})

    def test_what_fails(self):
        for words, change in {"by codes are not bit for bit those of the direct form": {"answers": b"sssother"}, "batch 16, k 3: the rows by codes": {"answers": b""},
                              "1 of 4 answers are not certified": {"certified": 3, "seconds": 100}, "the codes were not used": {"whole_bytes": 0}}.items():  # fmt: skip
            with self.assertRaisesRegex(Failed, words):
                self.point(**change)

    def test_codes_need_not_serve_a_large_k_of_few_queries(self):
        self.assertIsNone(self.point(k=40, batch=1, whole_bytes=0)["read_share"])
        with self.assertRaisesRegex(Failed, "the codes were not used"):
            self.point(k=40, batch=40, whole_bytes=0)

    def test_a_precision_that_fails_is_named_and_the_others_stay(self):
        found = self.point(torch=StandInWorker(fails="run"))
        self.assertEqual(found["torch"]["tf32"], {"absent": "out of memory"})
        self.assertEqual(found["ratio"], 1)

    def test_other_rows_of_torch_are_shown(self):
        self.assertEqual(self.point(torch=StandInWorker(b"t" * 8))["torch"]["f32"]["agreement"], 0)


class PhaseTest(StandInTest):
    def setUp(self):
        super().setUp()
        self.here = self.session()
        before, speed.PEER = speed.PEER, speed.STAND_IN
        self.addCleanup(setattr, speed, "PEER", before)

    def measure(self, seconds: float = 60) -> dict:
        self.entry = {}
        return codes.measure(self.here, self.entry, seconds, lambda: None)

    def planted(self) -> None:
        """The backend here has no path `direct`: its own is that."""
        before, codes.DIRECT = codes.DIRECT, ""
        self.addCleanup(setattr, codes, "DIRECT", before)

    def test_a_backend_that_leaves_its_codes_unused(self):
        self.planted()
        with self.assertRaisesRegex(Failed, "decaying, batch 1, k 3: the codes were not used"):
            self.measure()
        self.assertEqual(self.entry["points"], [])

    def test_all_workloads_beside_torch(self):
        self.planted()
        before, codes.served = codes.served, lambda table: []
        self.addCleanup(setattr, codes, "served", before)
        self.assertRegex(self.measure(), "^12 workloads, all answers the bits of the direct form, .* beside torch$")
        self.assertEqual(self.entry["torch"]["version"], "2.0")
        for point in self.entry["points"]:
            for of in point["torch"].values():
                self.assertEqual(of["agreement"], 1)
                self.assertGreater(of["median_s"], 0)
        text = "\n".join(record._torch(self.entry))
        self.assertIn("torch 2.0 on Fake H200", text)
        self.assertEqual(text.count("ahead,") + text.count("**behind**"), 24)

    def test_torch_that_is_missing_is_named(self):
        self.planted()
        before, codes.served = codes.served, lambda table: []
        self.addCleanup(setattr, codes, "served", before)
        speed.PEER = self.folder / "torch_worker.py"
        speed.PEER.write_text("import sys\nraise ModuleNotFoundError(\"No module named 'torch'\")\n")
        self.assertRegex(self.measure(), "without torch: it is not installed for this python3$")
        self.assertIn("Without torch: it is not installed", "\n".join(record._torch(self.entry)))
        self.assertEqual(goals._torch_table(goals.Figures({"phases": [{"name": "codes", **self.entry}]})).measured, goals.NOT_MEASURED)

    def test_a_backend_without_codes(self):
        self.here.ours = lambda name: StandInWorker(no_codes=True, device="it", emulated=0)
        with self.assertRaisesRegex(Absent, codes.NOT_BUILT):
            self.measure()

    def test_no_time(self):
        self.planted()
        with self.assertRaisesRegex(CutShort, "0 of 12 workloads"):
            self.measure(0)

    def test_what_is_compared(self):
        for shape in (sessions.REAL, sessions.TINY):
            for batch, _ in shape.table:
                self.assertEqual(codes.whole(shape, batch) % batch, 0)
                self.assertGreater(codes.whole(shape, batch), 0)
        self.assertEqual([codes.whole(sessions.REAL, batch) for batch in (1, 16, 96, 10_000)], [64, 64, 96, 10_000])
        self.assertNotIn((1, 100), codes.served(sessions.REAL.table))
        self.assertIn((1000, 100), codes.served(sessions.REAL.table))
