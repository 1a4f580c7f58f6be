# SPDX-License-Identifier: Apache-2.0
"""Checks the files that go into native jars: whether they load wherever the README says, and tell nothing of the machine that built them.

library_test.py FOLDER: the `jar` folder of a dist preset, in the folder that CMake built in. Needs readelf, or for macOS nothing. The last line is `N passed, N failed`.
"""

import hashlib
import json
import os
import pathlib
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import uuid

import macho

GLIBC_FLOOR = (2, 28)  # RHEL 8, Debian 10
SYSTEM = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
ELF_MACHINE_CUDA = 190
# The only paths that a library of ours opens itself.
OPENED = ("/proc/", "/sys/", "/dev/")
MACOS_FLOOR = (14, 0)
MACOS_NAMES = {"osx-aarch_64": "arm64", "osx-x86_64": "x86_64"}
MACOS_SYSTEM = ("/System/Library/Frameworks/", "/usr/lib/")
MACOS_NEEDED = {
    "libnearfield_cpu.dylib": {"/usr/lib/libSystem.B.dylib"},
    "libnearfield_metal.dylib": {
        "/System/Library/Frameworks/Foundation.framework/Versions/C/Foundation",
        "/System/Library/Frameworks/Metal.framework/Versions/A/Metal",
        "/usr/lib/libSystem.B.dylib",
        "/usr/lib/libobjc.A.dylib",
    },
}
# Exported beside our own: what zig's linker adds to every library, and C++'s memory operators, weak by the language's rules, so
# that the loader takes one definition for all libraries of a process; every definition there is calls malloc and free.
MACOS_EXPORTS = re.compile(r"__mh_dylib_header|___dso_handle|__Z(nw|na|dl|da)[A-Za-z0-9_]*")


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


def gpu_code(content):
    """By architecture, the version of the ELF ABI of the machine code for NVIDIA GPUs that is inside: 7 of CUDA 12, 8 of 13."""
    found = {}
    for match in re.finditer(rb"\x7fELF\x02\x01", content):
        at = match.start()
        (machine,), (flags,), abi = struct.unpack_from("<H", content, at + 18), struct.unpack_from("<I", content, at + 48), content[at + 8]
        if machine == ELF_MACHINE_CUDA:
            found[flags & 0xFF if abi == 7 else flags >> 8 & 0xFF] = abi
    return found


def names_its_compiler(library):
    """As the preset's CMake knows it, and optimised: what was measured with another compiler, or without, was another library."""
    found = list(library.parents[6].glob("CMakeFiles/*/CMakeCXXCompiler.cmake"))
    assert len(found) == 1, f"its build folder has the settings of {len(found)} versions of CMake"
    (settings,) = found
    version = re.search(r'CMAKE_CXX_COMPILER_VERSION "([\d.]+)"', settings.read_text(encoding="utf-8")).group(1)
    content = library.read_bytes()
    assert re.search(rb", clang %s\0" % re.escape(version.encode()), content), f"does not name clang {version} as its compiler"
    assert b" without optimisation\0" not in content, "was compiled without optimisation"


def has_no_checks_of_development(library):
    """Sanitizers, a guarded stack and assertions call functions of these names; zig adds the first two by itself where it does not optimise."""
    names = re.compile(rb"__ubsan_\w+|__asan_\w+|__tsan_\w+|__stack_chk_fail|__assert_(?:fail|rtn)")
    found = set(names.findall(library.read_bytes()))
    assert not found, f"calls {sorted(found)}"


