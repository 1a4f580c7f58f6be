# SPDX-License-Identifier: Apache-2.0
"""Targets and report from records made up here."""

import json
import os
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

import ivf
import list_options
import machine
import options
import report
import targets
import workloads
from errors import Missing, UsageError


def record(system: str = "nearfield", ratio: float = 1.0, **other) -> dict:
    whole = {
        "system": system, "backend": "cpu", "device": "A CPU; its setting", "workload": "flat", "data": "isotropic", "rows": 1_000_000, "dim": 128, "batch": 1000,
        "k": 10, "metric": "l2", "median_s": 1.0 * ratio, "min_s": 0.9 * ratio, "max_s": 1.2 * ratio, "qps": 1000 / ratio,
        "limit_fraction": 0.7 / ratio, "recall": 1.0, "ratio": ratio,
    }  # fmt: skip
    return {**whole, **other}


def about(**facts) -> dict:
    name = "flat 1000000x128 l2 batch=1000 k=10"
    return {"machine": machine.describe(),
            "points": {name: {"facts": facts, "limits": {}, "notes": ["usearch has no such metric"], "commit": "c", "bytes": 1, "library": "0.1.0 avx2, clang 1.2.3, packaged", "quick": False}}}  # fmt: skip


class TargetsTest(unittest.TestCase):
    def lines(self, records: list[dict], **facts) -> dict:
        found = targets.lines(targets.Figures(records, about(**facts)))
        return {(line.workload, line.target): (line.measured, line.met) for line in found}

    def test_nothing_measured(self):
        self.assertEqual({met for _, met in self.lines([]).values()}, {None})

    def test_met_and_missed(self):
        name = "1,000,000 x 128 L2, batch 1000"
        found = self.lines([record(), record("faiss", 1.49)])
        self.assertEqual(found[name, "65% of the multiply-add peak"], ("70.0%", True))
        self.assertEqual(found[name, "1.5 x faiss at its best setting"], ("1.49 x", False))
        self.assertEqual(self.lines([record(), record("faiss", 1.5)])[name, "1.5 x faiss at its best setting"], ("1.50 x", True))

    def test_larger_k(self):
        records = [record(), record(k=100, median_s=1.31), record("faiss", 0.99, k=100)]
        found = self.lines(records)
        name = "1M x 128 L2, batch 1000, k = 100"
        self.assertEqual(found[name, "within 1.3 x of our k = 10"], ("1.31 x", False))
        self.assertEqual(found[name, "ahead of faiss"], ("0.99 x", False))

    def test_java_and_memory(self):
        found = self.lines([record(), record("nearfield-java", 1.029)], nearfield={"device_bytes": 1_000_000 * 528 + (64 << 20)})
        self.assertEqual(found["Java over native, 1M x 128 L2, batch 1000", "under 3% added"], ("2.9%", True))
        self.assertTrue(found["device memory", "rows x padded dim x 4 + 16 bytes a row + a slab"][1])
        found = self.lines([record()], nearfield={"device_bytes": 1_000_000 * 528 + (64 << 20) + 1})
        self.assertFalse(found["device memory", "rows x padded dim x 4 + 16 bytes a row + a slab"][1])

    def test_packaged_beside_local(self):
        shape = {"workload": "packaged", "rows": 100_000, "batch": 480}
        for times, met in ((1.05, True), (1.051, False)):
            found = self.lines([record(median_s=times, **shape), record("nearfield-local", **shape)])
            self.assertEqual(found["packaged library, 100,000 x 128 L2, batch 480", "at most 1.05 x a local build's time"], (f"{times:.2f} x", met))

    def test_every_target_has_a_workload(self):
        """A target whose shape `bench all` does not measure would never be met."""
        records = []
        scans = workloads.scans("embeddings.fbin")
        for point in workloads.with_targets() + workloads.beside_local() + workloads.inserting() + scans + workloads.curves():
            systems = ("nearfield",) + (("nearfield-local",) if point.local else ()) + (("nearfield-java",) if point.java else ()) + point.peers
            systems += (("nearfield-i8",) + (("nearfield-java-i8",) if point.java else ())) if "i8" in point.scans else ()
            records += [record(s, workload=point.workload, data=point.data, rows=point.rows, dim=point.dim, batch=point.batch, k=point.k, metric=point.metric)
                        for s in systems]  # fmt: skip
        records += self.of_lists()
        fit = {"code_bytes": 1, "fit_s": 1.0, "fit_steps": 100, "fit_longest_step_s": 0.01}
        facts = {workloads.name(p): {"facts": {s: {"p50_s": 1e-5, "device_bytes": 1, **(fit if s == "nearfield-i8" else {})}
                                               for s in ("nearfield", "nearfield-java", "nearfield-i8")}}
                 for p in workloads.with_targets() + scans}  # fmt: skip
        # What another CPU or instruction counts say is never measured here.
        never = {"NEON", "i8mm", "H200"}
        elsewhere = {"avx512_vnni": {"AMX", "AVX2"} | never, "avx512_vnni amx_int8": {"VNNI", "AVX2"} | never, "": {"AMX", "VNNI"} | never}
        for flags, units in elsewhere.items():
            found = list(targets.lines(targets.Figures(records, {"points": facts, "machine": {"cpu_flags": flags}})))
            self.assertEqual({line.target.split(":")[0].split()[0] for line in found if line.met is None}, units)
            self.assertEqual({line.measured for line in found if line.met is None}, {"not yet run"})

    def of_lists(self) -> list[dict]:
        """Records of all points of the workloads with lists, and of the clustering."""
        records, none = [], dict.fromkeys((*report.SCAN_KEYS, *report.LIST_KEYS))
        for point in workloads.lists("embeddings.fbin"):
            if point.workload == "kmeans":
                records += [record(s, **{**none, "workload": "kmeans", "data": point.data, "rows": point.rows, "batch": point.rows, "k": 0}) for s in ("nearfield", *point.peers)]
                continue
            ours = ("nearfield", "nearfield-i8")
            for batch in point.batches:
                shape = {**none, "data": point.data, "rows": point.rows, "dim": point.dim, "batch": batch, "build_s": 1.0}
                if "ivf" in point.parts:
                    records += [record(s, **{**shape, "workload": "ivf", "at_recall": r, "probes": 17}) for s in (*ours, *point.peers) for r in list_options.RECALLS]
                    records += [record(s, **{**shape, "workload": "ivf", "target_recall": r, "lists_scanned": 18.0}) for s in ours for r in point.target_recall]
                if "ivf exact" in point.parts:
                    records += [record(s, **{**shape, "workload": "ivf exact"}) for s in ("nearfield-flat-i8", *ours)]
                if "ivf churn" in point.parts:
                    shape["rows"] -= point.rows // ivf.CHURN_PARTS
                    records += [record(f"nearfield{state}{code}", **{**shape, "workload": "ivf churn"}) for state in ("", "-changed", "-compacted") for code in ("", "-i8")]
        return records

    def test_scans(self):
        shape = {"workload": "scan", "data": "decaying", "batch": 1}
        records = [record(**shape), record("nearfield-i8", 1 / 12, **shape), record("panorama", 0.5, **shape), record("panorama-threads", 0.5, **{**shape, "batch": 2}),
                   record(workload="encode", data="decaying", batch=1_000_000, k=0), record("nearfield-i8", 3.01, workload="encode", data="decaying", batch=1_000_000, k=0)]  # fmt: skip
        described = about()
        described["points"]["scan decaying 1000000x128 l2 batch=1 k=10"] = {"facts": {
            "nearfield": {"device_bytes": 600_000_000}, "nearfield-i8": {"device_bytes": 600_000_000 + 512_000_000 * 31 // 100, "code_bytes": 1,
                                                                        "fit_s": 2.9, "fit_steps": 300, "fit_longest_step_s": 0.0105}}}  # fmt: skip
        found = {(line.workload, line.target): (line.measured, line.met) for line in targets.lines(targets.Figures(records, described))}
        name = "codes, 1M x 128 decaying, batch 1"
        self.assertEqual(found[name, "12 x our f32 scan"], ("12.00 x", True))
        # Two queries a call take as long as one: a query is had in half the time.
        self.assertEqual(found[name, "3 x faiss Panorama per query at its best setting"], ("3.00 x", True))
        self.assertEqual(found["codes, insertion of 1,000,000 x 128 decaying", "adds at most 2 x the time of f32 rows"], ("2.01 x", False))
        self.assertEqual(found["codes, fit of 1M x 128 decaying", "under 3 s, in steps"], ("2.90 s in 300 steps, the longest 10.5 ms", True))
        self.assertEqual(found["codes, memory beside the f32 rows", "0.30 x of them at 128 dimensions or more"], ("at most 0.310 x (1,000,000 x 128)", False))


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="nearfield bench ")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name: str, content) -> str:
        path = os.path.join(self.folder, name)
        Path(path).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path


