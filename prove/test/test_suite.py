# SPDX-License-Identifier: Apache-2.0
"""What is read from the suite, from the real program and from planted outputs."""

import unittest

import children
import suite
from stand_ins import StandInTest

OUTPUT = """\
cuda: NVIDIA H200, forced paths: direct
nearfield_suite: 5 cases, quick, seed 1
ok       2.4 ms cuda search(metric=l2,dim=7,rows=20011,k=9,batch=1,data=zeros)
-        0.1 ms cuda bits-paths(metric=l2,dim=7,rows=10,k=9,batch=1,data=zeros): no other path
FAIL cuda search(metric=dot,dim=7,rows=20011,k=9,batch=1,data=zeros)
  row 3 is missing
  rerun: nearfield_suite --case 'x'
"""
END = """
operation     metric                                  cuda
What really ran: cuda on NVIDIA H200 (CUDA 13.0 / 580.159).
1 passed, 1 failed, 1 skipped
"""


class ReadTest(unittest.TestCase):
    def test_a_whole_run(self):
        column = suite.read("cuda", children.Ended(1, OUTPUT + END, False))
        self.assertEqual((column.passed, column.failed, column.skipped), (1, 1, 1))
        self.assertEqual(column.operations, {"search": {"l2": [1, 0, 0], "dot": [0, 1, 0]}, "bits-paths": {"l2": [0, 0, 1]}})
        self.assertEqual(column.device, "cuda on NVIDIA H200 (CUDA 13.0 / 580.159)")
        self.assertIn("row 3 is missing", column.failures[0])
        self.assertIn("rerun:", suite.sentence(column))

    def test_one_that_was_ended(self):
        column = suite.read("cuda", children.Ended(-15, OUTPUT, True))
        self.assertEqual((column.passed, column.failed, column.skipped, column.device), (1, 1, 1, ""))

    def test_one_that_died_without_a_failure(self):
        column = suite.read("cuda", children.Ended(-11, OUTPUT.replace("FAIL", "odd"), False))
        self.assertIn("ended with status -11", suite.sentence(column))


class RunTest(StandInTest):
    def test_the_suite_on_a_stand_in(self):
        build = self.build()
        column = suite.run(build, "cuda", str(self.folder / "log"), 60, {}, "--smoke", "--case", "(metric=l2")
        self.assertGreater(column.passed, 30)
        # The planted backend's paths are faults: what forces paths must see them.
        failed = ["bits-paths", "kmeans-many", "codes", "codes-capped", "codes-model"]
        self.assertEqual([op for op, metrics in column.operations.items() if metrics["l2"][1]], failed)
        self.assertEqual(column.failed, len(failed))
        self.assertTrue(column.device.startswith("cuda on scalar reference"), column.device)

    def test_a_missing_device_fails(self):
        build = self.build()
        build.library("cuda").unlink()
        column = suite.run(build, "cuda", str(self.folder / "log"), 60, {}, "--smoke", "--case", "knn(metric=l2")
        self.assertGreater(column.failed, 0)
        self.assertEqual(column.passed, 0)
        self.assertIn("libnearfield_cuda.so", column.absent)
