# SPDX-License-Identifier: Apache-2.0
"""loops.py OBJECT ROLLED: checks the compiled innermost loops of kernels.cpp for sums that left the registers.

OBJECT: kernels.cpp as it is shipped, x86-64 or arm64, ELF or Mach-O. ROLLED: compiled with NF_UNROLL empty, in which faults must be found.
Needs llvm-objdump. The last line is `N passed, N failed`; exits 1 on a failure.
"""

import pathlib
import re
import shutil
import subprocess
import sys

# Per path: queries and row vectors of the widest panel (product-inl.hpp), queries of the widest direct pass (kernels.cpp).
PATHS = {"AVX3": (12, 2, 6), "AVX2": (6, 2, 2), "NEON": (6, 4, 4)}
PRODUCTS = ("LowerOfSquaredL2", "LowerOfCosine", "RankOfDot")
METRICS = ("SquaredL2", "Cosine", "Dot", "Poincare", "Manhattan")

FUNCTION = re.compile(r"nearfield::cpu::N_(\w+)::(PanelPass|DirectPass|pairs)<nearfield::cpu::N_\w+::(\w+)>(?:::body<(\d+)>)?\(")
INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\s+(\S+)\s*([^;]*?)(?:\s# .*)?(?:;.*)?$")  # a comment of x86 has a space behind its #
JUMP = re.compile(r"(?:j\w+|b(?:\.\w+)?|cbn?z|tbn?z)$")
MULTIPLY_ADD = re.compile(r"v?fmadd\w*ps|fmla(?:\.4s)?$")
ADD = re.compile(r"vaddps|fadd(?:\.4s)?$")  # all that Manhattan has
VECTOR = re.compile(r"%[xyz]mm|\b[qv]\d")
X86_STORE = re.compile(r"v?(?:mov|extract|compress)")
FRAME = re.compile(r"movq\t%rsp, %rbp|(?:mov|add)\tx29, sp")


def tool():
    names = ("llvm-objdump", *(f"llvm-objdump-{version}" for version in range(30, 13, -1)))
    found = next((name for name in names if shutil.which(name)), None)
    if found is None:
        sys.exit("loops.py: there is no llvm-objdump (Debian: apt-get install llvm)")
    return found


def functions(path):
    """Name and disassembled lines of each function."""
    text = subprocess.run([tool(), "-d", "-C", "--no-show-raw-insn", path], check=True, capture_output=True, text=True).stdout
    for block in re.split(r"\n(?=[0-9a-f]+ <)", text):
        heading, _, body = block.partition("\n")
        found = FUNCTION.search(heading)
        if found and found[1] in PATHS:
            path_name, kind, term, queries = found.groups()
            yield (path_name, kind, term, int(queries or 0)), body


def spills(operation, operands, stack):
    """A store, whatever its address (no such loop has one), or a vector read from the stack."""
    if operation.startswith("st"):
        return True
    if X86_STORE.match(operation) and operands.rstrip().endswith(")"):
        return True
    return bool(stack and stack.search(operands) and VECTOR.search(operands))


def innermost_loops(body, counted, reads):
    """(counted instructions, spills) of each innermost loop that has any of the former."""
    lines = [found for found in map(INSTRUCTION.match, body.split("\n")) if found]
    code = [(int(found[1], 16), found[2], found[3]) for found in lines]
    stack = reads and re.compile(r"\(%r[sb]p|\[(?:sp|x29)" if FRAME.search(body) else r"\(%rsp|\[sp")
    ranges = []
    for address, operation, operands in code:
        target = re.search(r"(?:0x)?([0-9a-f]+) <", operands) if JUMP.match(operation) else None
        if target and int(target[1], 16) <= address:
            ranges.append((int(target[1], 16), address))
    loops = []
    # The shortest first: what overlaps one that was taken goes round it.
    for first, last in sorted(ranges, key=lambda r: r[1] - r[0]):
        if any(first <= end and start <= last for start, end, _, _ in loops):
            continue
        inside = [(operation, operands) for address, operation, operands in code if first <= address <= last]
        count = sum(1 for operation, _ in inside if counted.match(operation))
        if count:
            loops.append((first, last, count, sum(spills(*both, stack) for both in inside)))
    return [loop[2:] for loop in loops]


def expected(path):
    """The kernels that a path must have, each with the multiply-adds of one dimension or chunk: its loops have so many or a multiple."""
    queries, vectors, direct = PATHS[path]
    for q in range(1, queries + 1):
        for term in PRODUCTS:
            yield (path, "PanelPass", term, q), q * vectors
    for term in METRICS:
        for q in range(1, direct + 1):
            yield (path, "DirectPass", term, q), q * 4
        yield (path, "pairs", term, 0), 4


def loops_of(key, body):
    # Eight pairs have sixteen pointers and, under cosine, sixteen sums and factors: more than registers, and may read what is constant.
    return innermost_loops(body, ADD if key[2] == "Manhattan" else MULTIPLY_ADD, reads=key[1] != "pairs")


def check(path):
    """(kernels in order, sentences about the others)."""
    found = {}
    for key, body in functions(path):
        found[key] = loops_of(key, body)
    paths = {key[0] for key in found}
    faults = [] if paths in ({"AVX3", "AVX2"}, {"NEON"}) else [f"{path} has the paths {sorted(paths)}"]
    good = 0
    for name in sorted(paths):
        for key, least in expected(name):
            title = "{} {}<{}> of {} queries".format(*key)
            loops = found.get(key, [])
            spilled_in = [spilled for count, spilled in loops if count % least == 0]
            if not spilled_in:
                faults.append(f"{title}: no loop of {least} multiply-adds, but of {[count for count, _ in loops]}")
            elif any(spilled_in):
                faults.append(f"{title}: loops of {[count for count, _ in loops]} multiply-adds have {sum(spilled_in)} stores and reads of the stack")
            else:
                good += 1
    return good, faults


def main():
    shipped, rolled = map(pathlib.Path, sys.argv[1:])
    passed, faults = check(shipped)
    faults = [f"FAIL {fault}" for fault in faults]
    planted = check(rolled)[1]
    # Loops of another number of multiply-adds are found by it; that stores are seen at all is asked for beside it.
    storing = sum(spilled > 0 for key, body in functions(rolled) if key[1] == "PanelPass" for _, spilled in loops_of(key, body))
    if planted and storing:
        passed += 1
        print(f"planted, loops left rolled: {len(planted)} kernels found, {planted[0]}; {storing} loops of products store")
    else:
        faults.append(f"FAIL in {rolled}, whose loops were not to be unrolled, {len(planted)} kernels and {storing} loops that store were found")
    print(*faults, f"{passed} passed, {len(faults)} failed", sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
