# SPDX-License-Identifier: Apache-2.0
"""The measurement beside a stand-in for torch."""

import sys
from pathlib import Path

import record
import session as sessions
import speed
from phases import CutShort
from stand_ins import RELEASE, SMALL, StandInTest
from worker import Worker

ALL = len(SMALL.dims) * len(SMALL.batches) * len(SMALL.ks)


class SpeedTest(StandInTest):
    def setUp(self):
        super().setUp()
        before, speed.PEER = speed.PEER, speed.STAND_IN
        self.addCleanup(setattr, speed, "PEER", before)
        self.saves = 0

    def measure(self, mode: str = "", seconds: float = 60, emulated: bool = False) -> tuple[dict, str]:
        self.setting("FAKE_TORCH", mode)
        session, entry = self.session(getattr(self, "made", None)), {}
        session.emulated = emulated
        session.device = {"copy_bytes_per_s": 7e9, "multiply_add_flops_per_s": 6e13}

        def save() -> None:
            self.saves += 1

        try:
            return entry, speed.measure(session, entry, seconds, save)
        except CutShort as short:
            return entry, str(short)

    def test_beside_torch(self):
        entry, sentence = self.measure()
        self.assertEqual(sentence, f"{ALL} workloads beside torch")
        self.assertEqual((self.saves, len(entry["points"])), (ALL, ALL))
        for point in entry["points"]:
            self.assertEqual((point["agreement"], point["recall"], point["torch_recall"]), (1, 1, 1))
            self.assertAlmostEqual(point["ratio"], point["torch"]["median_s"] / point["nearfield"]["median_s"], delta=0.01 * point["ratio"])
            self.assertEqual(point["torch_settings"], "as it likes")
        limits = entry["limits"]  # the better of the driver's and torch's
        self.assertEqual((limits["copy_bytes_per_s"], limits["f32_flops_per_s"], limits["bf16_flops_per_s"]), (7e9, 9e13, 8e14))

    def test_a_rehearsal_keeps_no_time(self):
        self.made = self.build()
        program = self.made.folder / "bin" / "nearfield_bench"
        program.unlink()
        program.write_text(f"#!/bin/sh\n'{RELEASE}/bin/nearfield_bench' | sed -u 's/\"emulated\": *0/\"emulated\":1/'\n")
        program.chmod(0o755)
        entry, sentence = self.measure(emulated=True)
        self.assertIn("no times", sentence)
        for point in entry["points"]:
            self.assertEqual(point["agreement"], 1)
            for key in ("nearfield", "torch", "ratio"):
                self.assertNotIn(key, point)
        self.assertNotIn("loads", entry)
        self.assertIsNone(entry["limits"]["copy_bytes_per_s"])
        self.assertEqual(entry["limits"]["torch"], {})

    def test_torch_that_dies_is_left_out_from_there_on(self):
        entry, sentence = self.measure("dies")
        self.assertEqual(len(entry["points"]), ALL)
        self.assertIn("out of memory", str([p.get("without_torch") for p in entry["points"]]))
        self.assertNotIn("torch", entry["points"][-1])
        self.assertIn("nearfield", entry["points"][-1])

    def test_torch_without_a_gpu_is_no_peer(self):
        entry, sentence = self.measure("cpu")
        self.assertIn("without torch: torch 2.0 sees no GPU", sentence)

    def test_wrong_answers_of_torch_are_shown_and_are_not_ours(self):
        entry, _ = self.measure("wrong")
        for point in entry["points"]:
            self.assertEqual(point["recall"], 1)
            self.assertLess(point["torch_recall"], 1)
            self.assertLess(point["agreement"], 1)

    def test_no_torch_at_all(self):
        speed.PEER = self.folder / "torch_worker.py"
        speed.PEER.write_text("import sys\nraise ModuleNotFoundError(\"No module named 'torch'\")\n")
        entry, sentence = self.measure()
        self.assertEqual(sentence, f"{ALL} workloads without torch: it is not installed for this python3")

    def test_a_rehearsal_has_a_stand_in(self):
        speed.PEER = self.folder / "torch_worker.py"
        speed.PEER.write_text("import sys\nraise ModuleNotFoundError(\"No module named 'torch'\")\n")
        session, entry = self.session(), {}
        session.emulated = True
        with session.workers(30):
            torch = speed.start_torch(session, entry)
            self.assertEqual(entry, {"torch": {"stand_in": "it is not installed for this python3"}})
            self.assertEqual(speed.beside(entry), "beside a stand-in for torch")
            base, _ = session.dataset(8, session.ours())
            self.assertEqual(torch.worker.ask("load", base=base, metric="l2")["rows"], SMALL.rows)
        text = "\n".join(record._torch({**entry, "points": [{"rows": 7, "dim": 8, "spectrum": "decaying", "batch": 1, "k": 3, "torch": {}}]}))
        self.assertIn("torch is played by the CPU backend: it is not installed for this python3.", text)

    def test_a_hang_keeps_what_was_measured(self):
        before, sessions.GRACE = sessions.GRACE, 1
        self.addCleanup(setattr, sessions, "GRACE", before)
        entry, sentence = self.measure("hangs", seconds=4)  # torch does
        self.assertTrue(1 <= len(entry["points"]) < ALL)
        self.assertIn(f"of {ALL} workloads", sentence)
        self.assertIn("ended at 'run' with signal 9", entry["points"][-1]["without_torch"])

    def test_a_torch_that_hangs_is_ended_alone(self):
        before, sessions.GRACE = sessions.GRACE, 20
        self.addCleanup(setattr, sessions, "GRACE", before)
        session = self.session()
        with session.workers(-9):
            torch, ours = (Worker(name, ["sleep", "60"], session.log(name)) for name in ("torch", "nearfield"))
            self.assertEqual(torch.process.wait(timeout=8), -9)
            self.assertIsNone(ours.process.poll())

    def test_our_own_hang_keeps_what_was_measured(self):
        before, sessions.GRACE = sessions.GRACE, 1
        self.addCleanup(setattr, sessions, "GRACE", before)
        made = self.build()
        program = made.folder / "bin" / "nearfield_bench"
        program.unlink()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{speed.STAND_IN}"\n')
        program.chmod(0o755)
        self.made = made
        speed.PEER = self.folder / "none.py"
        entry, sentence = self.measure("hangs", seconds=4)
        self.assertTrue(1 <= len(entry["points"]) < ALL)
        self.assertIn(f"of {ALL} workloads, in the next no answer for 1 s beyond", sentence)

    def test_no_time(self):
        entry, sentence = self.measure(seconds=0.0)
        self.assertIn(f"of {ALL} workloads", sentence)
        self.assertLess(len(entry["points"]), ALL)
