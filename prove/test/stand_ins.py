# SPDX-License-Identifier: Apache-2.0
"""What stands for a GPU's machine: tools as scripts, a driver in C, the planted backend as the library."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import command_line
import session as sessions
from building import Build
from machine import ROOT

RELEASE = ROOT / "build" / "release"
# As a real run, with times, but small.
SMALL = dataclasses.replace(sessions.TINY, run_seconds=0.001, rounds=3, limit_seconds=0.01)


class StandInTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="nearfield prove ")  # the space is on purpose
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.setting("PATH", f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        (self.folder / "bin").mkdir()

    def setting(self, name: str, value: str) -> None:
        before = os.environ.get(name)
        os.environ[name] = value
        self.addCleanup(lambda: os.environ.pop(name) if before is None else os.environ.__setitem__(name, before))

    def tool(self, name: str, body: str) -> Path:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def driver(self) -> str:
        """The folder of a libcuda.so.1 with one device."""
        folder = self.folder / "driver"
        folder.mkdir(exist_ok=True)
        source = Path(__file__).with_name("fake_driver.c")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", folder / "libcuda.so.1", source], check=True)
        return str(folder)

    def build(self) -> Build:
        """A build whose cuda library is the planted backend: scalar code on the CPU."""
        folder = self.folder / "build"
        for name in ("lib", "bin"):
            (folder / name).mkdir(parents=True)
        shutil.copy(RELEASE / "lib" / "libnearfield_planted.so", folder / "lib" / "libnearfield_cuda.so")
        shutil.copy(RELEASE / "lib" / "libnearfield_cpu.so", folder / "lib")
        for name in ("nearfield_suite", "nearfield_bench"):
            (folder / "bin" / name).symlink_to(RELEASE / "bin" / name)
        return Build(folder, "cuda")

    def session(self, build: Build | None = None) -> sessions.Session:
        found = sessions.Session(command_line.Options(), "cuda", "cuda", str(self.folder), {}, SMALL, False)
        found.build = build or self.build()
        return found
