# SPDX-License-Identifier: Apache-2.0
"""What is on this machine beside the device: tools, driver, Vulkan loader, Java; and which commit this is."""

from __future__ import annotations

import ctypes
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import machine
from machine import ROOT

# Where NVIDIA's installers put what PATH often lacks.
TOOL_FOLDERS = ("/usr/local/cuda/bin", "/usr/local/cuda-*/bin", "/opt/nvidia/nsight-compute/*", "/usr/local/cuda/nsight-compute-*")
SOURCES = ("CMakeLists.txt", "cmake", "native", "kernels-test", "bench", "java-api/src/main", "prove")
LOCAL_CHANGES = " with local changes"  # as machine.commit() says it
DRIVER_FOLDER = "/usr/local/nvidia/lib64"  # where containers have NVIDIA's driver
VULKAN_MANIFESTS = ("/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json", "/usr/share/vulkan/icd.d/nvidia_icd*.json",
                    "/etc/vulkan/icd.d/nvidia_icd*.json")  # fmt: skip


def library_path(*folders: str) -> str:
    """LD_LIBRARY_PATH with these first: what stands there already may be how the driver is found."""
    return os.pathsep.join([*folders, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])


def tool(name: str) -> str | None:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    folders = [os.environ.get("PATH", "")] + ([f"{home}/bin"] if home else [])
    for pattern in TOOL_FOLDERS:
        folders += sorted(glob.glob(pattern), reverse=True)  # the newest first
    return shutil.which(name, path=os.pathsep.join(folders))


def output(*command: str, seconds: float = 20) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cuda_device(environment: dict[str, str], rates: bool, seconds: float = 120) -> dict:
    """What the driver says (cuda_driver.py); `absent` is the reason for nothing."""
    seconds = max(5.0, min(120.0, seconds))  # a driver starts in a few
    command = [sys.executable, str(Path(__file__).with_name("cuda_driver.py"))] + (["--rates"] if rates else [])
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, env={**os.environ, **environment})
    except subprocess.TimeoutExpired:
        return {"absent": f"the NVIDIA driver did not answer for {seconds:.0f} s"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"absent": f"asking the NVIDIA driver ended with status {done.returncode}: {done.stderr.strip()[-200:]}"}


def nvidia_smi() -> dict:
    """Facts that only NVIDIA's own tool tells, where it is there."""
    keys = ("driver_version", "clocks.max.sm", "clocks.max.mem", "power.limit", "temperature.gpu", "ecc.mode.current", "vbios_version")
    found = tool("nvidia-smi")
    line = output(found, f"--query-gpu={','.join(keys)}", "--format=csv,noheader", "--id=0") if found else ""
    values = [value.strip() for value in line.split(",")]
    return dict(zip(keys, values)) if len(values) == len(keys) else {}


def nvcc_version() -> str:
    found = tool("nvcc")
    release = re.search(r"release (\S+),", output(found, "--version")) if found else None
    return release[1] if release else ""


def vulkan() -> tuple[dict[str, str], str]:
    """The environment in which the vendor's Vulkan is found, and what is missing of it, empty when nothing is."""
    environment = {}
    try:
        ctypes.CDLL("libvulkan.so.1")
    except OSError:
        carried = ROOT / "build" / "carry" / "vulkan"
        if not (carried / "libvulkan.so.1").exists():
            return {}, "there is no Vulkan loader (libvulkan.so.1)"
        environment["LD_LIBRARY_PATH"] = library_path(str(carried), DRIVER_FOLDER)
    manifests = [path for pattern in VULKAN_MANIFESTS for path in sorted(glob.glob(pattern))]
    if not manifests:
        return {}, f"NVIDIA's Vulkan driver is not installed: none of {', '.join(VULKAN_MANIFESTS)}"
    environment["VK_DRIVER_FILES"] = manifests[0]
    return environment, ""


def java_version(home: str) -> int:
    """The feature version of a runtime, 0 where it does not start."""
    try:
        done = subprocess.run([f"{home}/bin/java", "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0


def commit(carried: Path = ROOT / "build" / "carry") -> str:
    """NEARFIELD_COMMIT, or of this checkout; without git, what prove/carry.sh wrote beside the build, and whether the sources are those."""
    given = os.environ.get("NEARFIELD_COMMIT", "").strip()
    if given:
        return given
    found = machine.commit()
    if found != "unknown" or not (carried / "commit").exists():
        return found
    noted = (carried / "commit").read_text(encoding="utf-8").strip()
    same = (carried / "digest").exists() and (carried / "digest").read_text(encoding="utf-8").strip() == digest()
    return noted if same or noted.endswith(LOCAL_CHANGES) else noted + LOCAL_CHANGES


def digest(root: Path = ROOT) -> str:
    """Of the names and bytes of the sources that a proof is about."""
    files = [path for place in SOURCES for path in [root / place, *(root / place).rglob("*")]
             if path.is_file() and not {"__pycache__", "target"} & set(path.relative_to(root).parts)]  # fmt: skip
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(f"{path.relative_to(root).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def describe() -> dict:
    about = machine.describe()
    keys = ("cpu", "threads", "memory_bytes", "system", "virtual", "python", "compiler")
    return {**{key: about[key] for key in keys}, "nvcc": nvcc_version(), "nvidia_smi": nvidia_smi(), "host": platform.machine()}
