# SPDX-License-Identifier: Apache-2.0
"""compile.py --nvcc PATH|pip --kernels DIR --common DIR --requirements FILE --cache DIR --arch 90,... --out DIR

Compiles kernels/instances.cu to OUT/kernels.bin, one image an architecture, with OUT/report.txt (what ptxas says about
each kernel) and OUT/cuda_build.hpp (what is in it). The result is kept in CACHE by its inputs, for all build folders of
a checkout; so is the compiler, where it comes from its wheels.

Drivers of CUDA 12 refuse what ptxas 13 makes (another version of the ELF ABI) and PTX of a version that they do not
know. So nvcc 13 makes PTX only, whose version is lowered to the oldest driver's, and ptxas 12 of the wheels makes the
machine code of the architectures that it knows; nvcc's own makes that of later ones, which older drivers do not know
either. Images are not compressed: drivers before 12.4 cannot expand what nvcc 13 compresses."""
import argparse
import concurrent.futures
import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

# Explicit roundings: nothing is contracted, flushed or approximated, whatever a compiler's default is.
FLAGS = ["-std=c++17", "-O3", "-fmad=false", "-ftz=false", "-prec-div=true", "-prec-sqrt=true"]
# The oldest PTX: CUDA 12.0's. What the kernels use came with 7.4 (ld.global.L1::no_allocate) and 7.0 (cp.async).
OLDEST_DRIVER, OLDEST_PTX = 12000, "8.0"
KEPT = 4  # results in the cache: those of a few branches, not of every edit


@contextlib.contextmanager
def locked(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def installed(requirements, cache):
    """nvcc, and an older ptxas, from their wheels."""
    folder = cache / ("toolkit-" + hashlib.sha256(requirements.read_bytes()).hexdigest()[:16])
    with locked(cache / "toolkit.lock"):
        if not folder.exists():
            print("Installing nvcc from its wheels", flush=True)
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
                 "--require-hashes", "--no-deps", "--no-compile", "--only-binary", ":all:", "--target", part,
                 "-r", requirements], check=True, env=dict(os.environ, PIP_ROOT_USER_ACTION="ignore"))
            part.rename(folder)
    ptxas = folder / "nvidia" / "cuda_nvcc" / "bin" / "ptxas"
    ptxas.chmod(0o755)  # pip forgets it
    return next(folder.glob("nvidia/cu[0-9]*/bin/nvcc")), ptxas


