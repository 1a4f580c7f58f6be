# SPDX-License-Identifier: Apache-2.0
"""Scans of codes beside scans of rows: stand-ins for the workers, and a backend that has no codes."""

import codes
from phases import Absent, CutShort, Failed
from stand_ins import StandInTest
from worker import WorkerFailed

REPLY = {"seconds": 0.001, "p50_s": 0.001, "queries": 4, "certified": 4, "rescored_p50": 7, "scanned_bytes": 20, "whole_bytes": 100}


class StandInWorker:
    """Answers as the native worker does; its answers are `answers`."""

    def __init__(self, answers: bytes, **reply):
        self.answers, self.reply = answers, {**REPLY, **reply}

    def ask(self, command: str, **keys) -> dict:
        if "scan_dtype" in keys:
            raise WorkerFailed(f"load: scan_dtype=3, {codes.NOT_BUILT} in this version of the backend")
        if command == "answers":
            for ending in ("rows", "distances"):
                with open(f"{keys['to']}.{ending}", "wb") as out:
                    out.write(self.answers)
        return self.reply


class CodesTest(StandInTest):
    def point(self, emulated: bool = False, answers: bytes = b"same", **reply) -> dict:
        session = self.session()
        session.emulated = emulated
        systems = [codes.Coded("rows", StandInWorker(b"same")), codes.Coded("codes", StandInWorker(answers, **reply))]
        return codes._point(session, systems, ("decaying", 20, 16), "queries", 0)

    def setUp(self):
        super().setUp()
        self.made = self.build()

    def session(self, build=None):
        return super().session(self.made)

    def test_a_point(self):
        found = self.point()
        self.assertEqual((found["spectrum"], found["dim"], found["batch"], found["read_share"], found["rescored_p50"]), ("decaying", 20, 16, 0.2, 7))
        self.assertEqual(found["ratio"], 1)

    def test_a_rehearsal_keeps_no_time(self):
        found = self.point(emulated=True)
        self.assertFalse({"by_rows", "by_codes", "ratio"} & set(found))
        self.assertEqual(found["read_share"], 0.2)

    def test_what_fails(self):
        for words, change in {"not bit for bit": {"answers": b"other"}, "1 of 4 answers are not certified": {"certified": 3, "seconds": 100},
                              "the codes were not used": {"whole_bytes": 0}}.items():  # fmt: skip
            with self.assertRaisesRegex(Failed, words):
                self.point(**change)

    def test_a_backend_that_leaves_its_codes_unused(self):
        entry = {}
        with self.assertRaisesRegex(Failed, "decaying, batch 1: the codes were not used"):
            codes.measure(self.session(), entry, 60, lambda: None)
        self.assertEqual(entry["points"], [])

    def test_a_backend_without_codes(self):
        session = self.session()
        session.ours = lambda name: StandInWorker(b"", device="it", emulated=0)
        with self.assertRaisesRegex(Absent, codes.NOT_BUILT):
            codes.measure(session, {}, 60, lambda: None)

    def test_no_time(self):
        with self.assertRaisesRegex(CutShort, "0 of 4 workloads"):
            codes.measure(self.session(), {}, 0, lambda: None)
