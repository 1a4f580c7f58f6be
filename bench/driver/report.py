# SPDX-License-Identifier: Apache-2.0
"""`bench report`: docs/benchmarks.md and its charts, made from records alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import list_tables
import lists
import machine
import output
import peers
import record_files
import scan_tables
import stats
import tables
import targets
import turn_lines
import workloads
from errors import BenchError, Missing, UsageError, say
from options import ReportOptions

KEYS = ("system", "backend", "device", "workload", "data", "rows", "dim", "batch", "k", "metric", "median_s", "min_s", "max_s",
        "qps", "limit_fraction", "recall", "ratio")  # fmt: skip
SCAN_KEYS = ("scan_dtype", "bytes_read_fraction", "candidates_p50", "certified_fraction")  # of scans beside these
# Of lists, graphs and clusterings.
LIST_KEYS = (*lists.KEYS, "iterations", "inertia_ratio")
TEXTS = ("system", "backend", "device", "workload", "data", "metric", "scan_dtype")
MAYBE = ("limit_fraction", "recall") + SCAN_KEYS + LIST_KEYS
MACHINE = {"cpu": str, "cpu_model": str, "cpu_flags": str, "threads": int, "memory_bytes": (int, type(None)), "huge_pages": str,
           "virtual": bool, "system": str, "commit": str}  # fmt: skip
POINT = {"limits": dict, "notes": list, "facts": dict, "bytes": int, "commit": str}


def read_records(paths: list[str]) -> tuple[list[dict], dict]:
    """Of several files with the same workload and system the last counts. The machine is described by the about.json beside
    them, or is this one."""
    merged: dict[tuple, dict] = {}
    about: dict = {"points": {}}
    for path in paths:
        for record in records_of(path):
            merged[tuple(record[k] for k in KEYS[3:10]) + (record["system"],) + tuple(record.get(k) for k in lists.POINT_KEYS)] = record
        beside = Path(path).parent / "about.json"
        if beside.is_file():
            found = about_of(str(beside))
            about["points"].update(found["points"])
            if about.setdefault("machine", found["machine"])["cpu"] != found["machine"]["cpu"]:
                raise UsageError(f"{beside} is of another machine than the records named before it")
    if "machine" not in about:
        say("No about.json beside the records: the report describes this machine and this checkout")
        about["machine"] = machine.describe()
    return list(merged.values()), about


def records_of(path: str) -> list[dict]:
    return record_files.checked(path, KEYS, TEXTS, MAYBE, SCAN_KEYS + LIST_KEYS)


def about_of(path: str) -> dict:
    """What describes the machine and each point, as far as the report reads it."""
    about = record_files.json_of(path)
    if not isinstance(about, dict) or not isinstance(about.get("machine"), dict):
        raise UsageError(f"{path} does not describe a machine")
    for key, kinds in MACHINE.items():
        if not isinstance(about["machine"].get(key), kinds):
            raise UsageError(f"{path}: the machine has {key}={about['machine'].get(key)!r}")
    points = about.setdefault("points", {})
    if not isinstance(points, dict):
        raise UsageError(f"{path} has points={points!r:.40}, an object is expected")
    for name, point in points.items():
        for key, kind in POINT.items():
            if not isinstance(point, dict) or not isinstance(point.get(key), kind):
                raise UsageError(f"{path}: the point '{name}' has no {key} that can be read")
    return about


def _group(point: dict, about: dict) -> tuple[str, int]:
    return point.get("path", ""), point.get("threads", about.get("machine", {}).get("threads", 0))


def peaks(about: dict) -> dict[tuple[str, int], float]:
    """The highest multiply-add peak by path and threads: it is the machine's, whatever the workload. Bandwidth depends on the
    base's size."""
    highest: dict[tuple[str, int], float] = {}
    for point in about["points"].values():
        group = _group(point, about)
        highest[group] = max(highest.get(group, 0.0), point["limits"].get("flops_per_s", 0.0))
    return highest