def is_compiled_for_speed(folder):
    """Every file of a library by the same options: the last of its kind counts."""
    commands = json.loads((folder.parent / "compile_commands.json").read_text(encoding="utf-8"))
    ours = [c for c in commands if re.search(r"/native/(?!.*/test/)", c["file"].replace("/bench/native/", "/"))]
    assert len(ours) > 20, f"found {len(ours)} files of libraries"
    for command in ours:
        words = shlex.split(command["command"])
        levels = [word for word in words if re.fullmatch(r"-O.*", word)]
        wrong = [word for word in words if re.match(r"-fsanitize|-fstack-protector|-g\d?$|-UNDEBUG", word)]
        assert levels and set(levels) == {"-O3"} and "-DNDEBUG" in words and not wrong, f"{command['file']}: {levels + wrong}"
    words = clang_words(shlex.split(ours[0]["command"]))
    levels = [word for word in words if re.fullmatch(r"-O.*", word)]
    wrong = [word for word in words if re.match(r"-fsanitize|-fstack-protector", word)]
    assert levels and levels[-1] in ("-O2", "-O3") and "-DNDEBUG" in words and not wrong, f"zig passes {levels + wrong} to its clang"


def clang_words(command):
    """What zig makes of a command: it takes optimisation as a mode of its own, and adds checks to some of them. Of a text that its cache does not know."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "probe.cpp"
        source.write_text(f"int probe_{uuid.uuid4().hex};\n", encoding="utf-8")
        words = command[: command.index("-o")] + ["-o", f"{folder}/probe.o", "-c", str(source)]
        said = subprocess.run(words, check=True, capture_output=True, text=True, env={**os.environ, "ZIG_VERBOSE_CC": "1"}).stderr
    return shlex.split(said)


def names_no_path(library):
    texts = [text.decode() for text in re.findall(rb"[\x20-\x7e]{4,}", library.read_bytes())]
    known = OPENED + (MACOS_SYSTEM if library.suffix == ".dylib" else ())
    paths = [text for text in texts if re.search(r"(^|[\s:'\"=])/[\w.+-]+/[\w.+-]+", text) and not text.startswith(known)]
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


def has_gpu_code(library):
    """Code of the GPU generations that the notice names, as drivers of CUDA 12 take it, and nothing of the CUDA runtime, which our
    notice says is not inside."""
    content, notice = library.read_bytes(), (library.parents[3] / "THIRD-PARTY.txt").read_text(encoding="utf-8")
    code = re.search(r"NVIDIA GPUs in it \(([^)]+)\)", notice)
    named = {int(arch) for arch in re.findall(r"sm_(\d+)", code.group(1))} if code else set()
    inside = gpu_code(content)
    assert len(named) > 1 and named == set(inside), f"the notice names code for {sorted(named)}, inside is code for {sorted(inside)}"
    assert all(abi == 7 for arch, abi in inside.items() if arch < 100), f"ELF ABI of machine code: {inside}"
    assert b"\n.version 8.0\n.target sm_80\n" in content, "has no PTX that drivers of CUDA 12.0 take"
    for name in (b"cudaMalloc", b"cudaLaunchKernel", b"libcudart"):
        assert name not in content, f"names {name.decode()} of the CUDA runtime"


def wgpu_native_loads(library):
    needs_old_glibc(library)
    needs_system_libraries_only(library, ["libgcc_s.so.1"])
    is_described(library)


def checks_can_fail(library):
    """wgpu-native, built by others and otherwise, breaks four of the rules for ours; a file that calls a sanitizer another."""
    with tempfile.TemporaryDirectory() as folder:
        checked = pathlib.Path(folder) / "checked.so"
        checked.write_bytes(b"\0__ubsan_handle_add_overflow\0")
        broken = [(check, library) for check in (needs_system_libraries_only, exports_one_symbol, names_no_path, names_its_compiler)]
        for check, file in broken + [(has_no_checks_of_development, checked)]:
            try:
                check(file)
            except AssertionError:
                continue
            raise AssertionError(f"{check.__name__} found nothing wrong with {file.name}")


def is_mach_o(library):
    """What `file` says: Mach-O 64-bit, a dynamic library for its platform's processor; found by the loader beside whoever loads it."""
    found, platform = macho.MachO(library), library.parent.name
    assert found.arch == MACOS_NAMES[platform], f"is for {found.arch}, and lies in {platform}"
    assert found.install_name == f"@rpath/{library.name}", f"is called {found.install_name}"
    assert found.minimum == MACOS_FLOOR, f"asks for macOS {found.minimum}"
    assert not found.rpaths, f"searches {found.rpaths}"


