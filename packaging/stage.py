# SPDX-License-Identifier: Apache-2.0
"""Lays out what Maven puts into a native jar: libraries, checksums, notices and bill of materials.

docs/packaging.md describes the result. Run by cmake/package.cmake after the link; the output depends on the inputs only.
"""

import argparse
import hashlib
import json
import pathlib
import re
import shutil


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--platform", required=True, help="as os-maven-plugin spells it: linux-x86_64")
    parser.add_argument("--source", required=True, type=pathlib.Path, help="the checkout")
    parser.add_argument("--zig", required=True, type=pathlib.Path, help="folder of zig's wheel")
    parser.add_argument("--eigen", type=pathlib.Path, required=True, help="folder of Eigen/Core")
    parser.add_argument("--highway", type=pathlib.Path, help="folder of hwy/highway.h, for the cpu backend")
    parser.add_argument("--wheel", type=pathlib.Path, help="folder of the wgpu wheel, for the wgpu backend")
    parser.add_argument("--cuda", type=pathlib.Path, help="folder of what native/cuda/compile.py made, for the cuda backend")
    parser.add_argument("--metal-cpp", type=pathlib.Path, help="folder of metal_cpp.py, for the metal backend")
    parser.add_argument("--to", required=True, type=pathlib.Path)
    parser.add_argument("files", nargs="+", type=pathlib.Path, help="the backend's library, then what it opens beside it")
    return parser.parse_args()


def first(pattern, path):
    found = re.search(pattern, path.read_text(encoding="utf-8"))
    if not found:
        raise SystemExit(f"stage.py: no match of [{pattern}] in {path}")
    return found.group(1)


def wheel_version(folder, name):
    (info,) = folder.glob(f"{name}-*.dist-info")
    return info.name[len(name) + 1 : -len(".dist-info")]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def component(name, version, purl, licence=None, **more):
    entry = {"type": "library", "name": name, "version": version, "purl": purl, **more}
    if licence:
        entry["licenses"] = [{"expression": licence}]
    return entry


