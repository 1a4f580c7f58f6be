# SPDX-License-Identifier: Apache-2.0
"""compile_test.py --compile compile.py --nvcc PATH|pip --requirements FILE --cache DIR --kernels DIR --common DIR

Compiles warpgroup_product.cu for sm_90a, by the ptxas of drivers of CUDA 12 and by nvcc's own: wgmma and bulk copies are in
the machine code, no register is spilled, and ptxas does not make products wait for each other, which it only warns of."""
import argparse
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# In the PTX of the kernel; 2 products a step, a copy of rows and one of queries, before the loop and in it.
EXPECTED = {"wgmma.mma_async.sync.aligned.m64n256k8.f32.tf32.tf32": 2, "cp.async.bulk.tensor.3d": 4,
            "mbarrier.try_wait.parity": 1}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nvcc", required=True)
    for name in ("compile", "requirements", "cache", "kernels", "common"):
        parser.add_argument("--" + name, required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    spec = importlib.util.spec_from_file_location("compile_kernels", arguments.compile)
    compiler = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compiler)
    if arguments.nvcc == "pip":
        nvcc, older = compiler.installed(arguments.requirements, arguments.cache)
    else:
        nvcc, older = pathlib.Path(arguments.nvcc), None

    def run(command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"compile_test.py: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    failed = []
    source = pathlib.Path(__file__).with_name("warpgroup_product.cu")
    with tempfile.TemporaryDirectory() as folder:
        ptx = pathlib.Path(folder) / "product.ptx"
        run([nvcc, *compiler.FLAGS, "-arch=compute_90a", "-ptx", "-I", arguments.kernels, "-I", arguments.common, "-o", ptx, source])
        text = ptx.read_text(encoding="utf-8")
        for instruction, count in EXPECTED.items():
            if text.count(instruction) != count:
                failed.append(f"{text.count(instruction)} of {instruction} in the PTX, expected {count}")
        said = {"nvcc's ptxas": run([nvcc, *compiler.FLAGS, "-gencode=arch=compute_90a,code=sm_90a", "-cubin", "-Xptxas", "-v", "-I", arguments.kernels,
                                     "-I", arguments.common, "-o", os.devnull, source])}
        if older is not None:
            ptx.write_text(re.sub(r"^\.version \d+\.\d+$", f".version {compiler.OLDEST_PTX}", text, flags=re.M), encoding="utf-8")
            said["the older ptxas"] = run([older, "-O3", "-v", "-arch=sm_90a", "-o", os.devnull, ptx])
        for who, lines in said.items():
            rows = compiler.report_lines(lines)
            print(who + ":", *rows)
            if len(rows) != 1 or int(rows[0].split()[3]) != 0:
                failed.append(f"{who} spills, or says nothing of the kernel: {lines}")
            if warning := re.search(r"\(C\d+\).*", lines):
                failed.append(f"{who} warns: {warning[0]}")
    for line in failed:
        print("FAIL", line)
    sys.exit(1 if failed else 0)


main()
