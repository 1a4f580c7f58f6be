# SPDX-License-Identifier: Apache-2.0
"""One run's record: JSON for the table in docs/support.md, Markdown for people. docs/proof/README.md says how to read it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import goals
import phases
import surroundings
from codes import PRECISIONS
from machine import ROOT
from units import of_wgmma

MOST_FAILURES = 5  # shown; the JSON has more
FORMAT = 1  # of the JSON; a reader refuses others
FOLDER = ROOT / "docs" / "proof"


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Record:
    def __init__(self, folder: Path, content: dict):
        self.folder, self.content = folder, content
        self.phases: list[dict] = content["phases"]
        self.path = ""

    def device(self, about: dict) -> None:
        self.content["device"] = about
        self.save()

    def save(self) -> None:
        """Both files, whole or not at all; the JSON also where its content cannot be shown."""
        if not self.path:
            if not self.content["device"]:
                return  # the name has the device's in it, and nothing was found yet
            self._choose_path()
        self._write(".json", as_json(self.content))
        self._write(".md", self.markdown())

    def _write(self, ending: str, written: str) -> None:
        handle, partial = tempfile.mkstemp(dir=self.folder, prefix=".record-")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(written.replace(f"{ROOT}/", ""))  # the machine's folders are nobody's business
        os.chmod(partial, 0o644)
        os.replace(partial, self.path + ending)

    def _choose_path(self) -> None:
        kind = self.content["device"].get("name") or "no device"
        name = "-".join([self.content["started"][:10], *(["rehearsal"] if self.content["emulated"] else []),
                         re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-"), self.content["commit"].split()[0][:12]])  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        path, number = self.folder / name, 1
        while Path(f"{path}.json").exists():
            number += 1
            path = self.folder / f"{name}-{number}"
        self.path = str(path)

    def finish(self, how: str) -> int:
        """The exit status."""
        self.content.update(ended=how, finished=_now())
        self.content["device"] = self.content["device"] or {"name": "no device"}
        self.save()
        return self.status()

    def status(self) -> int:
        """A proof has a build and a device, and all that was asked for ran to its end, or could not begin for a reason that is named."""
        bad = [e for e in self.phases if e["outcome"] in (phases.FAILED, phases.CUT_SHORT)
               or e["name"] in phases.ALWAYS and e["outcome"] != phases.PASSED]  # fmt: skip
        return 1 if bad else 0

    def markdown(self) -> str:
        try:
            return text(self.content)
        except Exception as error:  # a mistake in showing must not lose what was measured
            return f"This record cannot be shown, its JSON is whole: {type(error).__name__}: {error}\n"


def begin(session, options) -> Record:
    folder = Path(options.out).resolve() if options.out else FOLDER
    if options.rehearse and not options.out:
        folder = Path(tempfile.mkdtemp(prefix="nearfield-rehearsal-"))
    content = {"format": FORMAT, "kind": "rehearsal" if session.emulated else "proof", "emulated": session.emulated,
               "backend": session.backend, "column": session.column, "started": _now(), "finished": None, "ended": "running",
               "commit": surroundings.commit(), "device": {}, "machine": surroundings.describe(), "allowed_s": options.seconds,
               "phases": []}  # fmt: skip
    return Record(folder, content)


def as_json(content: dict) -> str:
    """Indented, but short lists of numbers on one line."""
    whole = json.dumps(content, indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+(\d+),\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2, \3]", whole) + "\n"


# ---- Markdown ----


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in row) + " |" for row in rows] + [""]


def text(content: dict) -> str:
    emulated, device = content["emulated"], content["device"]
    lines = [f"# {'Rehearsal' if emulated else 'Proof'} of {content['backend']}: {device.get('name', 'no device')}, {content['started'][:10]}", ""]
    if emulated:
        lines += ["**A rehearsal on an emulator. It shows that the script works and proves nothing of a GPU; there are no times in it.**", ""]
    if content["ended"] != "complete":
        lines += [f"**This run is not complete: {content['ended']}.**", ""]
    lines += _facts(content)
    lines += ["## Phases", ""]
    lines += table(["phase", "outcome", "seconds", "what"],
                   [[e["title"], e["outcome"], f"{e['seconds']:.0f}", e["sentence"]] for e in content["phases"]])  # fmt: skip
    by_name = {entry["name"]: entry for entry in content["phases"]}
    lines += _units(by_name.get("units", {}), emulated)
    for name in ("suite", "wgpu"):
        lines += _suite(by_name.get(name, {}), emulated and name == "suite")
    lines += _speed(by_name.get("speed", {})) + _codes(by_name.get("codes", {})) + _torch(by_name.get("codes", {}))
    lines += _lists(by_name.get("lists", {})) + _clusters(by_name.get("kmeans", {}))
    for name in ("events", "kernels"):
        lines += _kernels(by_name.get(name, {}))
    lines += _java(by_name.get("java", {}))
    if not emulated:
        lines += ["## Targets", ""]
        lines += table(["workload", "target", "measured", ""], [[g.workload, g.target, g.measured, _met(g)] for g in goals.goals(content)])
    return "\n".join(lines).rstrip() + "\n"


def _met(goal) -> str:
    if goal.met is None:
        return "" if goal.measured == goals.NOT_MEASURED else "stated for another device"
    return "met" if goal.met else "**missed**"


def _facts(content: dict) -> list[str]:
    device, machine = content["device"], content["machine"]
    facts = [("device", device.get("name")), ("driver", device.get("driver")), ("compute capability", device.get("compute_capability")),
             ("multiprocessors", device.get("compute_units")), ("nvcc", machine.get("nvcc")), ("commit", content["commit"]),
             ("started, finished", f"{content['started']}, {content['finished'] or '-'}"), ("host", machine.get("cpu")),
             ("system", machine.get("system")), ("nvidia-smi", ", ".join(f"{k} {v}" for k, v in machine.get("nvidia_smi", {}).items()))]  # fmt: skip
    return table(["", ""], [[name, str(value)] for name, value in facts if value])


def _units(entry: dict, emulated: bool) -> list[str]:
    found = entry.get("units")
    if not found:
        return []
    assumed, forms = found["assumed"], {"mma.sync": found["mma"], **({"wgmma": found["wgmma"]} if "seen" in found["wgmma"] else {})}
    facts = [["products of a block", f"{assumed['block']}", *(str(of["seen"]["block"]) for of in forms.values())],
             ["bits that terms keep", f"{assumed['kept_bits']}", *(str(of["seen"]["kept_bits"]) for of in forms.values())],
             ["the sum is rounded", "towards zero", *(of["seen"]["sum_rounded"] for of in forms.values())],
             ["subnormal operands", "either", *(of["seen"]["subnormal_operands"] for of in forms.values())]]  # fmt: skip
    lines = ["## Sums of the matrix units", "", f"On planted operands{', by the emulated unit, which is of the form that is counted on' if emulated else ''}. "
             f"int8: {found['int8']['wrong']} of {found['int8']['sums']} sums wrong. {of_wgmma(found['wgmma'])[0].upper()}{of_wgmma(found['wgmma'])[1:]}.", ""]  # fmt: skip
    lines += table(["TF32", "counted on", *forms], facts)
    broken = [f"- {name}: {what}" for name, of in forms.items() for what in of["broken"]]
    lines += broken + ([""] if broken else [])
    lines += ["The greatest error of TF32's sums against exact ones, in u = 2^-24 of the sum of the products' magnitudes.", ""]
    sums = zip(*(of["sums"] for of in forms.values()))
    rows = [[of[0]["data"], f"{of[0]['products']:,}", f"{of[0]['sums']:,}", f"{of[0]['counted_u']:g}", *(f"{one['greatest_u']:g}" for one in of)] for of in sums]
    return lines + table(["data", "products", "sums", "counted", *forms], rows)


def _suite(entry: dict, emulated: bool) -> list[str]:
    column = entry.get("suite")
    if not column or not column["operations"]:
        return []
    word = "sim" if emulated else "ok"
    rows = []
    for operation, metrics in column["operations"].items():
        cells = [f"{metric} {'FAIL ' + str(failed) if failed else word + ' ' + str(passed) if passed else '-'}"
                 for metric, (passed, failed, _) in sorted(metrics.items())]  # fmt: skip
        rows.append([operation, ", ".join(cells)])
    lines = [f"## Suite: {column['name']}", "", f"{column['passed']} passed, {column['failed']} failed, {column['skipped']} not applicable. "
             f"{column['device']}", ""] + table(["operation", "metric and cases"], rows)  # fmt: skip
    return lines + [f"- {failure}" for failure in column["failures"][:MOST_FAILURES]] + ([""] if column["failures"] else [])


def _rate(value: float | None, unit: str, scale: float) -> str:
    return f"{value / scale:.4g} {unit}" if value else "not measured"


def _times(of: dict | None) -> str:
    if not of:
        return "-"
    return f"{goals.seconds(of['median_s'])} ({goals.seconds(of['min_s'])} to {goals.seconds(of['max_s'])}, {of['rounds']})"


def limit_share(point: dict, limits: dict) -> str:
    """Of the least time that reading the rows once, or multiplying them with the queries, can take."""
    ours, copy, peak = point.get("nearfield"), limits.get("copy_bytes_per_s"), limits.get("f32_flops_per_s")
    if not ours or not copy or not peak:
        return "-"
    size = point["rows"] * point["dim"]
    return f"{max(4 * size / copy, 2 * size * point['batch'] / peak) / ours['median_s']:.1%}"


def _stand_in(entry: dict) -> str:
    """Who played torch in a rehearsal."""
    why = entry.get("torch", {}).get("stand_in")
    return f"torch is played by the CPU backend: {why}." if why else ""


def _speed(entry: dict) -> list[str]:
    points = entry.get("points")
    if not points:
        return []
    limits = entry["limits"]
    lines = ["## Speed", ""]
    if entry["timed"]:
        lines += ["Exact L2 search in f32. Wall time of one call through the ABI, results on the host: median (least to most, rounds). Limits of the "
                  f"device, measured in the same run: copying {_rate(limits['copy_bytes_per_s'], 'TB/s', 1e12)} read and written, f32 "
                  f"{_rate(limits['f32_flops_per_s'], 'TFLOP/s', 1e12)}, bf16 {_rate(limits['bf16_flops_per_s'], 'TFLOP/s', 1e12)}. "
                  + (f"torch {entry['torch']['version']} on {entry['torch']['device']}, the fastest of its forms." if "torch" in entry
                     else f"Without torch: {entry.get('without_torch', 'not asked')}."), ""]  # fmt: skip
    else:
        lines += [f"Answers compared with float64{' and with those of torch' if 'torch' in entry else ''}; no times. {_stand_in(entry)}".rstrip(), ""]
    rows = []
    for p in points:
        ours = p.get("nearfield")
        qps = f"{p['batch'] / ours['median_s']:,.0f}" if ours else "-"
        rows.append([f"{p['rows']:,} x {p['dim']}", f"{p['batch']:,}", str(p["k"]), _times(ours), qps, limit_share(p, limits),
                     _times(p.get("torch")), f"{p['ratio']:.2f} x" if p.get("ratio") else "-", f"{p['recall']:g}",
                     f"{p['agreement']:g}" if "agreement" in p else "-"])  # fmt: skip
    return lines + table(["rows", "batch", "k", "Nearfield", "queries/s", "of the limit", "torch", "torch / ours", "recall", "rows as torch's"], rows)


def _codes(entry: dict) -> list[str]:
    points = entry.get("points")
    if not points:
        return []
    lines = ["## Codes and rows", "", "Searches of an index with codes beside those of one without, on the same rows, in turns: bit for bit the answers of the direct form, all certified. "
             + ("Wall time of one call through the ABI: median (least to most, rounds)." if entry["timed"] else "No times."), ""]  # fmt: skip
    rows = [[f"{p['rows']:,} x {p['dim']}, {p['spectrum']}", f"{p['batch']:,}", str(p["k"]), _times(p.get("by_codes")), _times(p.get("by_rows")),
             f"{p['ratio']:.2f} x" if p.get("ratio") else "-", "-" if p["read_share"] is None else f"{p['read_share']:.3f}", f"{p['rescored_p50']:g}"] for p in points]  # fmt: skip
    return lines + table(["rows", "batch", "k", "by codes", "by rows", "rows / codes", "codes read", "rescored a query"], rows)


def _torch(entry: dict) -> list[str]:
    """Of the phase `codes`: each row ahead of each precision, or behind which."""
    points = entry.get("points")
    if not points:
        return []
    lines = ["## Beside torch", ""]
    if "torch" not in entry:
        return lines + [f"Without torch: {entry.get('without_torch', 'not asked')}.", ""]
    who = _stand_in(entry) or f"torch {entry['torch']['version']} on {entry['torch']['device']}."
    lines += [f"{who} The same rows and queries, in turns with the table above; in brackets the share of our rows, "
              "which are exact, that torch returned, too.", ""]  # fmt: skip
    rows = []
    for p in points:
        cells = [f"{p['rows']:,} x {p['dim']}, {p['spectrum']}", f"{p['batch']:,}", str(p["k"])]
        for precision in PRECISIONS:
            of = p["torch"].get(precision, {"absent": "not asked"})
            cells.append(of["absent"] if "absent" in of else f"{_times(of) if 'median_s' in of else 'run'} [{of['agreement']:.4f}]")
        rows.append([*cells, *(_standing(p, form) for form in ("by_codes", "by_rows"))])
    return lines + table(["rows", "batch", "k", *(f"torch, {precision}" for precision in PRECISIONS), "by codes", "by rows"], rows)


def _standing(point: dict, form: str) -> str:
    """ahead, or behind which precisions and by how much."""
    ratios = {precision: of.get(f"{form}_ratio") for precision, of in point["torch"].items()}
    if not any(ratios.values()):
        return "-"
    behind = [f"{precision} {ratio:.2f} x" for precision, ratio in ratios.items() if ratio and ratio < 1]
    without = [precision for precision, ratio in ratios.items() if not ratio]
    words = f"**behind** {', '.join(behind)}" if behind else f"ahead, {min(filter(None, ratios.values())):.2f} x at least"
    return words + (f"; without {', '.join(without)}" if without else "")


def _lists(entry: dict) -> list[str]:
    points = entry.get("points")
    if not points:
        return []
    lines = ["## Lists", "", "Each query until it is estimated to have the target, or with the fewest lists that reach the recall. Exact searches through lists have the bits of the direct form, "
             "against which recall is measured. " + ("Wall time of one call through the ABI: median (least to most, rounds)." if entry["timed"] else "No times."), ""]  # fmt: skip
    rows = []
    for p in points:
        ours = p.get("nearfield")
        reach = f"target {p['target_recall']:g}" if "target_recall" in p else f"{p['probes']:,} lists"
        rows.append([f"{p['rows']:,} x {p['dim']}, {p['spectrum']}, {p['lists']:,} lists", p["form"], reach, f"{p['batch']:,}", str(p["k"]), _times(ours),
                     f"{p['batch'] / ours['median_s']:,.0f}" if ours else "-", f"{p['recall']:.4f}", f"{p['recall_estimate']:.4f}", f"{p['lists_scanned']:.4g}"])  # fmt: skip
    lines += table(["rows", "by", "reach", "batch", "k", "Nearfield", "queries/s", "recall", "estimate of it", "lists a query"], rows)
    if entry["timed"]:
        built = [f"by {form} {goals.seconds(of['build_s'])}" for form, of in entry["loads"].items()]
        lines += [f"Rows added and lists trained in steps of 10 ms: {', '.join(built)}.", ""]
    return lines


def _clusters(entry: dict) -> list[str]:
    if not entry.get("points"):
        return []
    rows = [[f"{p['rows']:,} x {p['dim']}, {p['spectrum']}", f"{p['clusters']:,}", str(p["iterations"]), _times(p.get("nearfield")), f"{p['inertia_ratio']:.4f}"] for p in entry["points"]]
    return ["## k-means", "", "Over all rows from a given start, rows and centroids on the host, the same bits each time. "
            + ("Wall time of one call through the ABI: median (least to most, runs)." if entry["timed"] else "No times."), ""] + table(
        ["rows", "clusters", "iterations", "Nearfield", "inertia / the start's"], rows)  # fmt: skip


def _kernel_workload(of: dict) -> str:
    words = [f"{of['rows']:,} x {of['dim']}"]
    if "scan_dtype" in of:
        words.append("int8 codes")
    if "spectrum" in of:
        words.append(of["spectrum"])
    if "path" in of:
        words.append(f"by {of['path']}")
    if "lists" in of:
        words.append(f"{of['lists']:,} lists, target {of['target_recall']:g}")
    if "clusters" in of:
        words.append(f"k-means, {of['clusters']:,} clusters, {of['iterations']} iterations")
    return ", ".join(words)


def _kernel_time(of: dict) -> str:
    spread = f" ({goals.seconds(of['min_s'])} to {goals.seconds(of['max_s'])}, {of['calls']})" if "min_s" in of else ""
    return goals.seconds(of["seconds"]) + spread


def _kernels(entry: dict) -> list[str]:
    if not entry.get("workloads"):
        return []
    rows = [[_kernel_workload(w), f"{w['batch']:,}", str(w["k"]), _kernel_time(w) if "seconds" in w else "-",
             f"{w['bytes_read'] / 1e6:,.0f} MB" if "bytes_read" in w else "-",
             ", ".join(f"{name} {v['launches']:g} x" + (f", {goals.seconds(v['seconds'])}" if "seconds" in v else "") for name, v in w["kernels"].items())]
            for w in entry["workloads"]]  # fmt: skip
    return [f"## {entry['title']}", "", f"Sums over the kernels of one search after a warm-up: median (least to most, searches); {entry['source']}.", ""] + table(
        ["rows", "batch", "k", "kernel time", "read from memory", "kernels"], rows)  # fmt: skip


def _java(entry: dict) -> list[str]:
    if not entry.get("points"):
        return []
    rows = [[f"{p['batch']:,}", _times(p["nearfield"]), _times(p["nearfield-java"]), goals.seconds(p["added_s"])] for p in entry["points"]]
    return [f"## Java {entry['java']}", ""] + table(["batch", "ABI", "Java API", "added at p50"], rows)