class Parts:
    """The third parties inside: components of the bill of materials, paragraphs of the notice, licence texts."""

    def __init__(self):
        self.components = []
        self.inside = []
        self.beside = []
        self.licences = {}
        self.notes = []
        self.properties = []

    def eigen(self, folder, source):
        header = folder / "Eigen/src/Core/util/Macros.h"
        version = ".".join(first(rf"#define EIGEN_{part}_VERSION (\d+)", header) for part in ("WORLD", "MAJOR", "MINOR"))
        self.components.append(component("eigen", version, f"pkg:gitlab/libeigen/eigen@{version}", "MPL-2.0"))
        self.inside.append(
            f"Eigen {version}, headers, unchanged (https://gitlab.com/libeigen/eigen, where their source is)\n"
            "  Copyright the Eigen authors. Mozilla Public License 2.0: META-INF/licenses/eigen.txt"
        )
        self.licences["eigen.txt"] = source / "packaging/MPL-2.0.txt"

    def highway(self, folder):
        header = folder / "hwy/highway.h"
        version = ".".join(first(rf"#define HWY_{part} (\d+)", header) for part in ("MAJOR", "MINOR", "PATCH"))
        self.components.append(component("highway", version, f"pkg:github/google/highway@{version}", "Apache-2.0"))
        self.inside.append(
            f"Highway {version}, headers (https://github.com/google/highway)\n"
            "  Copyright Google LLC. Apache License 2.0: META-INF/LICENSE"
        )

    def runtime(self, wheel, platform):
        version = wheel_version(wheel, "ziglang")
        purl = f"pkg:pypi/ziglang@{version}"
        lib = wheel / "ziglang/lib"
        llvm = ["libc++", "libc++abi"]
        if not platform.startswith("osx"):  # macOS has an unwinder in its libSystem
            llvm.append("libunwind")
        self.components += [component(name, version, f"{purl}#lib/{name.replace('+', 'x')}", "Apache-2.0 WITH LLVM-exception") for name in llvm]
        self.components.append(component("compiler_rt", version, purl + "#lib/compiler_rt", "MIT"))
        self.inside += [
            f"{', '.join(llvm[:-1])} and {llvm[-1]} of LLVM (https://llvm.org), as zig {version} brings them\n"
            "  Copyright the LLVM contributors. Apache License 2.0 with LLVM exceptions: META-INF/licenses/llvm.txt",
            f"compiler_rt of zig {version} (https://ziglang.org)\n"
            "  Copyright Zig contributors. MIT: META-INF/licenses/zig.txt",
        ]
        self.licences |= {"llvm.txt": lib / "libcxx/LICENSE.TXT", "zig.txt": wheel / "ziglang/LICENSE"}
        if platform.startswith("linux"):
            self.inside.append(
                "Start code of the GNU C Library, which its licence lets any program be linked with\n"
                "  LGPL 2.1 or later with that exception: META-INF/licenses/glibc.txt"
            )
            self.licences["glibc.txt"] = lib / "libc/glibc/LICENSES"

    def cuda(self, folder):
        """What nvcc and ptxas make of our sources is ours; of NVIDIA's own files none is inside, not even the CUDA runtime."""
        nvcc, code = first(r"# nvcc (\S+)", folder / "report.txt"), first(r'NEARFIELD_CUDA_CODE "([^"]+)"', folder / "cuda_build.hpp")
        # Absent where a toolkit was installed: then its own assembler, of nvcc's version.
        ptxas = re.search(r"# nvcc \S+ ptxas (\S+)", (folder / "report.txt").read_text(encoding="utf-8"))
        ptxas = ptxas[1] if ptxas else nvcc
        self.properties += [("nearfield:nvcc", nvcc), ("nearfield:ptxas", ptxas), ("nearfield:gpu-code", code)]
        self.notes.append(
            f"The code for NVIDIA GPUs in it ({code}) was compiled from Nearfield's own sources by nvcc {nvcc} and ptxas {ptxas}.\n"
            "No file of NVIDIA's is inside or beside it: the driver of the machine (libcuda.so.1) is opened at run time."
        )

    def metal_cpp(self, folder):
        version = (folder / "metal-cpp-version.txt").read_text(encoding="utf-8").strip()
        self.components.append(component("metal-cpp", version, f"pkg:pypi/mlx-metal@{version}#mlx/include/metal_cpp", "Apache-2.0"))
        self.inside.append(
            f"metal-cpp, headers, as the Python wheel mlx-metal {version} brings them (https://developer.apple.com/metal/cpp)\n"
            "  Copyright Apple Inc. Apache License 2.0: META-INF/licenses/metal-cpp.txt"
        )
        self.licences["metal-cpp.txt"] = folder / "LICENSE.txt"

    def wgpu_native(self, library, wheel):
        version = wheel_version(wheel, "wgpu")
        content = library.read_bytes()
        # Rust leaves the names of the source files of what panics: enough to list nearly all that is inside. The second
        # path is that of the crates which come compiled with Rust's standard library.
        found = re.findall(rb"index\.crates\.io-[0-9a-f]+/([A-Za-z0-9_-]+?)-(\d+\.\d+\.\d+)/src", content)
        found += re.findall(rb"/rust/deps/([A-Za-z0-9_-]+?)-(\d+\.\d+\.\d+)/src", content)
        crates = sorted({(name.decode(), release.decode()) for name, release in found})
        native = dict(crates).get("wgpu-core")
        rust = re.search(rb"rustc version (\d+\.\d+\.\d+)", content)
        if native is None or rust is None:
            raise SystemExit(f"stage.py: {library} does not name the versions of wgpu-core and rustc, so its notice cannot be written")
        rust = rust.group(1).decode()
        inner = [component(name, release, f"pkg:cargo/{name}@{release}") for name, release in crates]
        inner.append(component("rust-std", rust, f"pkg:github/rust-lang/rust@{rust}#library/std", "MIT OR Apache-2.0"))
        self.components.append(
            component(
                "wgpu-native",
                native,
                f"pkg:pypi/wgpu@{version}#wgpu/resources/{library.name}",
                "MIT OR Apache-2.0",
                hashes=[{"alg": "SHA-256", "content": sha256(library)}],
                components=inner,
            )
        )
        listed = "\n".join(f"    {name} {release}" for name, release in crates)
        self.beside.append(
            f"{library.name}: wgpu-native (https://github.com/gfx-rs/wgpu-native), unchanged from the Python wheel\n"
            f"wgpu {version} (https://github.com/pygfx/wgpu-py, BSD 2-Clause: META-INF/licenses/wgpu-py.txt)\n"
            "  Copyright the gfx-rs developers. MIT or Apache License 2.0, here the latter: META-INF/LICENSE\n"
            f"  Rust's standard library {rust} (std, core, alloc; https://github.com/rust-lang/rust)\n"
            "  Copyright the Rust Project contributors. MIT or Apache License 2.0, here the latter: META-INF/LICENSE\n"
            "  The Rust crates below. The list is read from the file itself, so a crate that leaves no name in it is missing.\n"
            "  Their licence texts are not in this jar: https://crates.io/crates/NAME/VERSION states the licence of each,\n"
            "  and https://docs.rs/crate/NAME/VERSION/source/ has its full text:\n" + listed
        )
        self.licences["wgpu-py.txt"] = wheel / f"wgpu-{version}.dist-info/licenses/LICENSE"

    def notice(self, library):
        text = f"{library} contains, compiled in:\n\n" + "\n\n".join(self.inside) + "\n"
        text += "".join(f"\n{note}\n" for note in self.notes)
        return text + "".join(f"\nBeside it lies\n\n{part}\n" for part in self.beside)


