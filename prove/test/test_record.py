# SPDX-License-Identifier: Apache-2.0
"""Records, their targets and docs/support.md, from a record as an H200 would write it."""

import copy
import json

import goals
import record
import support
from errors import BenchError
from stand_ins import StandInTest
from test_units import FOUND, SEEN

COPY, PEAK = 4.3e12, 60e12
TORCH = {"version": "2.11.0", "backend": "cuda", "device": "NVIDIA H200"}


def times(median: float) -> dict:
    return {"median_s": median, "min_s": median * 0.98, "max_s": median * 1.1, "p50_s": median, "rounds": 9, "calls": 3}


def point(dim: int, batch: int, k: int, ours: float, ratio: float = 2.0) -> dict:
    return {"rows": 1_000_000, "dim": dim, "batch": batch, "k": k, "metric": "l2", "recall": 1.0, "wrong_distances": 0, "agreement": 0.9999,
            "torch_settings": "matmul", "nearfield": times(ours), "torch": times(ours * ratio), "ratio": ratio}  # fmt: skip


def column(**counts: list) -> dict:
    operations = {op: {"l2": list(counts.get(op.replace("-", "_"), [2, 0, 0]))} for ops in support.KERNELS.values() for op in ops}
    return {"name": "cuda", "passed": 30, "failed": 0, "skipped": 0, "cut_short": False, "status": 0, "device": "cuda on it", "absent": "",
            "operations": operations, "failures": []}  # fmt: skip


def coded(spectrum: str, seconds: float, codes: float) -> tuple[dict, dict]:
    """Of codes: a workload of the phase `kernels`, and one of `codes`."""
    what = {"rows": 1_000_000, "dim": 128, "spectrum": spectrum, "batch": 1, "k": 10}
    return ({**what, "scan_dtype": "i8", "calls": 5, "seconds": seconds, "bytes_read": 40_000_000, "kernels": {"levels_m1_q1_c1": {"launches": 1, "seconds": seconds}}},
            {**what, "metric": "l2", "by_rows": times(180e-6), "by_codes": times(codes), "ratio": 180e-6 / codes, "read_share": 0.15, "rescored_p50": 120,
             "torch": {precision: beside(400e-6, 180e-6, codes) for precision in ("f32", "tf32", "bf16")}})  # fmt: skip


def beside(seconds: float, rows: float, codes: float) -> dict:
    """Of torch."""
    return {"settings": "matmul", "agreement": 0.75, **times(seconds), "by_rows_ratio": seconds / rows, "by_codes_ratio": seconds / codes}


def listed(form: str, batch: int, seconds: float, recall: float, **reach) -> dict:
    return {"rows": 1_000_000, "dim": 128, "spectrum": "decaying", "form": form, "lists": 1024, "batch": batch, "k": 10, "metric": "l2", **reach,
            "recall": recall, "recall_estimate": 0.956, "lists_scanned": 17.5, "nearfield": times(seconds)}  # fmt: skip


def lists() -> list[dict]:
    """Two entries: searches of lists and a clustering."""
    points = [listed(form, batch, seconds * slower, recall, **reach) for form, slower in (("rows", 2), ("codes", 1)) for reach, recall in
              (({"target_recall": 0.95}, 0.948), ({"probes": 17}, 0.951)) for batch, seconds in ((1, 90e-6), (10_000, 1.9e-3))]  # fmt: skip
    loads = {form: {"build_s": 1.5, "device_bytes": 1, "smallest_list": 9, "largest_list": 3000} for form in ("rows", "codes")}
    clustered = {"rows": 1_000_000, "dim": 128, "spectrum": "decaying", "clusters": 1024, "iterations": 25, "metric": "l2", "inertia_ratio": 0.81, "nearfield": times(28e-3)}
    return [{"name": "lists", "title": "Lists", "outcome": "passed", "sentence": "", "seconds": 20.0, "timed": True, "loads": loads, "points": points},
            {"name": "kmeans", "title": "k-means", "outcome": "passed", "sentence": "", "seconds": 5.0, "timed": True, "points": [clustered]}]  # fmt: skip


