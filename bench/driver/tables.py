# SPDX-License-Identifier: Apache-2.0
"""Markdown of the report."""

from __future__ import annotations

METRIC_TITLES = {"l2": "L2", "cosine": "cosine", "dot": "dot", "poincare": "Poincaré", "manhattan": "Manhattan"}


def table(head: list[str], rows: list[list[str]], left: int = 1) -> list[str]:
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return ["| " + " | ".join(cells) + " |" for cells in [head, rule] + rows] + [""]


def percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction:.1%}"


def shape(r: dict) -> str:
    """Rows, batch and k of a record; isotropic rows are the usual ones."""
    data = "" if r["data"] == "isotropic" else f"{r['data']}, "
    k = f", k = {r['k']}" if r["k"] else ""
    return f"{data}{r['rows']:,} x {r['dim']} {METRIC_TITLES.get(r['metric'], r['metric'])}, batch {r['batch']:,}{k}"
