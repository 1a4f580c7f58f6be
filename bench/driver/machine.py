# SPDX-License-Identifier: Apache-2.0
"""This machine and this checkout, described for the report; how much memory may be used."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _output(*command: str, folder: Path = ROOT) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def threads() -> int:
    """What this process may use: the cores of its affinity, and no more than a container's CPU quota pays for."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")  # "max 100000" where there is none
    if quota.isdigit() and period.strip().isdigit():
        cores = min(cores, max(1, -(-int(quota) // int(period))))  # rounded up, as the JDK does it
    return cores


def available_memory() -> int | None:
    """Bytes that can be allocated without swapping; None where that cannot be told."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    available = int(found[1]) * 1024 if found else None
    limit, used = _read("/sys/fs/cgroup/memory.max").strip(), _read("/sys/fs/cgroup/memory.current").strip()
    if limit.isdigit() and used.isdigit():
        left = max(0, int(limit) - int(used))
        available = left if available is None else min(available, left)
    if available is None:
        total = _output("sysctl", "-n", "hw.memsize")
        available = int(total) if total.isdigit() else None
    return available


def cpu_name() -> str:
    found = re.search(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return found[1].strip() if found else _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()


def cpu_flags() -> list[str]:
    found = re.search(r"^(?:flags|Features)\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return found[1].split() if found else []


def commit(folder: Path = ROOT) -> str:
    """Of the checkout that the folder lies in."""
    name = _output("git", "rev-parse", "--short=12", "HEAD", folder=folder)
    if not name:
        return "unknown"
    return name + (" with local changes" if _output("git", "status", "--porcelain", "-uno", folder=folder) else "")


def describe() -> dict:
    info = _read("/proc/cpuinfo")
    family = [re.search(rf"^{key}\s*: (\d+)$", info, re.MULTILINE) for key in ("cpu family", "model", "stepping")]
    vector = [f for f in cpu_flags() if re.match(r"avx|fma|f16c|amx|asimd|sve|bf16", f)]
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    huge = re.search(r"\[(\w+)\]", _read("/sys/kernel/mm/transparent_hugepage/enabled"))
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read("/etc/os-release"), re.MULTILINE)
    compiler = _output(os.environ.get("CXX", "c++"), "--version").splitlines()
    return {
        "cpu": cpu_name(),
        "cpu_model": " ".join(m[1] for m in family if m) or "unknown",
        "cpu_flags": " ".join(vector),
        "threads": threads(),
        "memory_bytes": int(memory[1]) * 1024 if memory else None,
        "huge_pages": huge[1] if huge else "unknown",
        "virtual": "hypervisor" in cpu_flags(),
        "system": f"{system[1] if system else platform.system()}, kernel {platform.release()}, {platform.machine()}",
        "compiler": compiler[0] if compiler else "unknown",
        "python": platform.python_version(),
        "commit": commit(),
    }
