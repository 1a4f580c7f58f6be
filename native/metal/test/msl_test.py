# SPDX-License-Identifier: Apache-2.0
"""Checks kernels.metal with a clang of this machine: its grammar, types and address spaces.

msl_test.py CLANG...: the command of a clang, `zig c++` for one. Apple's Metal compiler is a clang with address spaces; here they are
attributes, and metal_stdlib of this folder declares what the kernels use. It is no Metal compiler: that this one accepts the text
does not prove that Apple's does. The last line is `N passed, N failed`.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
METAL = HERE.parent
FLAGS = ["-target", "aarch64-macos.14.0", "-x", "c++", "-std=c++14", "-nostdinc", "-nostdinc++", "-O0", "-c", "-emit-llvm", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion",
         "-Werror", "-Wno-unknown-attributes", "-Wno-unused-command-line-argument", "-D__METAL_VERSION__=300", "-I", str(HERE)]  # fmt: skip

# Mistakes that must be found: what to replace in the text, by what, and a part of the message.
PLANTED = {
    "a pointer to threadgroup memory used for device memory": (
        "threadgroup float* column = to +", "device float* column = to +", "cannot initialize a variable of type"),
    "no address space on a pointer": ("threadgroup ulong* list = ", " ulong* list = ", "cannot initialize a variable of type"),
    "a write through constant memory": ("const uint limit = limits[q];", "p.k = 1; const uint limit = limits[q];", "cannot assign"),
    "a buffer that is only read, written": (
        "const uint2 e = from[start + lane];", "const uint2 e = from[start + lane]; from[start + lane] = e;", "not assignable"),
    "an atomic read as if it were none": (
        "return atomic_load_explicit(&lists.counts[j], memory_order_relaxed)", "return lists.counts[j]", "cannot initialize return"),
    "a double": ("const float total =", "const double total =", "poisoned"),
    "a metric that a kernel is not made for": ("side_of<METRIC>(sides, row)", "side_of<Metric>(sides, row)", "undeclared"),
}  # fmt: skip


def expanded(folder):
    out = folder / "kernels.metal"
    subprocess.run([sys.executable, METAL / "embed.py", METAL / "kernels", METAL.parent / "common", out], check=True)
    text = out.read_text(encoding="utf-8")
    # Attributes of an explicit instantiation are Metal's own: elsewhere they cannot stand there.
    text, count = re.subn(r"template \[\[host_name\(.*\)\]\] \[\[kernel\]\]", "template", text)
    assert count == 1, f"{count} explicit instantiations, where one was expected"
    return text


def misplaced_arrays(text):
    """Lines that declare threadgroup memory outside a kernel function, which Metal allows nowhere else. Functions start in column 0."""
    function, found = "", []
    for line in text.splitlines():
        if re.match(r"(\[\[kernel\]\]|inline|struct|constant|template) ", line):
            function = line
        if line.lstrip().startswith("NF_SHARED(") and not function.startswith("[[kernel]]"):
            found.append(line)
    return found


def compile_text(clang, folder, text):
    source = folder / "checked.metal"
    source.write_text(text, encoding="utf-8")
    return subprocess.run([*clang, *FLAGS, str(source), "-o", str(folder / "checked.bc")], capture_output=True, text=True)


def main():
    clang = sys.argv[1:]
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        text = expanded(folder)
        result = compile_text(clang, folder, text)
        if result.returncode == 0:
            passed += 1
        else:
            failed += 1
            print(f"FAIL kernels.metal\n{result.stderr}")
        helper = "inline uint row_of(ulong entry) {\n  NF_SHARED(uint, x, 1);"
        for misplaced, wanted in (misplaced_arrays(text), 0), (misplaced_arrays(f"{helper}\n{text}"), 1):
            if len(misplaced) == wanted:
                passed += 1
            else:
                failed += 1
                print(f"FAIL threadgroup memory outside kernel functions: {misplaced}, {wanted} expected")
        for title, (before, after, message) in PLANTED.items():
            assert before in text, f"nothing to plant [{title}] in: [{before}] is not in the kernels"
            result = compile_text(clang, folder, text.replace(before, after, 1))
            if result.returncode != 0 and message in result.stderr:
                passed += 1
            else:
                failed += 1
                print(f"FAIL not found: {title}\n{result.stderr}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
