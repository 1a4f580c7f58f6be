# SPDX-License-Identifier: Apache-2.0
"""Data files that are what they claim to be, and all the ways of not being it."""

import os
import struct
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path

import data
import dataset
import machine
import options
import peers
from errors import BenchError, Missing, UsageError


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="nearfield bench ")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name: str, content: bytes) -> str:
        path = os.path.join(self.folder, name)
        Path(path).write_bytes(content)
        return path

    def refused(self, work, *words: str):
        with self.assertRaises(UsageError) as caught:
            work()
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))


def vecs(rows, kind: str = "f") -> bytes:
    return b"".join(struct.pack(f"<i{len(row)}{kind}", len(row), *row) for row in rows)


def bins(rows, kind: str = "f") -> bytes:
    return struct.pack("<II", len(rows), len(rows[0])) + b"".join(struct.pack(f"<{len(row)}{kind}", *row) for row in rows)


ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.5], [0.0, -1.0, 2.0]]


class FormatsTest(Files):
    def test_fvecs_becomes_fbin(self):
        vectors = data.describe(self.file("a.fvecs", vecs(ROWS)), ("fvecs", "fbin"))
        self.assertEqual((vectors.rows, vectors.dim), (4, 3))
        to = os.path.join(self.folder, "a.fbin")
        self.assertEqual(Path(data.as_fbin(vectors, 4, to)).read_bytes(), bins(ROWS))
        self.assertEqual(Path(data.as_fbin(vectors, 2, to)).read_bytes(), bins(ROWS[:2]))

    def test_many_blocks(self):
        self.addCleanup(setattr, data, "CHUNK", data.CHUNK)
        data.CHUNK = 40  # two rows
        vectors = data.describe(self.file("a.fvecs", vecs(ROWS)), ("fvecs",))
        self.assertEqual(b"".join(vectors.blocks(3)), bins(ROWS[:3])[8:])
        self.refused(lambda: list(data.describe(self.file("b.fvecs", vecs(ROWS[:3]) + struct.pack("<i3f", 4, 1, 2, 3)), ("fvecs",)).blocks(4)),
                     "row 3", "4", "3")  # fmt: skip

    def test_fbin_is_used_as_it_is(self):
        path = self.file("a.fbin", bins(ROWS))
        vectors = data.describe(path, ("fbin",))
        self.assertEqual(data.as_fbin(vectors, 4, "unused"), os.path.abspath(path))
        part = data.head(path, 3, os.path.join(self.folder, "part.fbin"))
        self.assertEqual(Path(part).read_bytes(), bins(ROWS[:3]))

    def test_not_what_they_claim(self):
        def opened(name: str, content: bytes, *kinds: str):
            return lambda: data.describe(self.file(name, content), kinds or ("fvecs", "fbin"))

        self.refused(opened("a.fbin", bins(ROWS)[:-1]), "a.fbin", "55", "56")
        self.refused(opened("a.fbin", bins(ROWS) + b"x"), "57", "4 rows x 3")
        self.refused(opened("a.fbin", b""), "0 bytes", "8")
        self.refused(opened("a.fbin", struct.pack("<II", 0, 3)), "0 rows")
        self.refused(opened("a.fbin", struct.pack("<II", 4294967295, 4294967295)), "8 bytes")
        self.refused(opened("a.fvecs", vecs(ROWS)[:-4]), "60 bytes", "3 dimensions")
        self.refused(opened("a.fvecs", b"\x01"), "1 bytes")
        self.refused(opened("a.fvecs", struct.pack("<if", -1, 1.0)), "-1 dimensions")
        self.refused(opened("a.fvecs", b"#!/bin/sh\necho no\n"), "a.fvecs")
        self.refused(opened("a.txt", b"1 2 3"), ".fvecs", ".fbin")
        self.refused(opened("a.fvecs", vecs(ROWS), "ivecs", "ibin"), ".ivecs")
        self.refused(lambda: data.describe(os.path.join(self.folder, "no.fbin"), ("fbin",)), "not there")
        self.refused(lambda: data.describe(os.path.join(self.folder, "."), ("fbin",)), "end in")

    def test_shrinks_while_it_is_read(self):
        path = self.file("a.fvecs", vecs(ROWS))
        vectors = data.describe(path, ("fvecs",))
        os.truncate(path, 20)
        self.refused(lambda: list(vectors.blocks(4)), "ends in row 1")

    def test_truth(self):
        truth = data.describe(self.file("t.ivecs", vecs([[0, 1, 2], [3, 2, 1]], "i")), ("ivecs",))
        to = os.path.join(self.folder, "truth.rows")
        data.truth_rows(truth, 2, 2, 4, to, range(0, 2))
        self.assertEqual(Path(to).read_bytes(), struct.pack("<4q", 0, 1, 3, 2))
        self.refused(lambda: data.truth_rows(truth, 2, 2, 3, to, range(0, 2)), "query 1", "row 3", "3 rows")
        self.refused(lambda: data.truth_rows(truth, 4, 2, 4, to, range(0, 2)), "3 neighbours", "k is 4")
        self.refused(lambda: data.truth_rows(truth, 2, 5, 4, to, range(0, 2)), "2 queries", "5")


