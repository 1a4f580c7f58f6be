#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants the faults of faults.py in a copy of the product's sources.

  plant.py --list FOLDER               the sources of native/FOLDER that see a mutated file, one a line
  plant.py --to DIR --expect FILE...   writes the mutated copy of native/ to DIR, and DIR/planted.hpp

All faults go into one copy, each behind a condition that holds where NEARFIELD_PLANTED names the fault when the
library is loaded: one build serves them all, and without that variable it is the backend as it ships.
"""

import argparse
import pathlib
import re
import sys

from faults import FAULTS

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDERS = ["common", "cpu", "gpu", "cuda/kernels", "cuda/test", "metal/kernels"]  # of native/
SUFFIXES = {".cpp", ".hpp", ".h", ".cuh", ".cu", ".inc", ".metal"}


def identifier(name):
    return name.replace("-", "_")


def mutated(path, text, edits):
    """The text with every edit made; each old text must stand in the original exactly once."""
    original = text
    for fault, old, new in edits:
        count = min(original.count(old), text.count(old))  # 0 as well where another fault's edit took part of it
        if count != 1:
            sys.exit(f"plant.py: fault {fault.name}: {path} holds its old text {count} times instead of once:\n{old}")
        text = text.replace(old, new.replace("PLANTED", f"::nearfield::planted::{identifier(fault.name)}"))
    return text


def edits_by_file():
    by_file = {}
    for fault in FAULTS:
        for path, old, new in fault.edits:
            by_file.setdefault(path, []).append((fault, old, new))
    return by_file


def affected(folder):
    """Sources of native/<folder> that are mutated or include, at any depth, a file that is."""
    native = ROOT / "native"
    sources = {path: path.read_text() for name in FOLDERS for path in sorted((native / name).iterdir())
               if path.suffix in SUFFIXES}

    def included(path):
        for name in re.findall(r'^\s*#include "([^"]+)"', sources[path], re.M):
            yield from (base / name for base in (path.parent, native / "common", native) if base / name in sources)

    includes = {path: set(included(path)) for path in sources}
    hit = {ROOT / path for path in edits_by_file()}
    while more := {path for path in sources if includes[path] & hit} - hit:
        hit |= more
    return [path.name for path in sources if path in hit and path.parent == native / folder and path.suffix == ".cpp"]


def header():
    flags = "\n".join(f'inline const bool {identifier(f.name)} = chosen("{f.name}");' for f in FAULTS)
    return f"""// Made by kernels-test/planted/faults/plant.py.
#pragma once
#include <cstdlib>
#include <cstring>
namespace nearfield::planted {{
inline bool chosen(const char* fault) {{
  const char* const now = std::getenv("NEARFIELD_PLANTED");
  return now != nullptr && std::strcmp(now, fault) == 0;
}}
{flags}
}}  // namespace nearfield::planted
"""


def write(path, text):
    """Only where it differs, so that nothing is compiled in vain."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def plant(to):
    edits = edits_by_file()
    for name in FOLDERS:
        for path in sorted((ROOT / "native" / name).iterdir()):
            if path.suffix in SUFFIXES:
                relative = path.relative_to(ROOT).as_posix()
                write(to / relative, mutated(relative, path.read_text(), edits.pop(relative, [])))
    for path in edits:
        sys.exit(f"plant.py: fault {edits[path][0][0].name}: {path} is no source of native/ that is copied")
    write(to / "planted.hpp", header())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", metavar="FOLDER")
    parser.add_argument("--to", type=pathlib.Path)
    parser.add_argument("--expect", nargs="*", default=[], help="what --list answered when the build was configured, as FOLDER/NAME")
    options = parser.parse_args()
    if options.list:
        print("\n".join(affected(options.list)))
        return
    now = sorted(f"{folder}/{name}" for folder in ("common", "cpu", "gpu") for name in affected(folder))
    if now != sorted(options.expect):
        sys.exit("plant.py: which sources see a mutated file has changed since the build was configured: configure it again")
    plant(options.to)


if __name__ == "__main__":
    main()