def events() -> list[dict]:
    """The table of products by the matrix units, all of it met."""
    few = {1: 140e-6, 5: 150e-6, 16: 180e-6, 32: 180e-6, 96: 181e-6, 1000: 1.5e-3, 10_000: 14e-3}
    by_codes = {1: 50e-6, 5: 55e-6, 16: 60e-6, 32: 65e-6, 96: 78e-6, 1000: 0.7e-3, 10_000: 4e-3}
    found = []
    for facts, of in (({}, few), *(({"scan_dtype": "i8", "spectrum": spectrum}, by_codes) for spectrum in ("decaying", "isotropic"))):
        for k, slower in ((10, 1), (100, 1.4)):
            found += [{"rows": 1_000_000, "dim": 128, **facts, "batch": batch, "k": k, "calls": 5, "seconds": seconds * slower, "min_s": seconds, "max_s": seconds * 2,
                       "kernels": {"a": {"launches": 2, "seconds": seconds}}} for batch, seconds in of.items()]  # fmt: skip
    return found


def made() -> dict:
    """A good run."""
    wall = {(128, 1): 180e-6, (128, 16): 200e-6, (128, 200): 2e-3, (128, 1000): 6e-3, (128, 10_000): 0.05,
            (768, 1): 760e-6, (768, 16): 800e-6, (768, 200): 9e-3, (768, 1000): 30e-3, (768, 10_000): 0.3}  # fmt: skip
    points = [point(dim, batch, k, seconds * slower) for k, slower in ((10, 1), (100, 1.3), (1000, 2.5)) for (dim, batch), seconds in wall.items()]
    kernels = [{"rows": 1_000_000, "dim": 128, "batch": 1, "k": 10, "calls": 5, "seconds": 140e-6, "bytes_read": 512_000_000,
                "kernels": {"flat_m1_q1_c64": {"launches": 1, "seconds": 135e-6}, "merge_c64": {"launches": 1, "seconds": 5e-6}}},
               {"rows": 1_000_000, "dim": 768, "batch": 1, "k": 10, "calls": 5, "seconds": 740e-6, "bytes_read": 3_072_000_000, "kernels": {}}]  # fmt: skip
    found = [coded("decaying", 38e-6, 70e-6), coded("isotropic", 55e-6, 90e-6)]
    kernels += [kernel for kernel, _ in found]
    entries = [{"name": "units", "title": "Units", "outcome": "passed", "sentence": "fine", "seconds": 2.0, "units": {**FOUND, "wgmma": SEEN}},
               {"name": "suite", "title": "Suite", "outcome": "passed", "sentence": "fine", "seconds": 30.0, "suite": column()},
               {"name": "speed", "title": "Speed", "outcome": "passed", "sentence": "30 workloads", "seconds": 90.0, "timed": True, "points": points,
                "limits": {"driver": {}, "copy_bytes_per_s": COPY, "f32_flops_per_s": PEAK, "bf16_flops_per_s": 790e12},
                "torch": TORCH},
               {"name": "codes", "title": "Codes", "outcome": "passed", "sentence": "", "seconds": 20.0, "timed": True,
                "loads": {spectrum: {"code_bytes": 132_000_000, "rotated": 1} for spectrum in ("decaying", "isotropic")}, "torch": TORCH,
                "points": [p for _, p in found]},
               *lists(),
               {"name": "events", "title": "Events", "outcome": "passed", "sentence": "", "seconds": 9.0, "source": "events", "workloads": events()},
               {"name": "kernels", "title": "Kernels", "outcome": "passed", "sentence": "", "seconds": 9.0, "source": "ncu", "workloads": kernels},
               {"name": "java", "title": "Java", "outcome": "passed", "sentence": "", "seconds": 9.0, "java": 25,
                "points": [{"batch": 1, "nearfield": times(180e-6), "nearfield-java": times(185e-6), "added_s": 5e-6}]}]  # fmt: skip
    return {"format": 1, "kind": "proof", "emulated": False, "backend": "cuda", "column": "cuda", "started": "2026-12-01T10:00:00Z",
            "finished": "2026-12-01T10:06:00Z", "ended": "complete", "commit": "0123456789ab", "allowed_s": 460,
            "device": {"name": "NVIDIA H200", "driver": "CUDA 13.0 / 580.159", "compute_capability": "9.0", "compute_units": 132},
            "machine": {"cpu": "a CPU", "nvidia_smi": {}}, "phases": entries}  # fmt: skip


def of(content: dict, name: str) -> dict:
    return next(entry for entry in content["phases"] if entry["name"] == name)