def needs_macos_only(library):
    found = macho.MachO(library)
    assert set(found.needed) == MACOS_NEEDED[library.name], f"needs {found.needed}"
    lost = {symbol: owner for symbol, owner in found.undefined.items() if owner.removesuffix(" (weak)") not in found.needed}
    assert found.undefined and not lost, f"has symbols that are in no library: {lost}"


def exports_one_symbol_macos(library):
    exported = [symbol for symbol in macho.MachO(library).exported if not MACOS_EXPORTS.fullmatch(symbol)]
    assert exported == ["_nf_get_api"], f"exports {exported}"


def is_signed(library):
    found = macho.MachO(library)
    assert found.signature or found.arch != "arm64", "has no signature, without which arm64 loads nothing"
    changed = found.changed_pages() if found.signature else []
    assert not changed, f"differs from its signature in pages {changed}"


def macos_checks_can_fail(library):
    """One that needs another library, changed after it was signed; one of another processor; a file that is no Mach-O."""
    content = library.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder) / library.parent.name / library.name
        place.parent.mkdir()
        wrong = content.replace(b"libSystem.B", b"libSysten.B"), content[:4] + b"\x07\0\0\x01" + content[8:], b"\x7fELF" + content[4:]
        if library.parent.name == "osx-x86_64":
            wrong = (wrong[0], content[:4] + b"\x0c\0\0\x01" + content[8:], wrong[2])
        checks = [needs_macos_only, is_mach_o, is_mach_o]
        if macho.MachO(library).signature:
            wrong, checks = (*wrong, wrong[0]), [*checks, is_signed]
        for bytes_of_it, check in zip(wrong, checks, strict=True):
            place.write_bytes(bytes_of_it)
            try:
                check(place)
            except AssertionError:
                continue
            raise AssertionError(f"{check.__name__} found nothing wrong with it")


OURS = (
    needs_old_glibc, needs_system_libraries_only, has_no_search_path, exports_one_symbol, has_no_executable_stack,
    names_its_compiler, has_no_checks_of_development, names_no_path, is_described, has_notices)  # fmt: skip


MACOS = (
    is_mach_o, needs_macos_only, exports_one_symbol_macos, is_signed, names_its_compiler, has_no_checks_of_development,
    names_no_path, is_described, has_notices, macos_checks_can_fail)  # fmt: skip


def checks_of(library):
    if library.suffix == ".dylib":
        return MACOS
    if library.name == "libnearfield_cuda.so":
        return (*OURS, has_gpu_code)
    return OURS if library.name.startswith("libnearfield_") else (wgpu_native_loads, checks_can_fail)


def main():
    folder = pathlib.Path(sys.argv[1])
    libraries = sorted(path for path in folder.glob("*/META-INF/nearfield/*/*/*") if path.suffix in (".so", ".dylib"))
    passed, failed = 0, 0
    for checked, check in [(folder, is_compiled_for_speed)] + [(library, check) for library in libraries for check in checks_of(library)]:
        try:
            check(checked)
            passed += 1
        except AssertionError as e:
            failed += 1
            print(f"FAIL {checked}: {check.__name__}: {e}")
    expected = {"libnearfield_cpu.so", "libnearfield_wgpu.so", "libnearfield_cuda.so", "libwgpu_native-release.so"}
    if any(library.suffix == ".dylib" for library in libraries):
        expected = set(MACOS_NEEDED)
    if {library.name for library in libraries} != expected:
        failed += 1
        print(f"FAIL {folder} holds {[library.name for library in libraries]}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
