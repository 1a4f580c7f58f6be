# SPDX-License-Identifier: Apache-2.0
"""Charts of the report. `charts.py DATA.json FOLDER` writes NAME.svg and NAME-dark.svg and prints what they are."""

import json
import math
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, PercentFormatter  # noqa: E402

# Okabe and Ito's colours, told apart by most colour-blind readers; ours is the strongest on both backgrounds.
THEMES = {
    "": {"ink": "#1f2328", "soft": "#59636e", "grid": "#d1d9e0", "systems": ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700"), "ground": "#ffffff"},
    "-dark": {"ink": "#f0f6fc", "soft": "#9198a1", "grid": "#3d444d", "systems": ("#4493f8", "#db6d28", "#3fb950", "#ab7df8", "#d29922"), "ground": "#0d1117"},
}  # fmt: skip
SYSTEMS = ("nearfield", "faiss", "usearch", "numpy", "faiss-default")
SCAN_SYSTEMS = ("nearfield-i8", "faiss", "panorama", "panorama-threads", "faiss-sq8")
# With lists or as graphs: colour of the theme, or soft; line.
LIST_SYSTEMS = {"nearfield-i8": (0, "-"), "nearfield": (0, "--"), "faiss-ivfflat": (1, "-"), "faiss-ivfpanorama": (2, "-"), "faiss-ivfsq8": (3, "-"),
                "faiss-ivfrabitq": (4, "-"), "hnswlib": (None, "-"), "usearch-hnsw": (None, "--")}  # fmt: skip
METRICS = {"l2": "L2", "cosine": "cosine", "dot": "dot", "poincare": "Poincaré", "manhattan": "Manhattan"}


def style(theme: dict) -> None:
    plt.rcdefaults()
    plt.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "nearfield", "font.family": "sans-serif", "font.size": 11,
        "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
        "text.color": theme["ink"], "axes.labelcolor": theme["soft"], "axes.edgecolor": theme["grid"], "axes.titlecolor": theme["ink"],
        "xtick.color": theme["soft"], "ytick.color": theme["soft"], "grid.color": theme["grid"], "grid.linewidth": 0.6,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
        "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False,
        "xtick.minor.size": 0, "ytick.minor.size": 0,
    })  # fmt: skip