def main():
    given = arguments()
    library = given.files[0].name
    release = first(r"<artifactId>nearfield-parent</artifactId>\s*<version>([^<]+)</version>", given.source / "pom.xml")
    abi = first(r"#define NF_ABI_MAJOR (\d+)", given.source / "native/include/nearfield/nearfield.h")

    parts = Parts()
    parts.eigen(given.eigen, given.source)
    if given.highway:
        parts.highway(given.highway)
    if given.cuda:
        parts.cuda(given.cuda)
    if given.metal_cpp:
        parts.metal_cpp(given.metal_cpp)
    parts.runtime(given.zig, given.platform)
    if given.wheel:
        parts.wgpu_native(given.files[1], given.wheel)

    shutil.rmtree(given.to, ignore_errors=True)
    meta = given.to / "META-INF"
    place = meta / "nearfield" / given.backend / given.platform
    for folder in (place, meta / "licenses", meta / "sbom"):
        folder.mkdir(parents=True)

    for file in given.files:
        shutil.copyfile(file, place / file.name)
    properties = [f"version={release}", f"abi={abi}", "files=" + ",".join(file.name for file in given.files)]
    properties += [f"sha256.{file.name}={sha256(file)}" for file in given.files]
    (place / f"nearfield_{given.backend}.properties").write_text("\n".join(properties) + "\n", encoding="utf-8")

    for name in ("LICENSE", "NOTICE"):
        shutil.copyfile(given.source / name, meta / name)
    for name, text in parts.licences.items():
        shutil.copyfile(text, meta / "licenses" / name)
    (meta / "THIRD-PARTY.txt").write_text(parts.notice(library), encoding="utf-8")

    artifact = f"nearfield-native-{given.backend}"
    purl = f"pkg:maven/dev.nearfield/{artifact}@{release}?classifier={given.platform}"
    described = component(artifact, release, purl, "Apache-2.0", group="dev.nearfield")
    described["hashes"] = [{"alg": "SHA-256", "content": sha256(given.files[0])}]
    if parts.properties:
        described["properties"] = [{"name": name, "value": value} for name, value in parts.properties]
    bill = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    bill |= {"metadata": {"component": described}, "components": parts.components}
    (meta / "sbom/bom.cdx.json").write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
