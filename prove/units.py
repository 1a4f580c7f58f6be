# SPDX-License-Identifier: Apache-2.0
"""The sums of the matrix units against what the certificates count on: a device that sums otherwise would lose rows in silence."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import children
from phases import Absent, CutShort, Failed
from session import Session


def check(session: Session, entry: dict, seconds: float) -> str:
    if session.backend != "cuda":
        raise Absent("the kernels that measure them are CUDA's")
    ptx = session.build.tool("unit_sums.ptx")
    if not ptx.exists():
        raise Absent(f"{ptx} was not brought along")
    found = _run(session, "mma", seconds / 2)
    if "absent" in found:
        raise Absent(found["absent"])
    if "failed" in found:
        raise CutShort(found["failed"]) if found.get("cut_short") else Failed(found["failed"])
    # A program of its own, so that it takes nothing with it where it fails.
    wgmma = _run(session, "wgmma", seconds / 2)
    entry["units"] = {**found, "wgmma": {"absent": wgmma["failed"]} if "failed" in wgmma else wgmma}
    broken = found["broken"] + [f"wgmma: {what}" for what in wgmma.get("broken", [])]
    if broken:
        raise Failed(f"the units do not sum as is counted on: {'; '.join(broken)}")
    return sentence(entry["units"])


def _run(session: Session, instruction: str, seconds: float) -> dict:
    """What unit_sums.py answers; `failed` also where it did not."""
    folder = session.build.tool("unit_sums.ptx").parent
    command = [sys.executable, str(Path(__file__).with_name("unit_sums.py")), str(folder), instruction]
    done = children.run(command, session.log(f"units-{instruction}"), seconds, session.environment)
    if done.cut_short:
        return {"failed": "the sums were not measured when the time was over", "cut_short": True}
    try:
        return json.loads(children.last_line(done.output))
    except ValueError:
        return {"failed": f"unit_sums.py ended with status {done.status}: {children.last_line(done.output)}"}


def sentence(found: dict) -> str:
    seen, worst = found["mma"]["seen"], max(found["mma"]["sums"], key=lambda of: of["greatest_u"] / of["counted_u"])
    return (f"TF32 in blocks of {seen['block']} that keep {seen['kept_bits']} bits, the sum rounded {seen['sum_rounded']}; at most {worst['greatest_u']:g} u "
            f"of {worst['counted_u']:g} counted ({worst['data']} data, {worst['products']} products); {found['int8']['sums']} sums of int8 exact; {of_wgmma(found['wgmma'])}")  # fmt: skip


def of_wgmma(found: dict) -> str:
    if "absent" in found:
        return f"without wgmma: {found['absent']}"
    seen = found["seen"]
    within = f"loses more than is counted: {'; '.join(found['broken'])}" if found["broken"] else "within what is counted"
    return f"wgmma in blocks of {seen['block']} that keep {seen['kept_bits']} bits, {within}"