def change(content: dict, dim: int, batch: int, k: int, ours: float) -> None:
    found = next(p for p in of(content, "speed")["points"] if (p["dim"], p["batch"], p["k"]) == (dim, batch, k))
    found.update(point(dim, batch, k, ours, found["torch"]["median_s"] / ours))


class GoalsTest(StandInTest):
    def missed(self, content: dict) -> list[str]:
        return [f"{g.workload}: {g.target}" for g in goals.goals(content) if g.met is False]

    def test_a_good_run_meets_them_all(self):
        self.assertEqual([g for g in goals.goals(made()) if g.met is not True], [])

    def test_each_can_be_missed(self):
        content = made()
        of(content, "kernels")["workloads"][0]["seconds"] = 151e-6
        self.assertEqual(self.missed(content), ["1M x 128 f32, batch 1, k 10: 150 us kernel time (ncu), on an H200"])
        content = made()
        of(content, "kernels")["workloads"][2]["seconds"] = 41e-6
        self.assertEqual(self.missed(content), ["1M x 128 int8 codes, decaying, batch 1, k 10: 40 us kernel time (ncu), on an H200"])
        for (dim, batch, k, seconds), words in {(128, 1, 10, 191e-6): "190 us through", (768, 16, 10, 1e-3): "1.3 x of batch 1",
                                                (128, 10_000, 10, 0.0545): "185 k queries", (128, 200, 100, 3.1e-3): "1.5 x of k 10",
                                                (128, 1000, 1000, 18.1e-3): "3 x of k 10",
                                                (768, 1000, 10, 0.07): "ahead in every row"}.items():  # fmt: skip
            content = made()
            change(content, dim, batch, k, seconds)
            self.assertTrue(any(words in line for line in self.missed(content)), (words, self.missed(content)))
        content = made()
        of(content, "kernels")["workloads"][1]["seconds"] = 1e-3
        self.assertEqual(self.missed(content), ["1M x 768 f32, batch 1: 85% of measured copy bandwidth"])

    def test_lists_and_clusters_can_be_missed(self):
        rate = "1M x 128 lists, decaying, recall 0.95, batch 10,000: 5 M queries/s, wall time, on an H200"
        content = made()
        for point in of(content, "lists")["points"]:
            point["nearfield"] = times(2.1e-3)
        self.assertEqual(self.missed(content), [rate])
        # A faster one with a lower recall does not count, a slower one with it does.
        content = made()
        next(p for p in of(content, "lists")["points"] if (p["form"], p["batch"]) == ("codes", 10_000) and "probes" in p)["nearfield"] = times(3.9e-3)
        self.assertEqual(self.missed(content), [rate])
        self.assertEqual(goals._lists(goals.Figures(content)).measured, "2.63 M queries/s by rows, 17.5 lists, recall 0.9510")
        content = made()
        of(content, "lists")["points"][0]["recall"] = 0.939
        self.assertEqual(self.missed(content), ["1M x 128 lists, decaying, recall target 0.95: at most 1 point below"])
        content = made()
        of(content, "kmeans")["points"][0]["nearfield"] = times(31e-3)
        self.assertEqual(self.missed(content), ["k-means 1M x 128, K = 1024, 25 iterations: 30 ms wall time, on an H200"])

    def test_kernel_times_of_lists_are_those_of_lists_alone(self):
        content = made()
        for more in ({"lists": 1024, "target_recall": 0.95}, {"clusters": 1024, "iterations": 25}):
            of(content, "events")["workloads"].append({"rows": 1_000_000, "dim": 128, "spectrum": "decaying", **more, "batch": 10_000, "k": 10, "calls": 5, "seconds": 1.0,
                                                       "min_s": 1.0, "max_s": 1.0, "kernels": {}})  # fmt: skip
        self.assertEqual(self.missed(content), [])
        text = record.text(content)
        self.assertIn("| 1,000,000 x 128, decaying, 1,024 lists, target 0.95 | 10,000 | 10 | 1 s", text)
        self.assertIn("| 1,000,000 x 128, decaying, k-means, 1,024 clusters, 25 iterations |", text)

    def test_wall_time_where_there_is_no_kernel_time(self):
        content = made()
        content["phases"] = [e for e in content["phases"] if e["name"] != "kernels"]
        words = {g.target: g.measured for g in goals.goals(content)}
        self.assertIn("wall time", words["85% of measured copy bandwidth"])
        self.assertIn("150 us kernel time (events), on an H200", words)

    def test_the_table_of_the_matrix_units_can_be_missed(self):
        def set_(spectrum: str, batch: int, k: int, seconds: float) -> dict:
            content = made()
            next(w for w in of(content, "events")["workloads"] if (w.get("spectrum", ""), w["batch"], w["k"]) == (spectrum, batch, k))["seconds"] = seconds
            return content

        for (spectrum, batch, k, seconds), missed in {
            ("decaying", 10_000, 10, 4.6e-3): ["1M x 128 int8 codes, decaying, batch 10,000: 2.2 M queries/s, kernel time (events), on an H200"],
            ("isotropic", 1000, 10, 0.81e-3): ["1M x 128 int8 codes, isotropic, batch 1000: 800 us kernel time (events), on an H200"],
            ("", 10_000, 10, 14.3e-3): ["1M x 128 f32 by TF32, batch 10,000: 0.7 M queries/s, kernel time (events), on an H200"],
            ("", 96, 10, 183e-6): ["1M x 128 f32, batch 96: within 1.3 x of batch 1, kernel time (events)"],
            ("decaying", 32, 10, 81e-6): ["1M x 128 int8 codes, decaying, batch 32: batch 1 and one read of the codes, kernel time (events)"],
            ("", 1000, 100, 2.3e-3): ["1M x 128 f32, batch 1,000, k 100: within 1.5 x of k 10, kernel time (events)"],
            ("isotropic", 10_000, 100, 6.1e-3): ["1M x 128 int8 codes, isotropic, batch 10,000, k 100: within 1.5 x of k 10, kernel time (events)"]}.items():  # fmt: skip
            self.assertEqual(self.missed(set_(spectrum, batch, k, seconds)), missed)

    def test_the_table_by_wall_time(self):
        content = made()
        content["phases"] = [e for e in content["phases"] if e["name"] not in ("kernels", "events")]
        batch = copy.deepcopy(of(content, "codes")["points"][0])
        of(content, "codes")["points"].append({**batch, "batch": 10_000, "by_codes": times(5e-3)})
        found = {g.workload: g for g in goals.goals(content)}
        self.assertEqual((found["1M x 128 int8 codes, decaying, batch 10,000"].measured, found["1M x 128 int8 codes, decaying, batch 10,000"].target),
                         ("2 M queries/s", "2.2 M queries/s, wall time, on an H200"))  # fmt: skip
        self.assertEqual(found["1M x 128 int8 codes, isotropic, batch 10,000"].measured, goals.NOT_MEASURED)

    def test_behind_one_precision_of_torch(self):
        content = made()
        of(content, "codes")["points"][1]["torch"]["bf16"] = beside(150e-6, 180e-6, 90e-6)
        self.assertEqual(self.missed(content), ["1M x 128, batches 1 to 10,000, against torch in f32, TF32 and bf16: ahead in every row, answers exact"])
        self.assertIn("behind: isotropic, batch 1, k 10, by rows, bf16", goals._torch_table(goals.Figures(content)).measured)
        self.assertIn("| ahead, 1.67 x at least | **behind** bf16 0.83 x |", record.text(content))
        of(content, "codes")["points"][1]["torch"]["bf16"] = {"absent": "out of memory"}
        goal = goals._torch_table(goals.Figures(content))
        self.assertIsNone(goal.met)
        self.assertIn("2 rows without torch", goal.measured)
        self.assertIn("ahead, 2.22 x at least; without bf16", record.text(content))

    def test_absolute_times_are_for_the_device_they_are_stated_for(self):
        content = made()
        content["device"]["name"] = "NVIDIA L4"
        found = {g.target: g for g in goals.goals(content)}
        self.assertIsNone(found["190 us through the ABI, results on the host, on an H200"].met)
        self.assertTrue(found["ahead in every row"].met)

    def test_ahead_of_torch_is_said_of_all_rows_or_not_at_all(self):
        content = made()
        del of(content, "speed")["points"][3]["ratio"]
        goal = goals.goals(content)[-1]
        self.assertIsNone(goal.met)
        self.assertIn("in 29 rows; 1 rows without torch", goal.measured)
        of(content, "speed")["points"][4]["ratio"] = 0.5
        self.assertIs(goals.goals(content)[-1].met, False)

    def test_nothing_measured(self):
        content = {**made(), "phases": []}
        self.assertEqual({g.met for g in goals.goals(content)}, {None})


