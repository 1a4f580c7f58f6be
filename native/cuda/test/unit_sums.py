# SPDX-License-Identifier: Apache-2.0
"""unit_sums.py --out FILE, and as compile_test.py

Compiles unit_sums.cu to PTX that every driver this library takes compiles for every GPU with TF32: ./nearfield prove loads it."""
import pathlib
import re

import toolkit


def main():
    parser = toolkit.parser()
    parser.add_argument("--out", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    tools = toolkit.Toolkit(**vars(arguments))
    tools.compile(pathlib.Path(__file__).with_suffix(".cu"), "compute_80", "-ptx", "-o", arguments.out)
    text = arguments.out.read_text(encoding="utf-8")
    arguments.out.write_text(re.sub(r"^\.version \d+\.\d+$", f".version {tools.compiler.OLDEST_PTX}", text, flags=re.M), encoding="utf-8")


main()
