# SPDX-License-Identifier: Apache-2.0
"""Where the libraries and programs come from: built here, or brought along."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import children
import surroundings
from machine import ROOT
from phases import Absent, Failed

HERE = ROOT / "build" / "prove"
CARRIED_EIGEN = ROOT / "build" / "carry" / "eigen"
TOOLS = ("unit_sums.ptx", "unit_sums_90a.ptx", "libcuda.so.1")  # of prove itself, in a build's folder prove
PROGRAMS = ("nearfield_suite", "nearfield_bench")
LIBRARY = "lib{}.dylib" if sys.platform == "darwin" else "lib{}.so"


@dataclass
class Build:
    folder: Path
    backend: str

    @property
    def lib(self) -> Path:
        return self.folder / "lib"

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def library(self, backend: str) -> Path:
        return self.lib / LIBRARY.format(f"nearfield_{backend}")

    def tool(self, name: str) -> Path:
        return self.folder / "prove" / name

    def missing(self) -> list[str]:
        files = [self.library(self.backend), *(self.folder / "bin" / name for name in PROGRAMS)]
        return [str(file) for file in files if not file.exists()]


def brought(options, backend: str) -> Build | None:
    """The first that is whole: --build, what prove/carry.sh packed, the launcher's own, which alone has an emulated driver."""
    release = ROOT / "build" / "release"
    folders = [Path(options.build)] if options.build else [release] if options.rehearse else [ROOT / "build" / "carry", release]
    for folder in folders:
        build = Build(folder.resolve(), backend)
        if not build.missing():
            return build
    return None


def find(options, backend: str, compute_capability: str, entry: dict, seconds: float, log: str) -> Build:
    """Builds where that can be done and nothing else was asked for."""
    found = brought(options, backend)
    if options.build or options.rehearse:
        if found is None:
            lacking = Build(Path(options.build or ROOT / "build" / "release").resolve(), backend).missing()
            raise Absent(f"the build lacks {', '.join(lacking)}")
        entry["from"] = str(found.folder)
        return found
    reason = _cannot_build(backend)
    if not reason:
        reason = _build(backend, compute_capability, seconds, log)
        if not reason:
            entry["from"] = "built here"
            built = Build(HERE, backend)
            _complete(built, found)
            return built
        entry["build_failed"] = reason
    if found is None:
        lacking = f"{reason}, and no build was brought along in build/carry (prove/carry.sh makes one)"
        raise Failed(lacking) if "build_failed" in entry else Absent(lacking)
    entry["from"] = f"{found.folder}, because {reason}"
    return found


def _cannot_build(backend: str) -> str:
    if backend == "cuda" and not surroundings.tool("nvcc"):
        return "there is no nvcc"
    if not surroundings.tool("cmake"):
        return "there is no cmake"
    if not (surroundings.tool("ninja") or surroundings.tool("make")):
        return "there is neither ninja nor make"
    return ""


def _build(backend: str, compute_capability: str, seconds: float, log: str) -> str:
    """Empty when it worked. Only this device's machine code: that of all generations takes minutes."""
    generator = ["-G", "Ninja"] if surroundings.tool("ninja") else ["-G", "Unix Makefiles"]
    wanted = {"CMAKE_BUILD_TYPE": "Release", "NEARFIELD_WGPU": "OFF", "NEARFIELD_METAL": "OFF", f"NEARFIELD_{backend.upper()}": "ON"}
    if backend == "cuda":
        capability = compute_capability.replace(".", "")
        wanted["NEARFIELD_CUDA_ARCHITECTURES"] = {"90": "90a"}.get(capability, capability)  # with products of warpgroups
        wanted["NEARFIELD_NVCC"] = surroundings.tool("nvcc")
    configure = [surroundings.tool("cmake"), "-S", str(ROOT), "-B", str(HERE), *generator, *[f"-D{k}={v}" for k, v in wanted.items()]]
    if (CARRIED_EIGEN / "Eigen").is_dir():
        configure.append(f"-DNEARFIELD_EIGEN_INCLUDE={CARRIED_EIGEN}")
    end = time.monotonic() + seconds
    _keep_what_fits(configure)
    done = children.run(configure, f"{log}-configure", seconds)
    if done.status != 0:
        return f"cmake could not configure: {children.first_error(done.output)}"
    known = _targets()
    targets = [f"nearfield_{backend}", *PROGRAMS, *(name for name in ("nearfield_cpu", "nearfield_prove_tools") if name in known)]
    done = children.run([surroundings.tool("cmake"), "--build", str(HERE), "--parallel", str(os.cpu_count() or 1), "--target", *targets],
                        f"{log}-build", end - time.monotonic())  # fmt: skip
    if done.cut_short:
        return f"the build was not done in {seconds:.0f} s"
    if done.status != 0:
        return f"the build failed: {children.first_error(done.output)}"
    lacking = Build(HERE, backend).missing()
    return f"the build lacks {', '.join(lacking)}" if lacking else ""


def _keep_what_fits(configure: list[str]) -> None:
    """An earlier build is gone on with where its settings, compilers and place were these; libraries brought along are not kept."""
    settings, noted = "\n".join([*configure, surroundings.nvcc_version()]), HERE / "settings.txt"
    if not noted.exists() or noted.read_text(encoding="utf-8") != settings:
        shutil.rmtree(HERE, ignore_errors=True)
    shutil.rmtree(HERE / "lib", ignore_errors=True)
    HERE.mkdir(parents=True, exist_ok=True)
    noted.write_text(settings, encoding="utf-8")


def _targets() -> str:
    done = children.run([surroundings.tool("cmake"), "--build", str(HERE), "--target", "help"], str(HERE / "targets.log"), 30)
    return done.output


def _complete(built: Build, carried: Build | None) -> None:
    """Libraries that cannot be built here come from what was brought along: the CPU backend (Highway), WebGPU (pip)."""
    if carried is None:
        return
    for file in carried.lib.iterdir():
        if file.is_file() and not (built.lib / file.name).exists():
            shutil.copy2(file, built.lib / file.name)
    for name in TOOLS:
        if carried.tool(name).exists() and not built.tool(name).exists():
            built.tool(name).parent.mkdir(exist_ok=True)
            shutil.copy2(carried.tool(name), built.tool(name))