def same_peak(records: list[dict], about: dict) -> list[dict]:
    """The records with limit_fraction of the highest peak that any workload of the path reached, also one measured later."""
    highest, changed = peaks(about), []
    for record in records:
        point = about["points"].get(workloads.record_name(record))
        if point and record["limit_fraction"] is not None and "read_bytes_per_s" in point["limits"]:
            limits = {**point["limits"], "flops_per_s": highest[_group(point, about)]}
            queries = record["batch"] * point.get("clients", 1)
            least = stats.least_seconds(record["rows"], record["dim"], queries, record["metric"], limits)
            record = {**record, "limit_fraction": stats.rounded(least / record["median_s"], 4)}
        changed.append(record)
    return changed


def write(options: ReportOptions, root: Path) -> None:
    records, about = read_records(options.records)
    if not records:
        raise UsageError("bench report: the files hold no record")
    records = same_peak(records, about)
    out = options.out if "out" in options.given else str(root / options.out)
    output.check_writable(out)
    folder = out.removesuffix(".md")
    os.makedirs(folder, exist_ok=True)
    charts = draw(records, about, folder)
    output.write(output.json_text(records), f"{folder}/records.json")
    output.write(json.dumps(about, indent=1, ensure_ascii=False) + "\n", f"{folder}/about.json")
    output.write("\n".join(_text(records, about, charts, Path(folder))) + "\n", out)
    say(f"Wrote {out} and {len(charts) * 2} charts in {folder}")