class MarkdownTest(StandInTest):
    def test_a_good_run(self):
        text = record.text(made())
        for words in ("# Proof of cuda: NVIDIA H200, 2026-12-01", "580.159", "180 us (176.4 us to 198 us, 9)", "2.00 x", "| met |",
                      "4.3 TB/s", "flat_m1_q1_c64 1 x, 135 us", "5 us", "66.1%", "200,000", "| 1,000,000 x 128, decaying | 1 | 10 | 70 us (68.6 us to 77 us, 9) | 180 us", "0.150",
                      "| 1,000,000 x 128, int8 codes, isotropic | 1 | 10 | 55 us |", "| products of a block | 4 | 8 | 8 |", "| normal | 128 | 1,536 | 384 | 2.5 | 2.5 |",
                      "| 1,000,000 x 128, decaying, 1,024 lists | codes | 17 lists | 10,000 | 10 | 1.9 ms (1.86 ms to 2.09 ms, 9) | 5,263,158 | 0.9510 | 0.9560 | 17.5 |",
                      "by rows 1.5 s, by codes 1.5 s.", "| 1,000,000 x 128, decaying | 1,024 | 25 | 28 ms (27.4 ms to 30.8 ms, 9) | 0.8100 |",
                      "| ahead, 5.71 x at least | ahead, 2.22 x at least |", "400 us (392 us to 440 us, 9) [0.7500]"):  # fmt: skip
            self.assertIn(words, text)
        self.assertNotIn("missed", text)
        self.assertNotIn("earsal", text)

    def test_failures_and_misses_stand_out(self):
        content = made()
        suite = of(content, "suite")["suite"]
        suite["operations"]["search"]["l2"] = [1, 2, 0]
        suite["failures"] = ["FAIL cuda search(x) row 3 is missing rerun: y"] * 9
        change(content, 128, 1, 10, 1e-3)
        text = record.text(content)
        self.assertIn("l2 FAIL 2", text)
        self.assertEqual(text.count("row 3 is missing"), record.MOST_FAILURES)
        self.assertIn("**missed**", text)

    def test_an_interrupted_one(self):
        text = record.text({**made(), "ended": "interrupted", "finished": None})
        self.assertIn("not complete: interrupted", text)

    def test_a_rehearsal_has_no_times(self):
        content = {**made(), "emulated": True, "kind": "rehearsal", "device": {"name": "simt", "driver": "none", "emulated": True}}
        content["phases"] = [of(content, "suite"), {**of(content, "speed"), "timed": False}]
        for p in content["phases"][1]["points"]:
            for key in ("nearfield", "torch", "ratio"):
                del p[key]
        text = record.text(content)
        self.assertIn("# Rehearsal", text)
        self.assertIn("proves nothing of a GPU", text)
        self.assertIn("sim 2", text)
        self.assertNotIn("ok 2", text)
        for word in (" us", " ms", "Targets"):
            self.assertNotIn(word, text)


