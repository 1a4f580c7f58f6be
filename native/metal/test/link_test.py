# SPDX-License-Identifier: Apache-2.0
"""Checks that the link stubs of native/metal/macos are complete enough to catch mistakes: what is not in them does not link.

link_test.py CLANG...: the command of a C compiler that links for macOS, `zig cc`. The last line is `N passed, N failed`.
"""

import pathlib
import subprocess
import sys
import tempfile

MACOS = pathlib.Path(__file__).resolve().parent.parent / "macos"
PROGRAM = """
void *MTLCopyAllDevices(void);
void *objc_lookUpClass(const char *);
void *nearfield_link_test(void) { return objc_lookUpClass("NSString") == 0 ? 0 : MTLCopyAllDevices(); }
"""
# Misspelt, of a framework and of a library; and a real function of Metal that we do not use, hence do not list.
PLANTED = [("MTLCopyAllDevices", "MTLCopyAllDevice"), ("objc_lookUpClass", "objc_lookupClass"), ("MTLCopyAllDevices", "MTLCreateSystemDefaultDevice")]


def link(compiler, folder, program):
    source = folder / "program.c"
    source.write_text(program, encoding="utf-8")
    command = [*compiler, "-target", "aarch64-macos.14.0", "-shared", "-o", folder / "program.dylib", source, "-F", MACOS / "Frameworks"]
    command += ["-framework", "Metal", "-framework", "Foundation", MACOS / "libobjc.tbd"]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


def main():
    compiler = sys.argv[1:]
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        result = link(compiler, folder, PROGRAM)
        if result.returncode == 0:
            passed += 1
        else:
            failed += 1
            print(f"FAIL the program itself does not link\n{result.stderr}")
        for right, wrong in PLANTED:
            result = link(compiler, folder, PROGRAM.replace(right, wrong))
            if result.returncode != 0 and f"undefined symbol: _{wrong}" in result.stderr:
                passed += 1
            else:
                failed += 1
                print(f"FAIL {wrong} links, or fails for another reason\n{result.stderr}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
