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
    command = [sys.executable, str(Path(__file__).with_name("unit_sums.py")), str(ptx)]
    done = children.run(command, session.log("units"), seconds, session.environment)
    if done.cut_short:
        raise CutShort("the sums were not measured when the time was over")
    try:
        found = json.loads(children.last_line(done.output))
    except ValueError:
        raise Failed(f"unit_sums.py ended with status {done.status}: {children.last_line(done.output)}") from None
    if "absent" in found:
        raise Absent(found["absent"])
    if "failed" in found:
        raise Failed(found["failed"])
    entry["units"] = found
    if found["broken"]:
        raise Failed(f"the units do not sum as is counted on: {'; '.join(found['broken'])}")
    return sentence(found)


def sentence(found: dict) -> str:
    tf32, worst = found["tf32"], max(found["sums"], key=lambda of: of["greatest_u"] / of["counted_u"])
    return (f"TF32 in blocks of {tf32['block']} that keep {tf32['kept_bits']} bits, the sum rounded {tf32['sum_rounded']}; at most {worst['greatest_u']:g} u "
            f"of {worst['counted_u']:g} counted ({worst['data']} data, {worst['products']} products); {found['int8']['sums']} sums of int8 exact")  # fmt: skip
