# SPDX-License-Identifier: Apache-2.0
"""Which build of our library is measured: what is shipped, this machine's compiler's, or a folder's."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from errors import Missing, UsageError
from machine import ROOT

PACKAGED, LOCAL = "packaged", "local"
# As dist_platform in launcher/package.sh: the libraries of Macs are built on Linux.
PLATFORMS = {("Linux", "x86_64"): "linux-x86_64", ("Linux", "aarch64"): "linux-aarch_64", ("Linux", "arm64"): "linux-aarch_64"}
SUFFIX = ".dylib" if platform.system() == "Darwin" else ".so"


@dataclass(frozen=True)
class Library:
    folder: Path
    words: str  # in records, behind what the library says of itself


def shipped_platform() -> str | None:
    return PLATFORMS.get((platform.system(), platform.machine()))


def check(name: str, chosen: str) -> str:
    """The value of an option: packaged, local or a folder."""
    if chosen == PACKAGED and shipped_platform() is None:
        raise UsageError(f"{name}={chosen}: no library is packaged on {platform.system()} {platform.machine()}, choose {LOCAL}")
    if chosen not in (PACKAGED, LOCAL) and not os.path.isdir(chosen):
        raise UsageError(f"{name}={chosen} is neither {PACKAGED} nor {LOCAL} nor a folder")
    return chosen


def default() -> str:
    return PACKAGED if shipped_platform() else LOCAL


def find(chosen: str, backend: str) -> Library:
    """`chosen` as check() answers it. The packaged library is the file in the content of the jar, not the one it was copied from."""
    if chosen == PACKAGED:
        system = shipped_platform()
        found = Library(ROOT / "build" / f"dist-{system}" / "jar" / backend / "META-INF" / "nearfield" / backend / str(system), "packaged")
    elif chosen == LOCAL:
        found = Library(ROOT / "build" / "release" / "lib", "local build")
    else:
        found = Library(Path(chosen).resolve(), "of a folder")
    file = found.folder / f"libnearfield_{backend}{SUFFIX}"
    if not file.exists():
        raise Missing(f"{file} is not there" + ("" if found.words == "of a folder" else "; ./nearfield bench builds it"))
    return found
