# SPDX-License-Identifier: Apache-2.0
"""metal_cpp.py REQUIREMENTS FOLDER: the headers of metal-cpp and their licence, out of the one wheel that REQUIREMENTS pins.

The wheel is for macOS alone and mostly a library, so it is downloaded and opened rather than installed. FOLDER gets
metal-cpp-version.txt beside the headers, with the wheel's version: a file called VERSION would be <version> to a compiler on a
file system that ignores case."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

INSIDE = "mlx/include/metal_cpp/"


def main():
    requirements, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as download:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
        # The Python that runs this may be older than what MLX wants; nothing of MLX is run.
        pip += ["--python-version", "3.12", "--require-hashes", "--only-binary", ":all:", "--platform", "macosx_14_0_arm64", "--dest", download]
        subprocess.run([*pip, "-r", str(requirements)], check=True, env=os.environ | {"PIP_ROOT_USER_ACTION": "ignore"})
        (wheel,) = pathlib.Path(download).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith(INSIDE) and not name.endswith("/"):
                    to = part / name[len(INSIDE) :]
                    to.parent.mkdir(parents=True, exist_ok=True)
                    to.write_bytes(archive.read(name))
        (part / "metal-cpp-version.txt").write_text(wheel.name.split("-")[1] + "\n", encoding="utf-8")
    part.rename(folder)


main()