def save(figure, folder: str, name: str, suffix: str) -> None:
    figure.savefig(f"{folder}/{name}{suffix}.svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.1)
    plt.close(figure)


def batches(axis, values) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(values))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v / 1000:g}k" if v >= 1000 else f"{v:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def curve_of(records: list[dict]) -> list[dict]:
    return sorted((r for r in records if r["workload"] == "curve"), key=lambda r: (r["dim"], r["batch"]))


def limits(records: list[dict], theme: dict):
    curve = curve_of(records)
    dims = sorted({r["dim"] for r in curve})
    columns = min(3, len(dims))
    figure, axes = plt.subplots(-(-len(dims) // columns), columns, figsize=(9.6, 2.7 * -(-len(dims) // columns)), sharex=True, sharey=True,
                                squeeze=False, layout="constrained")  # fmt: skip
    for axis in axes.flat[len(dims):]:
        axis.set_visible(False)
    for axis, dim in zip(axes.flat, dims):
        for number, system in enumerate(("nearfield", "faiss")):
            points = [r for r in curve if r["dim"] == dim and r["system"] == system and r["limit_fraction"] is not None]
            axis.plot([r["batch"] for r in points], [r["limit_fraction"] for r in points], marker="o", markersize=4.5, linewidth=2,
                      linestyle="-" if number == 0 else "--", color=theme["systems"][number], label=system)  # fmt: skip
        axis.set_title(f"{dim} dimensions", fontsize=11, loc="left")
        batches(axis, sorted({r["batch"] for r in curve}))
        axis.set_ylim(0, 1.05)
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axis in axes[-1]:
        axis.set_xlabel("queries a call")
    for row in axes:
        row[0].set_ylabel("of the limit")
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2)
    return figure


def speedups(records: list[dict], theme: dict):
    faiss = [r for r in curve_of(records) if r["system"] == "faiss"]
    dims = sorted({r["dim"] for r in faiss})
    figure, axis = plt.subplots(figsize=(9.6, 4), layout="constrained")
    colours = plt.get_cmap("viridis" if theme["ground"] == "#0d1117" else "viridis_r")
    for number, dim in enumerate(dims):
        points = [r for r in faiss if r["dim"] == dim]
        axis.plot([r["batch"] for r in points], [r["ratio"] for r in points], marker="osD^vP"[number % 6], markersize=6, linewidth=2,
                  color=colours(0.2 + 0.7 * number / max(1, len(dims) - 1)), label=f"{dim}")  # fmt: skip
    axis.axhline(1, color=theme["soft"], linewidth=1.2, linestyle="--")
    axis.annotate("as fast as faiss", (1, 1), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
                  va="center", color=theme["soft"], fontsize=10)  # fmt: skip
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_locator(LogLocator(base=2, subs=(1.0, 1.5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g} x"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    batches(axis, sorted({r["batch"] for r in faiss}))
    axis.set_xlabel("queries a call")
    axis.set_ylabel("faiss's median over ours")
    axis.legend(title="dimensions", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def shapes(records: list[dict]) -> dict[tuple, list[dict]]:
    found: dict[tuple, list[dict]] = {}
    for r in records:
        if r["workload"] == "flat" and r["data"] == "isotropic":
            found.setdefault((r["rows"], r["dim"], r["metric"], r["batch"], r["k"]), []).append(r)
    return {key: group for key, group in found.items() if any(r["system"] in SYSTEMS[1:] for r in group)}


def workloads(records: list[dict], theme: dict):
    groups = shapes(records)
    heights = [len([r for r in group if r["system"] in SYSTEMS[1:]]) for group in groups.values()]
    figure, axis = plt.subplots(figsize=(9.6, 0.8 + 0.26 * sum(heights) + 0.22 * len(groups)), layout="constrained")
    at, ticks, names, shown = 0.0, [], [], set()
    for (rows, dim, metric, batch, k), group in groups.items():
        rivals = [r for s in SYSTEMS[1:] for r in group if r["system"] == s]
        ticks.append(at + (len(rivals) - 1) / 2)
        size = f"{rows / 1e6:g}M" if rows >= 1e6 else f"{rows / 1000:.0f}k"
        names.append(f"{size} x {dim} {METRICS.get(metric, metric)}, batch {batch}" + (f", k {k}" if k != 10 else ""))
        for r in rivals:
            number = SYSTEMS.index(r["system"])
            axis.barh(at, r["ratio"] - 1, height=0.86, left=1, color=theme["systems"][number],
                      label=None if r["system"] in shown else r["system"])  # fmt: skip
            slower = r["ratio"] >= 1
            axis.annotate(f"{r['ratio']:.3g} x", (r["ratio"], at), xytext=(4 if slower else -4, 0), textcoords="offset points",
                          ha="left" if slower else "right", va="center", fontsize=9.5)  # fmt: skip
            shown.add(r["system"])
            at += 1
        at += 0.85
    axis.set_yticks(ticks, names)
    axis.tick_params(axis="y", length=0, labelcolor=theme["ink"])
    axis.invert_yaxis()
    axis.set_xscale("log")
    most = max(r["ratio"] for group in groups.values() for r in group)
    least = min(r["ratio"] for group in groups.values() for r in group)
    axis.set_xlim(0.55 * least if least < 0.98 else 0.85, most * 1.6)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g} x"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(False, axis="y")
    axis.axvline(1, color=theme["soft"], linewidth=1.2, linestyle="--")
    axis.set_xlabel("the peer's median over ours, logarithmic; left of the line the peer is faster")
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def scan_shapes(records: list[dict]) -> dict[tuple, list[dict]]:
    """By workload; as many queries as threads stand with the single query, whose f32 scan they are compared with."""
    found: dict[tuple, list[dict]] = {}
    for r in records:
        if r["workload"] == "scan" and r["system"] in SCAN_SYSTEMS:
            batch = 1 if r["system"].endswith("-threads") else r["batch"]
            found.setdefault((r["data"], r["rows"], r["dim"], batch, r["k"]), []).append(r)
    return found


def scans(records: list[dict], theme: dict):
    groups = scan_shapes(records)
    bars = sum(len(group) for group in groups.values())
    figure, axis = plt.subplots(figsize=(9.6, 0.8 + 0.26 * bars + 0.22 * len(groups)), layout="constrained")
    at, ticks, names, shown, times = 0.0, [], [], set(), []
    for (data, rows, dim, batch, k), group in groups.items():
        ticks.append(at + (len(group) - 1) / 2)
        size = f"{rows / 1e6:g}M" if rows >= 1e6 else f"{rows / 1000:.0f}k"
        names.append(f"{data}, {size} x {dim}, batch {batch}" + (f", k {k}" if k != 10 else ""))
        for r in sorted(group, key=lambda r: SCAN_SYSTEMS.index(r["system"])):
            faster = 1 / r["ratio"]
            axis.barh(at, faster - 1, height=0.86, left=1, color=theme["systems"][SCAN_SYSTEMS.index(r["system"])],
                      label=None if r["system"] in shown else r["system"])  # fmt: skip
            axis.annotate(f"{faster:.3g} x", (faster, at), xytext=(4 if faster >= 1 else -4, 0), textcoords="offset points",
                          ha="left" if faster >= 1 else "right", va="center", fontsize=9.5)  # fmt: skip
            shown.add(r["system"])
            times.append(faster)
            at += 1
        at += 0.85
    axis.set_yticks(ticks, names)
    axis.tick_params(axis="y", length=0, labelcolor=theme["ink"])
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.set_xlim(0.5 * min(0.98, min(times)), 1.6 * max(1.0, max(times)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g} x"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(False, axis="y")
    axis.axvline(1, color=theme["soft"], linewidth=1.2, linestyle="--")
    axis.set_xlabel("queries a second over our f32 scan's, logarithmic; left of the line the f32 scan is faster")
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def recall_shapes(records: list[dict]) -> dict[tuple, list[dict]]:
    found: dict[tuple, list[dict]] = {}
    for r in records:
        if r["workload"] == "ivf" and r.get("at_recall") is not None and r["system"] in LIST_SYSTEMS:
            found.setdefault((r["data"], r["rows"], r["dim"], r["batch"]), []).append(r)
    return found


def missed(recall: float) -> float:
    """Where a recall stands on its axis: what is missed, logarithmic; what is missed of 10,000 neighbours at the least."""
    return -math.log10(max(1 - recall, 1e-4))


def recalls(records: list[dict], theme: dict):
    groups = recall_shapes(records)
    columns = min(2, len(groups))
    figure, axes = plt.subplots(-(-len(groups) // columns), columns, figsize=(9.6, 3.6 * -(-len(groups) // columns)), squeeze=False, layout="constrained")
    for axis in axes.flat[len(groups):]:
        axis.set_visible(False)
    shown: dict[str, object] = {}
    for axis, ((data, rows, dim, batch), group) in zip(axes.flat, groups.items()):
        for system, (colour, line) in LIST_SYSTEMS.items():
            points = sorted((r for r in group if r["system"] == system), key=lambda r: r["recall"])
            if points:
                (shown[system],) = axis.plot([missed(r["recall"]) for r in points], [r["qps"] for r in points], marker="o", markersize=4, linewidth=2, linestyle=line,
                                             color=theme["soft"] if colour is None else theme["systems"][colour])  # fmt: skip
        size = f"{rows / 1e6:g}M" if rows >= 1e6 else f"{rows / 1000:.0f}k"
        axis.set_title(f"{data}, {size} x {dim}, batch {batch:,}", fontsize=11, loc="left")
        ticks = (0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
        least, most = min(r["recall"] for r in group), max(r["recall"] for r in group)
        kept = [tick for tick in ticks if missed(least) - 0.1 <= missed(tick) <= missed(most) + 0.1]
        axis.xaxis.set_major_locator(FixedLocator([missed(tick) for tick in kept]))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{1 - 10**-value:.3g}"))
        axis.set_yscale("log")
        axis.set_xlabel("recall")
        axis.set_ylabel("queries a second")
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=4)
    return figure


CHARTS = (
    ("lists", recalls, "Queries a second by recall", "Indexes with lists, and graphs; up and to the right is better. In the same run, each looking as far as it must.",
     lambda records: bool(recall_shapes(records))),
    ("scans", scans, "How much faster than a scan of f32 rows", "Queries a second over those of our own f32 scan in the same run. faiss-sq8 is approximate, the others are exact.",
     lambda records: bool(scan_shapes(records))),
    ("workloads", workloads, "How much longer the peers take", "Median over ours, in the same run. Right of the dashed line Nearfield is faster.",
     lambda records: bool(shapes(records))),
    ("limits", limits, "How much of the machine is used", "Share of what memory bandwidth or arithmetic allow, L2, k = 10, by batch and dimensions.",
     lambda records: any(r["limit_fraction"] is not None for r in curve_of(records))),
    ("speedups", speedups, "Nearfield over faiss, by batch", "The same runs as ratios: above 1 Nearfield is faster.",
     lambda records: any(r["system"] == "faiss" for r in curve_of(records))),
)  # fmt: skip


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as given:
        records = json.load(given)["records"]
    drawn = []
    for name, draw, title, text, applies in CHARTS:
        if not applies(records):
            continue
        for suffix, theme in THEMES.items():
            style(theme)
            save(draw(records, theme), sys.argv[2], name, suffix)
        drawn.append({"name": name, "title": title, "text": text})
    print(json.dumps(drawn))


main()