def output(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def report_lines(text):
    """kernel, architecture, registers, spilled bytes, shared bytes: one line each, sorted."""
    rows, key, spills = [], None, 0
    for line in text.splitlines():
        if match := re.search(r"Compiling entry function '(\w+)' for '(\w+)'", line):
            key = match.groups()
        elif match := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            spills = int(match[1]) + int(match[2])
        elif match := re.search(r"Used (\d+) registers", line):
            shared = re.search(r"(\d+) bytes smem", line)
            rows.append((*key, int(match[1]), spills, int(shared[1]) if shared else 0))
    return ["%s %s %d %d %d" % row for row in sorted(set(rows))]


def number(arch):
    return int(re.sub(r"\D", "", arch))


class Compiler:
    """Calls nvcc in the kernels' folder and ptxas in its own by relative names of the sources: what they make names none of this machine's."""

    def __init__(self, nvcc, ptxas, arguments, folder):
        self.nvcc, self.ptxas, self.arguments, self.folder = nvcc, ptxas, arguments, folder
        self.said = []

    def run(self, command, cwd):
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        # ptxas only warns where it makes products of warpgroups wait for each other.
        if warning := re.search(r"\(C75\d+\).*", done.stdout + done.stderr):
            raise RuntimeError(warning[0])
        self.said.append(done.stdout + done.stderr)

    def compile(self, arch, kind):
        """instances.cu to <kind><arch>.<kind>."""
        name = self.folder.resolve() / f"{kind}{arch}.{kind}"
        # In full: some nvcc take the short form of 9.0a for 9.0 as well.
        target = f"-arch=compute_{arch}" if kind == "ptx" else f"-gencode=arch=compute_{arch},code=sm_{arch}"
        self.run([self.nvcc, *FLAGS, target, f"-{kind}", "-Xptxas", "-v", "-I", self.arguments.common, "-o", name,
                  "instances.cu"], self.arguments.kernels)
        return name

    def lowered_ptx(self, arch):
        name = self.compile(arch, "ptx")
        text, count = re.subn(r"^\.version \d+\.\d+$", f".version {OLDEST_PTX}", name.read_text(encoding="utf-8"), flags=re.M)
        if count != 1:
            raise RuntimeError(f"{count} lines of the PTX of compute_{arch} tell its version")
        name.write_text(text, encoding="utf-8")
        return name

    def assemble(self, ptx, arch):
        self.run([self.ptxas, "-O3", "-v", f"-arch=sm_{arch}", "-o", f"cubin{arch}.cubin", ptx.name], self.folder)
        return self.folder / f"cubin{arch}.cubin"


def known_to(ptxas):
    return set(int(n) for n in re.findall(r"sm_(\d+)", output([ptxas, "--help"])))


def build(nvcc, ptxas, versions, arguments, out):
    own = set(int(n) for n in re.findall(r"sm_(\d+)", output([nvcc, "--list-gpu-code"])))
    older = known_to(ptxas) if ptxas is not None else set()
    archs = sorted((arch for arch in arguments.arch.split(",") if number(arch) in own), key=number)
    if not archs:
        sys.exit(f"compile.py: {nvcc} knows none of the architectures {arguments.arch}")
    out.mkdir(parents=True)
    compiler = Compiler(nvcc, ptxas, arguments, out)
    major = int(versions[0].split(".")[0])
    # Machine code runs with every driver of its compiler's generation.
    first = [arch for arch in archs if number(arch) in older]
    rest = [arch for arch in archs if number(arch) not in older]
    # cp.async is what PTX of 8.0 has and that of 7.5 has not; products of warpgroups are in that of 9.0a alone.
    fronts = {arch: arch if arch.endswith("a") else "75" if number(arch) < 80 else "80" for arch in first}
    # A build for tests has the machine code only. PTX is for what comes later: the lowest that copies asynchronously.
    wants_ptx = len(archs) > 1
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ptx = {arch: pool.submit(compiler.lowered_ptx, arch)
               for arch in sorted({*fronts.values(), *(["80"] if wants_ptx else [])})}
        later = {arch: pool.submit(compiler.compile, arch, "cubin") for arch in rest}
        cubins = {arch: pool.submit(compiler.assemble, ptx[fronts[arch]].result(), arch) for arch in first}
        images = [(arch, 0, OLDEST_DRIVER, cubins[arch].result()) for arch in first]
        images += [(arch, 0, max(OLDEST_DRIVER, 1000 * major), later[arch].result()) for arch in rest]
        if wants_ptx:
            images.append(("80", 1, OLDEST_DRIVER, ptx["80"].result()))
    lines = []
    with open(out / "kernels.bin", "wb") as file:
        for arch, is_ptx, driver, path in images:
            content = path.read_bytes()
            lines.append(f"  X({number(arch)}, {int(arch.endswith('a'))}, {is_ptx}, {driver}, {file.tell()}, {len(content)})")
            # PTX ends with a zero; images start at multiples of 64.
            file.write(content + bytes(64 - len(content) % 64))
    code = " ".join("sm_" + arch for arch in archs) + (" and PTX of compute_80" if wants_ptx else "")
    heading = f"# nvcc {versions[0]}" + (f" ptxas {versions[1]}" if first else "")
    (out / "report.txt").write_text("\n".join([heading, *report_lines("".join(compiler.said))]) + "\n", encoding="utf-8")
    (out / "cuda_build.hpp").write_text(
        "// Generated by compile.py.\n#pragma once\n"
        f"#define NEARFIELD_CUDA_CODE \"{code}\"\n"
        f"#define NEARFIELD_CUDA_OLDEST_DRIVER {min(driver for _, _, driver, _ in images)}\n"
        "// Compute capability, whether it is for that one alone (9.0a), whether it is PTX, the oldest driver, where it starts in kernels.bin, bytes.\n"
        "#define NEARFIELD_CUDA_IMAGES(X) \\\n" + " \\\n".join(lines) + "\n",
        encoding="utf-8")


def version_of(program):
    return re.search(r"V(\d+\.\d+\.\d+)", output([program, "--version"]))[1]


def main():
    parser = argparse.ArgumentParser()
    for name in ("nvcc", "arch"):
        parser.add_argument("--" + name, required=True)
    for name in ("kernels", "common", "requirements", "cache", "out"):
        parser.add_argument("--" + name, required=True, type=lambda path: pathlib.Path(path).resolve())
    arguments = parser.parse_args()
    if arguments.nvcc == "pip":
        nvcc, ptxas = installed(arguments.requirements, arguments.cache)
    else:
        # An installed toolkit has one ptxas; PTX is what older drivers then take.
        nvcc, ptxas = pathlib.Path(arguments.nvcc), None
    versions = [version_of(program) for program in (nvcc, ptxas) if program is not None]
    inputs = hashlib.sha256(repr((FLAGS, versions, arguments.arch)).encode())
    for path in [pathlib.Path(__file__), arguments.common / "kernel_params.h", arguments.common / "tf32.hpp", *sorted(arguments.kernels.iterdir())]:
        inputs.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    kept = arguments.cache / ("images-" + inputs.hexdigest()[:16])
    with locked(arguments.cache / "images.lock"):
        if not kept.exists():
            part = kept.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            try:
                build(nvcc, ptxas, versions, arguments, part)
            except RuntimeError as error:
                sys.exit(str(error))
            part.rename(kept)
            others = sorted(arguments.cache.glob("images-*/"), key=lambda folder: folder.stat().st_mtime)
            for folder in others[:-KEPT]:
                shutil.rmtree(folder)
        arguments.out.mkdir(parents=True, exist_ok=True)
        for name in ("kernels.bin", "report.txt", "cuda_build.hpp"):
            shutil.copyfile(kept / name, arguments.out / name)


if __name__ == "__main__":
    main()
