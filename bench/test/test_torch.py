# SPDX-License-Identifier: Apache-2.0
"""The torch peer over a stand-in for torch: its forms, its protocol, its limits."""

import os
import sys
from pathlib import Path

import peers
from test_worker import WorkerTest

STAND_INS = str(Path(__file__).resolve().parent / "stand_ins")


class TorchTest(WorkerTest):
    def setUp(self):
        super().setUp()
        try:
            site = str(peers.install("numpy"))
        except peers.NotInstalled as failed:
            if os.environ.get("CI"):
                raise
            self.skipTest(str(failed))
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([STAND_INS, site])
        self.addCleanup(lambda: os.environ.pop("PYTHONPATH") if before is None else os.environ.__setitem__("PYTHONPATH", before))

    def torch(self):
        worker = peers.start("torch", 2, {}, self.path("torch.log"))
        self.assertEqual(worker.ask("hello", threads=2)["backend"], "cpu")
        return worker

    def test_answers_are_the_truth(self):
        tool = self.start()
        for metric in ("l2", "cosine", "dot", "manhattan"):
            with self.subTest(metric=metric):
                common = {"dim": 12, "metric": metric, "seed": 1}
                tool.ask("generate", to=self.path("base"), rows=400, **common)
                tool.ask("generate", to=self.path("queries"), rows=30, first=400, **common)
                worker = self.torch()
                worker.ask("load", base=self.path("base"), metric=metric)
                worker.ask("workload", queries=self.path("queries"), batch=20, k=7)
                self.assertIn("topk", worker.ask("tune")["settings"])
                self.assertGreater(worker.ask("run", calls=2)["seconds"], 0)
                worker.ask("answers", to=self.path("answers"))
                tool.ask("truth", base=self.path("base"), queries=self.path("queries"), metric=metric, k=7, to=self.path("truth"))
                found = tool.ask("recall", base=self.path("base"), queries=self.path("queries"), metric=metric, k=7,
                                 truth=self.path("truth"), answers=self.path("answers"), form="expanded")  # fmt: skip
                self.assertEqual((found["recall"], found["wrong_distances"]), (1, 0), found)
                worker.stop()

    def test_both_forms_of_l2(self):
        sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep) + [str(peers.FOLDER)]
        self.addCleanup(sys.path.__delitem__, slice(0, 3))
        ours = sys.modules.pop("worker")  # the peers' module of that name
        self.addCleanup(sys.modules.__setitem__, "worker", ours)
        import numpy as np
        import torch_worker

        peer = torch_worker.Torch()
        peer.hello(2)
        random = np.random.default_rng(3)
        base, queries = random.standard_normal((50, 6), np.float32), random.standard_normal((9, 6), np.float32)
        peer.build(base, "l2")
        answers = {}
        for peer.method in ("matmul", "cdist"):
            for peer.block in (2, 100):
                answers[peer.method, peer.block] = peer.answers(peer.search(peer.prepare(queries, "l2"), 4), "l2")
        first, *others = answers.values()
        for distances, rows in others:
            np.testing.assert_array_equal(rows, first[1])
            np.testing.assert_allclose(distances, first[0], rtol=1e-5, atol=1e-5)

    def test_precisions(self):
        tool, worker = self.start(), self.torch()
        for name, rows, first in (("base", 400, 0), ("queries", 30, 400)):
            tool.ask("generate", to=self.path(name), rows=rows, first=first, dim=12, metric="l2", seed=1)
        worker.ask("load", base=self.path("base"), metric="l2")
        found = {}
        for precision in ("f32", "tf32", "bf16"):
            workload = {"queries": self.path("queries"), "batch": 30, "k": 7, "precision": precision}
            worker.ask("workload", **workload)
            self.assertIn(f"{precision}, ", worker.ask("tune")["settings"])
            worker.ask("answers", to=self.path(precision))
            found[precision] = [Path(self.path(f"{precision}.{ending}")).read_bytes() for ending in ("rows", "distances")]
        self.assertEqual(found["tf32"], found["f32"])  # of the stand-in
        self.assertNotEqual(found["bf16"][1], found["f32"][1])
        self.assertTrue(self.fails(lambda: worker.ask("workload", **{**workload, "precision": "f64"}), "no precision f64").unsupported)

    def test_limits(self):
        found = self.torch().ask("limits", bytes=1 << 22, seconds=0.05)
        for key in ("copy_bytes_per_s", "f32_flops_per_s", "bf16_flops_per_s"):
            self.assertGreater(found[key], 0)

    def test_what_it_lacks(self):
        worker, tool = self.torch(), self.start()
        tool.ask("generate", to=self.path("base"), rows=10, dim=3, metric="poincare", seed=1)
        self.assertTrue(self.fails(lambda: worker.ask("load", base=self.path("base"), metric="poincare"), "poincare").unsupported)