class FileTest(StandInTest):
    def test_names_and_places(self):
        content = {**made(), "machine": {"path": f"{record.ROOT}/build/x"}}
        first = record.Record(self.folder / "new", content)
        first.save()
        self.assertEqual(first.path, str(self.folder / "new" / "2026-12-01-nvidia-h200-0123456789ab"))
        written = json.loads((self.folder / "new" / "2026-12-01-nvidia-h200-0123456789ab.json").read_text())
        self.assertEqual(written["machine"]["path"], "build/x")
        again = record.Record(self.folder / "new", copy.deepcopy(content))
        again.save()
        self.assertTrue(again.path.endswith("0123456789ab-2"))
        self.assertEqual(len(list((self.folder / "new").iterdir())), 4)  # and nothing half-written

    def test_what_cannot_be_shown_is_kept(self):
        content = made()
        del of(content, "speed")["limits"]
        written = record.Record(self.folder, content)
        written.save()
        self.assertEqual(json.loads((self.folder / f"{written.path}.json").read_text())["commit"], "0123456789ab")
        self.assertIn("cannot be shown, its JSON is whole: KeyError: 'limits'", (self.folder / f"{written.path}.md").read_text())

    def test_the_exit_status(self):
        content = made()
        self.assertEqual(record.Record(self.folder, content).status(), 0)
        of(content, "kernels")["outcome"] = "absent"
        of(content, "java")["outcome"] = "left out"
        self.assertEqual(record.Record(self.folder, content).status(), 0)
        for name, outcome in (("speed", "cut short"), ("suite", "cut short"), ("suite", "failed")):
            content = made()
            of(content, name)["outcome"] = outcome
            self.assertEqual(record.Record(self.folder, content).status(), 1)
        for outcome in ("absent", "cut short", "failed"):
            content = made()
            content["phases"].append({"name": "build", "outcome": outcome})
            self.assertEqual(record.Record(self.folder, content).status(), 1)


