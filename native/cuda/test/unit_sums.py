# SPDX-License-Identifier: Apache-2.0
"""unit_sums.py --out FOLDER, and as compile_test.py

Compiles unit_sums.cu to PTX that every driver this library takes compiles for every GPU with TF32, unit_sums_90a.cu to such for 9.0
alone: ./nearfield prove loads them."""
import pathlib
import re

import toolkit


def main():
    parser = toolkit.parser()
    parser.add_argument("--out", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    tools = toolkit.Toolkit(**vars(arguments))
    for name, target in (("unit_sums", "compute_80"), ("unit_sums_90a", "compute_90a")):
        out = arguments.out / f"{name}.ptx"
        tools.compile(pathlib.Path(__file__).with_name(f"{name}.cu"), target, "-ptx", "-o", out)
        text = out.read_text(encoding="utf-8")
        out.write_text(re.sub(r"^\.version \d+\.\d+$", f".version {tools.compiler.OLDEST_PTX}", text, flags=re.M), encoding="utf-8")


main()