class DatasetTest(Files):
    def prepare(self, *arguments: str):
        chosen = options.flat(["--batch", "2", "--k", "2", *arguments])
        return dataset.prepare(chosen, None, self.folder, 1)  # no worker: nothing is to be generated

    def test_files(self):
        base, queries = self.file("b.fvecs", vecs(ROWS)), self.file("q.fbin", bins(ROWS[:2]))
        made = self.prepare("--base", base, "--queries", queries)
        self.assertEqual((made.rows, made.dim, made.query_count, made.truth), (4, 3, 2, None))
        self.assertEqual(self.prepare("--base", base, "--queries", queries, "--rows", "3").rows, 3)

    def test_rows_held_out_are_the_queries(self):
        self.addCleanup(setattr, dataset, "HELD", dataset.HELD)
        dataset.HELD = 4
        rows = [[float(i), -float(i)] for i in range(1014)]
        for name, content in (("b.fbin", bins(rows)), ("b.fvecs", vecs(rows))):
            made = self.prepare("--base", self.file(name, content))
            self.assertEqual((made.rows, made.query_count, made.truth), (14, 1000, None))
            (base, queries) = (struct.unpack(f"<II{2 * count}f", Path(path).read_bytes()) for path, count in ((made.base, 14), (made.queries, 1000)))
            self.assertEqual((base[:2], queries[:2]), ((14, 2), (1000, 2)))
            self.assertEqual(sorted(base[2::2] + queries[2::2]), [float(i) for i in range(1014)], "each row is in one of both")
            gaps = [b - a for a, b in zip(base[2::2], base[4::2])]
            self.assertTrue(all(70 <= gap <= 74 for gap in gaps), gaps)
        path = self.file("b.fbin", bins(rows))
        self.assertEqual(self.prepare("--base", path, "--rows", "3").rows, 3)
        self.refused(lambda: self.prepare("--base", path, "--rows", "15"), "--rows=15", "1014 rows", "1000")
        self.refused(lambda: self.prepare("--base", self.file("small.fbin", bins(ROWS))), "4 rows", "1000")

    def test_disk_is_needed_only_for_copies(self):
        self.addCleanup(setattr, dataset.shutil, "disk_usage", dataset.shutil.disk_usage)
        dataset.shutil.disk_usage = lambda _: types.SimpleNamespace(free=50)
        base, queries = self.file("b.fbin", bins(ROWS)), self.file("q.fbin", bins(ROWS[:2]))
        self.assertEqual(self.prepare("--base", base, "--queries", queries).rows, 4)
        with self.assertRaises(Missing):  # 56 bytes
            self.prepare("--base", self.file("b.fvecs", vecs(ROWS)), "--queries", queries)

    def test_files_that_do_not_fit(self):
        base, queries = self.file("b.fvecs", vecs(ROWS)), self.file("q.fbin", bins([[1.0, 2.0], [3.0, 4.0]]))
        self.refused(lambda: self.prepare("--base", base, "--queries", queries), "3 dimensions", "has 2")
        good = self.file("g.fbin", bins(ROWS[:2]))
        self.refused(lambda: self.prepare("--base", base, "--queries", good, "--rows", "5"), "--rows=5", "4 rows")
        self.refused(lambda: self.prepare("--base", base, "--queries", good, "--dim", "4"), "--dim=4", "3")
        self.refused(lambda: self.prepare("--base", base, "--queries", good, "--batch", "3"), "--batch=3", "2 queries")
        truth = self.file("t.ivecs", vecs([[0, 1]], "i"))
        self.refused(lambda: self.prepare("--base", base, "--queries", good, "--truth", truth), "1 queries", "has 2")
        truth = self.file("t.ivecs", vecs([[0], [1]], "i"))
        self.refused(lambda: self.prepare("--base", base, "--queries", good, "--truth", truth), "1 neighbours", "k is 2")

    def test_more_than_memory(self):
        self.addCleanup(setattr, machine, "available_memory", machine.available_memory)
        machine.available_memory = lambda: 3 << 30
        one = options.flat([])

        def check(*arguments):
            return lambda: dataset.check_memory(*arguments)

        check(1_000_000, 128, 1000, one, 3)()
        self.refused(check(2_000_000, 128, 1000, one, 3), "2000000 rows x 128", "4.8 GiB", "3.0 GiB")
        self.refused(check(10, 128, 10_000_000, one, 1), "10000000 queries")
        self.refused(check(10, 128, 1000, options.flat(["--k", "2000000000"]), 1), "k=2000000000")
        self.refused(lambda: self.prepare("--rows", "4000000000", "--dim", "4096"), "GiB")
        self.refused(lambda: self.prepare("--rows", "10", "--batch", "4000000000"), "GiB")
        machine.available_memory = lambda: None
        check(2_000_000, 128, 1000, one, 3)()


