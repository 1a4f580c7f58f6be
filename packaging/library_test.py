# SPDX-License-Identifier: Apache-2.0
"""Checks the files that go into native jars: whether they load wherever the README says, and tell nothing of the machine that built them.

library_test.py FOLDER: the `jar` folder of a dist preset. Needs readelf. The last line is `N passed, N failed`.
"""

import hashlib
import pathlib
import re
import subprocess
import sys

GLIBC_FLOOR = (2, 28)  # RHEL 8, Debian 10
SYSTEM = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
# The only paths that a library of ours opens itself.
OPENED = ("/proc/", "/sys/", "/dev/")


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def needs_old_glibc(library):
    versions = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_(\d+\.\d+)", readelf("--version-info", library))}
    assert versions, "asks for no version of glibc at all: readelf's output was not understood"
    newest = max(versions)
    assert newest <= GLIBC_FLOOR, f"needs glibc {newest[0]}.{newest[1]}"


def needs_system_libraries_only(library, more=()):
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("--dynamic", library)))
    assert "libc.so.6" in needed, f"needs {needed}"
    assert needed <= SYSTEM | set(more), f"needs {needed - SYSTEM - set(more)}"


def has_no_search_path(library):
    found = re.findall(r"\((?:RPATH|RUNPATH)\).*", readelf("--dynamic", library))
    assert not found, found


def exports_one_symbol(library):
    symbols = [line.split() for line in readelf("--dyn-syms", library).splitlines() if " UND " not in line]
    exported = [s[7] for s in symbols if len(s) > 7 and s[4] in ("GLOBAL", "WEAK")]
    assert exported == ["nf_get_api"], f"exports {exported}"


def has_no_executable_stack(library):
    flags = re.search(r"GNU_STACK(?: +0x\w+){5} +(\w+)", readelf("--segments", library))
    assert flags and "E" not in flags.group(1), f"GNU_STACK {flags and flags.group(1)}"


def names_no_path(library):
    texts = [text.decode() for text in re.findall(rb"[\x20-\x7e]{4,}", library.read_bytes())]
    paths = [text for text in texts if re.search(r"(^|[\s:'\"=])/[\w.+-]+/[\w.+-]+", text) and not text.startswith(OPENED)]
    home = [text for text in texts if str(pathlib.Path.home()) + "/" in text or str(pathlib.Path.cwd()) + "/" in text]
    assert not paths + home, paths + home


def is_described(library):
    """The properties beside it hold its SHA-256."""
    (properties,) = library.parent.glob("*.properties")
    values = dict(line.split("=", 1) for line in properties.read_text(encoding="utf-8").splitlines())
    assert library.name in values["files"].split(","), values
    assert values[f"sha256.{library.name}"] == hashlib.sha256(library.read_bytes()).hexdigest(), values


def has_notices(library):
    meta = library.parents[3]
    for name in ("LICENSE", "NOTICE", "THIRD-PARTY.txt", "sbom/bom.cdx.json"):
        assert (meta / name).stat().st_size > 0, name
    for name in re.findall(r"META-INF/(licenses/[\w.-]+)", (meta / "THIRD-PARTY.txt").read_text(encoding="utf-8")):
        assert (meta / name).stat().st_size > 0, name


def wgpu_native_loads(library):
    needs_old_glibc(library)
    needs_system_libraries_only(library, ["libgcc_s.so.1"])
    is_described(library)


def checks_can_fail(library):
    """wgpu-native, built by others and otherwise, breaks three of the rules for ours."""
    for check in (needs_system_libraries_only, exports_one_symbol, names_no_path):
        try:
            check(library)
        except AssertionError:
            continue
        raise AssertionError(f"{check.__name__} found nothing wrong with it")


OURS = (
    needs_old_glibc, needs_system_libraries_only, has_no_search_path, exports_one_symbol, has_no_executable_stack,
    names_no_path, is_described, has_notices)  # fmt: skip


def main():
    folder = pathlib.Path(sys.argv[1])
    libraries = sorted(folder.glob("*/META-INF/nearfield/*/*/*.so"))
    passed, failed = 0, 0
    for library in libraries:
        for check in OURS if library.name.startswith("libnearfield_") else (wgpu_native_loads, checks_can_fail):
            try:
                check(library)
                passed += 1
            except AssertionError as e:
                failed += 1
                print(f"FAIL {library}: {check.__name__}: {e}")
    if {library.name for library in libraries} != {"libnearfield_cpu.so", "libnearfield_wgpu.so", "libwgpu_native-release.so"}:
        failed += 1
        print(f"FAIL {folder} holds {[library.name for library in libraries]}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