def draw(records: list[dict], about: dict, folder: str) -> list[dict]:
    """Charts by matplotlib, in a process that has it. Answers name and description of each."""
    try:
        site = peers.install("report")
    except peers.NotInstalled as failed:
        raise Missing(f"the charts need matplotlib: {failed}") from None
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as given:
        lines = [vars(line) for line in targets.lines(targets.Figures(records, about))]
        json.dump({"records": records, "targets": lines}, given)
        given.flush()
        command = [sys.executable, str(peers.FOLDER / "charts.py"), given.name, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env={**os.environ, "PYTHONPATH": str(site)})  # fmt: skip
    if done.returncode != 0:
        raise BenchError(f"the charts could not be drawn: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return json.loads(done.stdout)


def _text(records: list[dict], about: dict, charts: list[dict], folder: Path) -> list[str]:
    name = folder.name
    lines = ["# Benchmarks", "",
             "Made by `./nearfield bench report` from records that `./nearfield bench all` measured; do not edit. "
             "Nothing is left out: where a peer is faster or a target is missed, it stands here.", "",
             "Rows are isotropic unless a table says otherwise, and **isotropic rows hide the strongest peer**: no direction says more than another, so that nothing "
             "can be left out early. On rows whose spectrum decays, as most embeddings' does, faiss's Panorama leaves out most of them and is faster than any scan of "
             "f32 rows: scans of codes are therefore measured on both, and on real embeddings.", ""]  # fmt: skip
    lines += _machine(about)
    lines += ["## Targets", ""]
    found = list(targets.lines(targets.Figures(records, about)))
    verdicts = {True: "met", False: "**missed**", None: ""}
    lines += tables.table(["workload", "target", "measured", ""], [[t.workload, t.target, t.measured, verdicts[t.met]] for t in found], 2)
    missed = sum(t.met is False for t in found)
    lines += [f"{sum(t.met is True for t in found)} met, {missed} missed, {sum(t.met is None for t in found)} not measured.", ""]
    notes = folder / "notes.md"  # written by hand: reasons are no figures
    if notes.is_file():
        lines += [notes.read_text(encoding="utf-8").strip(), ""]
    for chart in charts:
        lines += [f"## {chart['title']}", "", chart["text"], "",
                  "<picture>", f'  <source media="(prefers-color-scheme: dark)" srcset="{name}/{chart["name"]}-dark.svg">',
                  f'  <img alt="{chart["title"]}" src="{name}/{chart["name"]}.svg">', "</picture>", ""]  # fmt: skip
    lines += _workloads(records, about)
    lines += scan_tables.sections(records, about)
    lines += list_tables.sections(records)
    of_turns = _turns(folder)
    lines += of_turns
    lines += _curve(records)
    lines += _peers(records, about)
    lines += _how(bool(of_turns))
    return lines


def _machine(about: dict) -> list[str]:
    m = about["machine"]
    rows = [["CPU", f"{m['cpu']} (family, model, stepping {m['cpu_model']}){', in a virtual machine' if m['virtual'] else ''}"],
            ["vector instructions", m["cpu_flags"]], ["threads", str(m["threads"])],
            ["memory", f"{(m['memory_bytes'] or 0) / 2**30:.1f} GiB, transparent huge pages: {m['huge_pages']}"],
            ["system", m["system"]], ["our library", _libraries(about)], ["commit", f"`{m['commit']}`"]]  # fmt: skip
    # Of the largest bases: a small one may lie in a cache, and its limit was measured there.
    largest = max((point["bytes"] for point in about["points"].values()), default=0)
    limits: dict[str, dict] = {}
    for key, point in about["points"].items():
        best = limits.setdefault("limits with AVX2 forced" if "avx2" in key else "limits", {})
        for name, value in point["limits"].items():
            if point["bytes"] == largest or name == "flops_per_s":
                best[name] = max(value, best.get(name, 0))
    limits = {name: best for name, best in limits.items() if best.keys() != {"flops_per_s"}}
    rows += [[name, output.limit_words(best)] for name, best in limits.items() if best]
    commits = {point["commit"] for point in about["points"].values()} - {m["commit"]}
    if commits:
        rows.append(["some workloads at", ", ".join(f"`{c}`" for c in sorted(commits))])
    if any(point.get("quick") for point in about["points"].values()):
        rows.append(["**quick**", "**tried out with a hundredth of the rows: these figures mean nothing**"])
    return ["## Machine", ""] + tables.table(["", ""], rows, 2)


def _libraries(about: dict) -> str:
    """As the libraries name themselves: the compiler of this machine may have made none of them."""
    return ", and ".join(sorted({point.get("library", "not recorded") for point in about["points"].values()})) or "not recorded"


def _workloads(records: list[dict], about: dict) -> list[str]:
    lines = ["## Every workload", "",
             "Median of the runs with the least and the most; of the limit: see below; ratio: the system's median over ours.", ""]  # fmt: skip
    rows, last = [], None
    for r in [r for r in records if r["workload"] != "curve" and not scan_tables.is_of(r) and not list_tables.is_of(r)]:
        shape = f"{r['workload']}: {tables.shape(r)}"
        rows.append(["" if shape == last else shape, r["system"], output.seconds(r["median_s"]),
                     f"{output.seconds(r['min_s'])} to {output.seconds(r['max_s'])}", output.count(r["qps"]),
                     tables.percent(r["limit_fraction"]), "" if r["recall"] is None else f"{r['recall']:.4f}", f"{r['ratio']:.2f}"])  # fmt: skip
        last = shape
    return lines + tables.table(["workload", "system", "median", "spread", "queries/s", "of the limit", "recall", "ratio"], rows, 2)


def _curve(records: list[dict]) -> list[str]:
    curve = [r for r in records if r["workload"] == "curve"]
    if not curve:
        return []
    rows = []
    for ours in (r for r in curve if r["system"] == "nearfield"):
        others = [r for r in curve if r["system"] != "nearfield" and (r["dim"], r["batch"]) == (ours["dim"], ours["batch"])]
        rival = others[0] if others else None
        rows.append([f"{ours['rows']:,} x {ours['dim']}", f"{ours['batch']:,}", output.seconds(ours["median_s"]), output.count(ours["qps"]),
                     tables.percent(ours["limit_fraction"]), output.seconds(rival["median_s"]) if rival else "", f"{rival['ratio']:.2f}" if rival else ""])  # fmt: skip
    return ["## The curves in figures", "", "L2, k = 10; the same amount of data at every dimension.", ""] + tables.table(
        ["rows", "batch", "ours", "queries/s", "of the limit", "faiss", "ratio"], rows)


def _turns(folder: Path) -> list[str]:
    """What `bench turns` measured, where it lies beside the other records, with an earlier version's figures where those do."""
    now, then = folder / "turns.json", folder / "turns-before.json"
    if not now.is_file():
        return []
    records, before = turn_lines.records_of(str(now)), turn_lines.records_of(str(then)) if then.is_file() else None
    lines = ["## Turns", "",
             "How long others wait while one user of a device has something large done, and what small calls cost: `./nearfield bench turns`, through Java. "
             "A probe is asked at a steady pace; one that could not be asked because the one before it still waited has waited from when it was due.", ""]  # fmt: skip
    lines += [f"- {words}: {turn_lines.of_what(each)}" for words, each in (("now", records), ("before", before)) if each]
    verdicts = {True: "met", False: "**missed**", None: ""}
    head, rows = turn_lines.table(records, before, verdicts)
    found = [row[-1] for row in rows]
    return lines + [""] + tables.table(head, rows, 2) + [f"{found.count(verdicts[True])} met, {found.count(verdicts[False])} missed.", ""]


def _peers(records: list[dict], about: dict) -> list[str]:
    lines = ["## Peers and their settings", "",
             "Each at the best setting found for the workload by trying: OpenBLAS kernels (environment), and faiss's own thresholds and blocks or "
             "numpy's block of rows. Idle peers sleep (`OMP_WAIT_POLICY=passive`), and their rows lie in huge pages as ours do.", ""]  # fmt: skip
    seen: dict[str, list[str]] = {}
    for r in records:
        if not r["system"].startswith("nearfield"):
            setting, shape = r["device"].split("; ", 1)[-1], f"{r['workload']} {tables.shape(r)}"
            of_setting = seen.setdefault(f"{r['system']} {setting}", [])
            of_setting += [shape] if shape not in of_setting else []
    lines += tables.table(["setting", "workloads"], [[s, "<br>".join(w) if len(w) < 6 else f"{len(w)} workloads"] for s, w in sorted(seen.items())], 2)
    notes = sorted({f"{key}: without {note}" for key, point in about["points"].items() for note in point["notes"]})
    notes += sorted(f"{key}: {warning}" for key, point in about["points"].items() for warning in point.get("warnings", []))
    return lines + ([f"- {note}" for note in notes] + [""] if notes else [])


def _how(has_turns: bool) -> list[str]:
    turns = "; `./nearfield bench turns --format json --out docs/benchmarks/turns.json` the section on turns" if has_turns else ""
    return ["## How it is measured", "",
            "- Every system has the same rows, queries and threads, and they take turns: ours, the first peer, the second, ours again.",
            "- One run is as many calls as fill a tenth of a second, at least one; successive calls search different queries. "
            "The clock covers the call alone, from host arrays to host arrays.",
            "- **Of the limit**: the least time this machine needs for the work, over the median. The least time is the larger of reading the base once "
            "at the measured bandwidth and doing the arithmetic at the measured multiply-add peak (2 operations for each coordinate of each pair; 4 under "
            "Poincaré and Manhattan, whose terms take two instructions). Both limits are measured before, between and after the runs with as many threads, "
            "on a buffer as large as the base; the highest count, and the multiply-add peak is the highest of all workloads of the path. For insertion it is one thread's memcpy into fresh pages.",
            "- **Recall**: 32 queries of measured batches against float64. A row whose true distance f32 cannot tell from the k-th counts as right.",
            "- Synthetic rows are isotropic unless a table says otherwise: coordinates are independent and nearly normal; Poincaré's lie in the ball with hyperbolic "
            "radii uniform up to 6. `decaying` rows are what most embeddings are like: 2,000 overlapping clusters (spread 0.6), energies that fall with i^-1.5, "
            "rotated at random. `overlapping` are as many clusters whose energies fall with i^-0.5 (spread 1.1). `clusters` are 1,000 tight ones (spread 0.1), energies flat. `embeddings` are the demo's: 117,791 definitions of WordNet at 384 "
            "dimensions, 2,000 of which are the queries. Queries are drawn as the rows are, and none is a row.",
            "", "`./nearfield bench all --out docs/benchmarks && ./nearfield bench report docs/benchmarks/records.json` repeats all of it"
            f"{turns}; bench/README.md has the protocol."]  # fmt: skip
