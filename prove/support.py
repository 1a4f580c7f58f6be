# SPDX-License-Identifier: Apache-2.0
"""docs/support.md: which kernel has run on which silicon, when and at which commit, from the records in docs/proof."""

from __future__ import annotations

import json
from pathlib import Path

import phases
import record
from errors import BenchError
from machine import ROOT

PAGE = ROOT / "docs" / "support.md"
# The kernels of the GPU backends, and the suite's operations that cannot pass without them (native/gpu).
KERNELS = {
    "flat": ("knn", "search", "bits-batch", "filter", "within", "lists"),
    "merge": ("search", "bits-slabs"),
    "histogram": ("search", "prefix"),
    "collect": ("search", "prefix"),
    "matrix": ("search", "bits-paths"),
    "matrix_tf32": ("search", "bits-paths"),
    "matrix_tf32_wgmma": ("search", "bits-paths"),
    "residual": ("search", "bits-paths"),
    "rescore": ("search", "bits-paths"),
    "score": ("score",),
    "move": ("add", "read", "replace", "compact"),
    "rotate": ("codes", "codes-model"),
    "code": ("codes", "codes-model"),
    "decode": ("codes-alone",),
    "transfer": ("codes", "codes-alone"),
    "levels": ("codes", "codes-capped", "lists"),
    "coded_product": ("codes", "codes-model"),
    "prune": ("codes", "codes-model"),
}
WITHOUT = {"matrix": ("wgpu",), "matrix_tf32": ("metal", "wgpu"), "matrix_tf32_wgmma": ("metal", "wgpu"), "residual": ("metal", "wgpu")}  # kernel, backends
ONLY = {"matrix_tf32_wgmma": "9.0"}  # kernel, compute capability of the devices that run it
GPUS = ("cuda", "metal", "wgpu")
NOT_YET = "not yet run"

HEAD = """# Support

Made by `./nearfield prove` from the records in [proof](proof/README.md); do not edit. What stands here has run, and what has not says so.

## On real GPUs

A kernel counts when the whole suite ran on that device at that commit and no case of the operations that need the kernel failed.

"""
FOOT = """
## In every test run

| column of the suite | runs on | what that shows |
|---|---|---|
| `cpu` | the machine's own x86-64 CPU, AVX-512 or AVX2 | all operations and metrics, natively |
| `cpu+sim`, cases of codes | the same with AVX-512 VNNI | the kernels of AMX and AVX-VNNI over stand-ins for their instructions; nothing of their speed |
| `wgpu+lavapipe` | Mesa's software Vulkan | the WGSL kernels and the host logic that all GPU backends share, on a CPU |
| `wgpu+dawn` | the same, by Dawn in the place of wgpu-native | the WGSL kernels by a second compiler, and how WebGPU is called under a second implementation's rules |
| `cuda+simt` | an emulator of CUDA's execution model on the host | the shipped library with its kernels' source; nothing of a GPU's speed, memory or compiler |
| `metal+simt` | the same for Metal | the shipped host code over a stand-in device, the kernels' source; nothing of Apple's compiler |

## Drivers

| backend | needs |
|---|---|
| CUDA | Linux, an NVIDIA GPU of compute capability 7.5 or later, driver 525 or later (CUDA 12.0); for Blackwell 570, better 580 ([cuda.md](cuda.md)) |
| Metal | macOS 14 or later on Apple silicon |
| WebGPU | a Vulkan, Metal or D3D12 driver |

What `sim` in the suite's matrix means: [testing.md](testing.md).
"""


def load(folder: Path) -> list[dict]:
    """The proofs, oldest first; rehearsals and runs on emulators are none."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != record.FORMAT:
                raise BenchError(f"{path} has format {content['format']}, this program reads {record.FORMAT}")
            if content["kind"] == "proof" and not content["emulated"] and not content["device"].get("emulated"):
                found.append({**content, "file": path.stem})
        except (ValueError, KeyError) as error:
            raise BenchError(f"{path} is no record: {type(error).__name__} {error}") from None
    return sorted(found, key=lambda content: content["started"])


def _columns(content: dict) -> list[tuple[str, dict]]:
    """Backend and outcome of each suite that ran to its end; none where the library did not find the device."""
    if "driver" not in content["device"]:
        return []
    phase_of = {"suite": content["backend"], "wgpu": "wgpu"}
    return [(phase_of[entry["name"]], entry["suite"]) for entry in content["phases"]
            if entry["name"] in phase_of and entry.get("suite") and entry["outcome"] in (phases.PASSED, phases.FAILED)]  # fmt: skip


def state(operations: tuple[str, ...], column: dict) -> str:
    """passed, FAILED, or empty when the operations did not all run."""
    if column["cut_short"] or column["status"] < 0:
        return ""
    outcomes = [column["operations"].get(operation, {}) for operation in operations]
    counts = [(sum(c[0] for c in metrics.values()), sum(c[1] for c in metrics.values())) for metrics in outcomes]
    if any(failed for _, failed in counts):
        return "FAILED"
    return "passed" if all(passed for passed, _ in counts) else ""


def _kernels(backend: str) -> list[str]:
    return [kernel for kernel in KERNELS if backend not in WITHOUT.get(kernel, ())]


def _operations(backend: str, kernel: str) -> tuple[str, ...]:
    return KERNELS["levels"] if backend in WITHOUT["matrix"] and kernel == "rescore" else KERNELS[kernel]


def rows(records: list[dict]) -> list[list[str]]:
    """The latest state of each kernel on each device; a backend without any says so."""
    latest: dict[tuple[str, str, str], list[str]] = {}
    for content in records:
        for backend, column in _columns(content):
            for kernel in _kernels(backend):
                if ONLY.get(kernel, content["device"].get("compute_capability")) != content["device"].get("compute_capability"):
                    continue
                found = state(_operations(backend, kernel), column)
                if found:
                    device = f"{content['device']['name']} ({content['device']['driver']})"
                    latest[(backend, kernel, content["device"]["name"])] = [
                        f"`{backend}`", kernel, device, found, content["started"][:10], content["commit"], f"[record](proof/{content['file']}.md)"]  # fmt: skip
    table = []
    for backend in GPUS:
        for kernel in _kernels(backend):
            of = [row for (b, k, _), row in latest.items() if (b, k) == (backend, kernel)]
            table += of or [[f"`{backend}`", kernel, NOT_YET, "", "", "", ""]]
    return table


def text(folder: Path = record.FOLDER) -> str:
    lines = record.table(["backend", "kernel", "silicon", "suite", "date", "commit", "record"], rows(load(folder)))
    return HEAD + "\n".join(lines).rstrip() + "\n" + FOOT


def write(folder: Path = record.FOLDER, page: Path = PAGE) -> None:
    page.write_text(text(folder), encoding="utf-8")
