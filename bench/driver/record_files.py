# SPDX-License-Identifier: Apache-2.0
"""Files of records, checked before anything is made of them."""

from __future__ import annotations

import json
import math
from pathlib import Path

from errors import UsageError


def json_of(path: str):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from None


def checked(path: str, keys: tuple[str, ...], texts: tuple[str, ...], maybe: tuple[str, ...], beside: tuple[str, ...] = ()) -> list[dict]:
    """An array of objects that have these keys: some are texts, the others numbers, or null where they may be. Those `beside` may be absent."""
    records = json_of(path)
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise UsageError(f"{path} is no array of records")
    for number, record in enumerate(records):
        missing = [key for key in keys if key not in record]
        if missing:
            raise UsageError(f"{path}: record {number} has no '{missing[0]}'")
        for key in keys + tuple(key for key in beside if key in record):
            expected = ("text" if key in texts else "a number") + (" or null" if key in maybe else "")
            fits = isinstance(record[key], str) if key in texts else _is_number(record[key])
            if not (fits or (key in maybe and record[key] is None)):
                raise UsageError(f"{path}: record {number} has {key}={record[key]!r}, {expected} is expected")
    return records


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