class SupportTest(StandInTest):
    def put(self, name: str, content: dict) -> None:
        (self.folder / f"{name}.json").write_text(record.as_json(content))

    def lines(self, word: str) -> list[str]:
        return [line for line in support.text(self.folder).splitlines() if line.startswith(f"| `{word}` | ")]

    def test_the_page_in_this_checkout_is_up_to_date(self):
        self.assertEqual(support.PAGE.read_text(encoding="utf-8"), support.text())

    def test_nothing_has_run(self):
        self.assertEqual([len(self.lines(b)) for b in support.GPUS], [18, 15, 14])
        for backend in support.GPUS:
            for line in self.lines(backend):
                self.assertIn(support.NOT_YET, line)

    def test_a_proof(self):
        self.put("a", made())
        for line in self.lines("cuda"):
            self.assertIn("| NVIDIA H200 (CUDA 13.0 / 580.159) | passed | 2026-12-01 | 0123456789ab | [record](proof/a.md) |", line)
        self.assertIn(support.NOT_YET, self.lines("metal")[0])

    def test_rehearsals_and_half_suites_do_not_count(self):
        self.put("a", {**made(), "kind": "rehearsal", "emulated": True})
        self.put("b", {**made(), "emulated": True})
        content = made()
        of(content, "suite").update(outcome="cut short", suite={**column(), "cut_short": True})
        self.put("c", content)
        self.put("d", {**made(), "device": {**made()["device"], "emulated": True}})
        self.put("e", {**made(), "device": {"name": "NVIDIA H200"}})  # the library did not find it
        self.assertTrue(all(support.NOT_YET in line for line in self.lines("cuda")))

    def test_a_failure_counts_for_the_kernels_it_needs(self):
        content = made()
        of(content, "suite").update(outcome="failed", suite=column(score=[3, 1, 0], compact=[0, 0, 2]))
        self.put("a", content)
        states = {line.split("|")[2].strip(): line.split("|")[4].strip() for line in self.lines("cuda")}
        self.assertEqual(states["score"], "FAILED")
        self.assertEqual(states["flat"], "passed")
        self.assertEqual(states["move"], "")  # compact did not run: nothing is known

    def test_where_only_codes_need_rescore(self):
        content = made()
        wgpu = {**of(content, "suite"), "name": "wgpu", "suite": column(codes=[0, 0, 5])}
        content["phases"].append(wgpu)
        self.put("a", content)
        of_each = {backend: {line.split("|")[2].strip(): line.split("|")[4].strip() for line in self.lines(backend)} for backend in ("cuda", "wgpu")}
        self.assertEqual([of_each["wgpu"][kernel] for kernel in ("flat", "rescore", "levels", "code", "coded_product")], ["passed", "", "", "", ""])
        self.assertNotIn("matrix_tf32", of_each["wgpu"])
        self.assertEqual([of_each["cuda"][kernel] for kernel in ("rescore", "levels", "code", "coded_product")], ["passed"] * 4)

    def test_the_latest_counts_on_each_device(self):
        self.put("old", made())
        self.put("new", {**made(), "started": "2027-01-01T00:00:00Z", "commit": "feedfeedfeed"})
        self.put("other", {**made(), "device": {"name": "NVIDIA L4", "driver": "x"}})
        lines = self.lines("cuda")
        # One kernel does not run on the L4.
        self.assertEqual(len(lines), 35)
        self.assertEqual(sum("feedfeedfeed" in line for line in lines), 18)
        self.assertFalse(any("proof/old" in line for line in lines))

    def test_what_is_no_record(self):
        (self.folder / "x.json").write_text("{}")
        with self.assertRaisesRegex(BenchError, "is no record"):
            support.text(self.folder)
        self.put("x", {**made(), "format": 9})
        with self.assertRaisesRegex(BenchError, "format 9"):
            support.text(self.folder)