class ReportTest(Files):
    def test_refused(self):
        broken = record()
        del broken["qps"]
        for content, word in (("no", "no JSON"), ({}, "no array"), ([1], "no array"), ([broken], "'qps'"),
                              ([record(median_s="1")], "median_s"), ([record(), record(rows=None)], "record 1"),
                              ([record(recall="1")], "recall"), ([record(limit_fraction=[])], "limit_fraction"),
                              ([record(device=None)], "device"), ([record(system=3)], "system"), ([record(data=None)], "data"),
                              ([record(scan_dtype=8)], "scan_dtype"), ([record(candidates_p50="9")], "candidates_p50")):  # fmt: skip
            with self.assertRaises(UsageError) as caught:
                report.read_records([self.file("r.json", content)])
            self.assertIn(word, str(caught.exception))
        with self.assertRaises(UsageError):
            report.read_records([os.path.join(self.folder, "none.json")])

    def test_about_is_refused(self):
        records = self.file("records.json", [record()])
        for content in ([], {"machine": {"cpu": "x"}}, {**about(), "points": []}, {**about(), "points": {"flat": {"limits": 1}}}):
            self.file("about.json", content)
            with self.assertRaises(UsageError, msg=str(content)):
                report.read_records([records])

    def test_one_peak_for_all_points(self):
        """The point that was measured first has the peak that a later one reached; other threads and paths have their own."""
        described = about()
        (first,) = described["points"].values()
        first.update(limits={"flops_per_s": 1e9, "read_bytes_per_s": 1e12}, path="", threads=2)
        for name, path, threads, flops in (("a", "", 2, 2e9), ("b", "avx2", 2, 8e9), ("c", "", 4, 8e9)):
            described["points"][name] = {**first, "limits": {"flops_per_s": flops}, "path": path, "threads": threads}
        (found,) = report.same_peak([record(median_s=256.0)], described)
        self.assertEqual(found["limit_fraction"], 0.5)  # 2 x 1e6 x 128 x 1000 operations at 2e9 a second: 128 s

    def test_later_files_count(self):
        first, second = self.file("1.json", [record(), record("faiss", 2)]), self.file("2.json", [record(median_s=3.0)])
        records, _ = report.read_records([first, second])
        self.assertEqual([(r["system"], r["median_s"]) for r in records], [("nearfield", 3.0), ("faiss", 2.0)])

    def test_whole(self):
        curve = [record(s, r, workload="curve", batch=b, dim=d) for d in (96, 128) for b in (1, 1000) for s, r in (("nearfield", 1), ("faiss", 2.5))]
        shape = {"workload": "scan", "data": "decaying", "batch": 1}
        coded = {"scan_dtype": "i8", "bytes_read_fraction": 0.151, "candidates_p50": 96.0, "certified_fraction": 1.0}
        none = dict.fromkeys(coded)
        scans = [record(**shape, **{**none, "scan_dtype": "f32"}), record("nearfield-i8", 0.08, **shape, **coded), record("panorama", 0.3, **shape, **none),
                 record("panorama-threads", 0.4, **{**shape, "batch": 2}, **none), record("faiss-sq8", 0.5, **shape, **none)]  # fmt: skip
        records = self.file("records.json", [record(), record("faiss", 0.8), *curve, *scans])
        self.file("about.json", about())
        out = os.path.join(self.folder, "page.md")
        os.mkdir(os.path.join(self.folder, "page"))
        self.file("page/notes.md", "## Why\n\nBecause.")
        try:
            report.write(options.report([records, "--out", out]), machine.ROOT)
        except Missing:
            if os.environ.get("CI"):
                raise
            self.skipTest("matplotlib could not be installed")
        text = Path(out).read_text(encoding="utf-8")
        for words in ("**missed**", "0.80", "Because.", "1,000,000 x 128 L2", "usearch has no such metric", "page/limits-dark.svg", "hide the strongest peer",
                      "| decaying, 1,000,000 x 128 L2, batch 1, k = 10 | nearfield | 1 s |", "|  | nearfield-i8 | 80 ms |", "| 12.50 x | 15.1% | 96 | 100.0% | 1.0000 |",
                      "|  | panorama-threads, 2 a call |", "|  | faiss-sq8 |", "| our library | 0.1.0 avx2, clang 1.2.3, packaged |"):
            self.assertIn(words, text)
        drawn = sorted(Path(self.folder, "page").glob("*.svg"))
        self.assertEqual(len(drawn), 8)
        for svg in drawn:
            self.assertTrue(xml.etree.ElementTree.parse(svg).getroot().tag.endswith("svg"))
        before = {svg: svg.read_bytes() for svg in drawn}
        report.write(options.report([records, "--out", out]), machine.ROOT)
        self.assertEqual(before, {svg: svg.read_bytes() for svg in drawn}, "the same records make the same charts")
