# SPDX-License-Identifier: Apache-2.0
"""Kernel sources as text that a library carries, for the embed.py of the backends that compile at run time."""

import re

INCLUDE = re.compile(r'^\s*#include\s+"([\w.]+)"\s*$')


def expanded(folders, name):
    """The file `name` of one of `folders` with its #include "..." lines expanded, each file once."""
    return _expanded(folders, name, set())


def _expanded(folders, name, seen):
    if name in seen:
        return ""
    seen.add(name)
    (path,) = [folder / name for folder in folders if (folder / name).exists()]
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        match = INCLUDE.match(line)
        if match:
            lines.append(_expanded(folders, match.group(1), seen))
        elif not line.startswith("// SPDX"):
            lines.append(line)
    return "\n".join(lines) + "\n"


def c_array(text):
    """The initialiser of a char array that holds `text` and a 0."""
    data = text.encode("utf-8")
    rows = [", ".join(str(b) for b in data[i : i + 24]) for i in range(0, len(data), 24)]
    return "{\n%s, 0}" % ",\n".join(rows)
