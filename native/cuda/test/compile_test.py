# SPDX-License-Identifier: Apache-2.0
"""compile_test.py --compile compile.py --nvcc PATH|pip --requirements FILE --cache DIR --kernels DIR --common DIR

Compiles warpgroup_product.cu for sm_90a, by the ptxas of drivers of CUDA 12 and by nvcc's own: wgmma and bulk copies are in
the machine code, no register is spilled, and ptxas does not make products wait for each other, which it only warns of."""
import os
import pathlib
import re
import sys
import tempfile

import toolkit

# In the PTX of the kernel; 2 products a step, a copy of rows and one of queries, before the loop and in it.
EXPECTED = {"wgmma.mma_async.sync.aligned.m64n256k8.f32.tf32.tf32": 2, "cp.async.bulk.tensor.3d": 4,
            "mbarrier.try_wait.parity": 1}


def main():
    tools = toolkit.Toolkit(**vars(toolkit.parser().parse_args()))
    failed = []
    source = pathlib.Path(__file__).with_name("warpgroup_product.cu")
    with tempfile.TemporaryDirectory() as folder:
        ptx = pathlib.Path(folder) / "product.ptx"
        tools.compile(source, "compute_90a", "-ptx", "-o", ptx)
        text = ptx.read_text(encoding="utf-8")
        for instruction, count in EXPECTED.items():
            if text.count(instruction) != count:
                failed.append(f"{text.count(instruction)} of {instruction} in the PTX, expected {count}")
        said = {"nvcc's ptxas": tools.compile(source, "sm_90a", "-cubin", "-Xptxas", "-v", "-o", os.devnull)}
        if tools.older is not None:
            ptx.write_text(re.sub(r"^\.version \d+\.\d+$", f".version {tools.compiler.OLDEST_PTX}", text, flags=re.M), encoding="utf-8")
            said["the older ptxas"] = tools.run([tools.older, "-O3", "-v", "-arch=sm_90a", "-o", os.devnull, ptx])
        for who, lines in said.items():
            rows = tools.compiler.report_lines(lines)
            print(who + ":", *rows)
            if len(rows) != 1 or int(rows[0].split()[3]) != 0:
                failed.append(f"{who} spills, or says nothing of the kernel: {lines}")
            if warning := re.search(r"\(C\d+\).*", lines):
                failed.append(f"{who} warns: {warning[0]}")
    for line in failed:
        print("FAIL", line)
    sys.exit(1 if failed else 0)


main()