class Hdf5Test(Files):
    """h5py comes from its wheel, as in a run."""

    WRITE = """
import h5py, numpy as np, sys
kind, path = sys.argv[1:]
rows = np.arange(12, dtype=np.float32).reshape(4, 3)
with h5py.File(path, "w") as f:
    if kind == "empty": raise SystemExit
    f["train"] = rows.astype(np.int32) if kind == "integers" else rows
    f["test"] = rows[:2, :2] if kind == "narrow" else rows[:2]
    f["neighbors"] = np.array([[0, 1], [1, 0]] if kind != "short" else [[0, 1]], np.int32)
    f.attrs["distance"] = "angular"
"""

    def setUp(self):
        super().setUp()
        try:
            self.site = str(peers.install("hdf5"))
        except BenchError as failed:
            if os.environ.get("CI"):
                raise
            self.skipTest(f"no h5py here: {failed}")

    def made(self, kind: str, *more: str):
        path = os.path.join(self.folder, f"{kind}.hdf5")
        subprocess.run([sys.executable, "-c", self.WRITE, kind, path], check=True, env={**os.environ, "PYTHONPATH": self.site})
        return dataset.prepare(options.flat(["--base", path, "--batch", "2", "--k", "2", *more]), None, self.folder, 1)

    def test_ann_benchmarks(self):
        made = self.made("good")
        self.assertEqual((made.rows, made.dim, made.query_count, made.metric), (4, 3, 2, "cosine"))
        self.assertEqual(Path(made.base).read_bytes(), struct.pack("<II12f", 4, 3, *range(12)))
        self.assertEqual((made.truth.rows, made.truth.dim), (2, 2))
        self.assertIsNone(self.made("good", "--metric", "l2").truth)
        self.assertIsNone(self.made("good", "--rows", "3").truth)

    def test_not_what_they_claim(self):
        self.refused(lambda: self.made("empty"), "no matrix 'train'")
        self.refused(lambda: self.made("integers"), "int32")
        self.refused(lambda: self.made("narrow"), "3 dimensions", "has 2")
        self.refused(lambda: self.made("short"), "neighbors", "2 queries")
        fake = self.file("fake.hdf5", b"not at all")
        self.refused(lambda: dataset.prepare(options.flat(["--base", fake]), None, self.folder, 1), "fake.hdf5", "no HDF5")
        gone = os.path.join(self.folder, "gone.hdf5")
        self.refused(lambda: dataset.prepare(options.flat(["--base", gone]), None, self.folder, 1), "not there")
