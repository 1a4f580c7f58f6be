# SPDX-License-Identifier: Apache-2.0
"""The compilers of compile.py, for what the tests compile."""
import argparse
import importlib.util
import pathlib
import subprocess
import sys


class Toolkit:
    """nvcc, and the ptxas of drivers of CUDA 12 where it came from the wheels (else None); `compiler` is compile.py."""

    def __init__(self, nvcc, requirements, cache, compile_, kernels, common, **_):
        spec = importlib.util.spec_from_file_location("compile_kernels", compile_)
        self.compiler = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.compiler)
        self.includes = ["-I", kernels, "-I", common]
        if nvcc == "pip":
            self.nvcc, self.older = self.compiler.installed(requirements, cache)
        else:
            self.nvcc, self.older = pathlib.Path(nvcc), None

    def run(self, command):
        """What the command printed; ends the program where it fails."""
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def compile(self, source, target, *more):
        # In full, as compile.py.
        full = f"-gencode=arch={target.replace('sm_', 'compute_')},code={target}" if target.startswith("sm_") else f"-arch={target}"
        return self.run([self.nvcc, *self.compiler.FLAGS, full, *self.includes, *more, source])


def parser():
    found = argparse.ArgumentParser()
    found.add_argument("--nvcc", required=True)
    found.add_argument("--compile", required=True, type=pathlib.Path, dest="compile_")
    for name in ("requirements", "cache", "kernels", "common"):
        found.add_argument("--" + name, required=True, type=pathlib.Path)
    return found
