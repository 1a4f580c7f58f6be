# SPDX-License-Identifier: Apache-2.0
"""loops.py KERNELS ROLLED_KERNELS CODES ROLLED_CODES: checks the compiled innermost loops of kernels.cpp and codes.cpp for sums that
left the registers.

Objects of either file as it is shipped, x86-64 or arm64, ELF or Mach-O. ROLLED: compiled with NF_UNROLL empty, in which faults must be
found. Needs llvm-objdump. The last line is `N passed, N failed`; exits 1 on a failure.
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

# Per unit of integer dots: queries of the widest panel, multiply-adds of one step for a number of queries (codes.cpp), and which
# instruction does them.
UNITS = {
    "AVX3": {"avx512vnni": (12, lambda q: 2 * q, "vpdpbusd")},
    "AVX2": {"avxvnni": (6, lambda q: 2 * q, "vpdpbusd"), "avx2": (6, lambda q: q, "vpmaddubsw")},
    "NEON": {"neoni8mm": (6, lambda q: (q + 1) // 2 * 8, "usmmla"), "neondot": (6, lambda q: 4 * q, "sdot"), "neon": (6, lambda q: 4 * q, "smull2?")},
}

FUNCTION = re.compile(r"nearfield::cpu::N_(\w+)::(PanelPass|DirectPass|pairs)<nearfield::cpu::N_\w+::(\w+)>(?:::body<(\d+)>)?\(")
CODED = re.compile(r"nearfield::cpu::N_(\w+)::(\w+)::(CodedPanels)<nearfield::cpu::N_\w+::\w+::Unit, (\w+)>::body<(\d+)>\(")
INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\s+(?:\{vex\}\s+)?(\S+)\s*([^;]*?)(?:\s# .*)?(?:;.*)?$")  # a comment of x86 has a space behind its #
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
    """Name and disassembled lines of each function. What arm64 need not have is named; for x86-64 that is a warning."""
    text = subprocess.run([tool(), "-d", "-C", "--no-show-raw-insn", "--mattr=+dotprod,+i8mm", path], check=True, capture_output=True, text=True).stdout
    for block in re.split(r"\n(?=[0-9a-f]+ <)", text):
        heading, _, body = block.partition("\n")
        if (found := FUNCTION.search(heading)) and found[1] in PATHS:
            path_name, kind, term, queries = found.groups()
            yield (path_name, kind, term, int(queries or 0)), body
        elif (found := CODED.search(heading)) and found[1] in PATHS:
            path_name, unit, kind, beta, queries = found.groups()
            yield (path_name, kind, f"{unit}{', with beta' if beta == 'true' else ''}", int(queries)), body


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


def expected_of_codes(path):
    for unit, (queries, multiply_adds, _) in UNITS[path].items():
        for q in range(1, queries + 1):
            for term in (unit, f"{unit}, with beta"):
                yield (path, "CodedPanels", term, q), multiply_adds(q)


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
    if key[1] == "CodedPanels":
        return innermost_loops(body, re.compile(UNITS[key[0]][key[2].split(",")[0]][2] + r"(?:\.\w+)?$"), reads=True)
    # Eight pairs have sixteen pointers and, under cosine, sixteen sums and factors: more than registers, and may read what is constant.
    return innermost_loops(body, ADD if key[2] == "Manhattan" else MULTIPLY_ADD, reads=key[1] != "pairs")


def check(path, expected):
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


def check_rolled(path, expected, kind):
    """What was found in the loops that were left rolled, or why that is too little."""
    planted = check(path, expected)[1]
    # Loops of another number of multiply-adds are found by it; that stores are seen at all is asked for beside it.
    storing = sum(spilled > 0 for key, body in functions(path) if key[1] == kind for _, spilled in loops_of(key, body))
    if planted and storing:
        return True, f"planted, loops left rolled: {len(planted)} kernels found, {planted[0]}; {storing} loops of products store"
    return False, f"FAIL in {path}, whose loops were not to be unrolled, {len(planted)} kernels and {storing} loops that store were found"


def main():
    kernels, rolled_kernels, codes, rolled_codes = map(pathlib.Path, sys.argv[1:])
    passed, faults = 0, []
    for shipped, rolled, names, kind in (kernels, rolled_kernels, expected, "PanelPass"), (codes, rolled_codes, expected_of_codes, "CodedPanels"):
        good, bad = check(shipped, names)
        passed += good
        faults += [f"FAIL {fault}" for fault in bad]
        found, sentence = check_rolled(rolled, names, kind)
        passed += found
        if found:
            print(sentence)
        else:
            faults.append(sentence)
    print(*faults, f"{passed} passed, {len(faults)} failed", sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
