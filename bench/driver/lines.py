# SPDX-License-Identifier: Apache-2.0
"""Rows of the report's table of targets."""

from __future__ import annotations

from dataclasses import dataclass

NOT_MEASURED, NOT_RUN = "not measured", "not yet run"


@dataclass
class Line:
    """met is None where it was not measured."""

    workload: str
    target: str
    measured: str = NOT_MEASURED
    met: bool | None = None
