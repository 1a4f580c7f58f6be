# SPDX-License-Identifier: Apache-2.0
"""Measures the sums of the matrix units, int8 and TF32, by the kernels of native/cuda/test/unit_sums.cu and
unit_sums_90a.cu through the CUDA driver.

A program of its own (`python3 unit_sums.py FOLDER mma|wgmma`, one line of JSON), as cuda_driver.py is; the folder has the kernels' PTX."""

from __future__ import annotations

import ctypes
import json
import random
import sys
import time
from array import array
from pathlib import Path

import cuda_driver
import unit_probes
from cuda_driver import Driver, DriverError

ROWS, COLUMNS, WORDS, WARP = 16, 8, 8, 32  # of a tile; of a row in one product; threads of a block
GROUP_ROWS, GROUP_COLUMNS, WARPGROUP = 64, 256, 128  # of a product of a warpgroup: tiles repeat in it; threads of a block
TF32_CAPABILITY = 80  # from which compute capability on there is TF32
WARPGROUP_CAPABILITY = 90  # the one that has wgmma
NOT_READY = 600  # CUDA_ERROR_NOT_READY
SECONDS = 60  # for one launch; it takes milliseconds
SEED = 13
# Products a chain, and tiles of 128 chains: some 300,000 products of each length, which Python sums in a second.
LENGTHS = ((8, 16), (128, 12), (768, 3), (4096, 1))
INT8_LENGTHS = ((32, 16), (128, 8), (4096, 1))


class Units:
    names = ("tf32", "s8", "assumed")

    def __init__(self, driver: Driver, ptx: Path):
        self.driver = driver
        context, self.stream, self.event, module = (ctypes.c_void_p() for _ in range(4))
        driver("cuDevicePrimaryCtxRetain", ctypes.byref(context), driver.number("cuDeviceGet", 0))
        driver("cuCtxPushCurrent_v2", context)
        driver("cuStreamCreate", ctypes.byref(self.stream), 1)  # not the default one
        driver("cuEventCreate", ctypes.byref(self.event), 2)  # without times
        driver("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(ptx.read_bytes() + b"\0"))
        self.functions = {}
        for name in self.names:
            function = ctypes.c_void_p()
            driver("cuModuleGetFunction", ctypes.byref(function), module, f"unit_sums_{name}".encode())
            self.functions[name] = function

    def launch(self, name: str, blocks: int, out_bytes: int, *arguments, threads: int = WARP) -> bytes:
        """Arguments: an int, or bytes for a buffer of the device; the last one is written and comes back."""
        buffers = []

        def buffer(size: int) -> ctypes.c_uint64:
            address = ctypes.c_uint64()
            self.driver("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
            buffers.append(address)
            return address

        host = ctypes.c_void_p()
        try:
            values = []
            for argument in arguments:
                if isinstance(argument, int):
                    values.append(ctypes.c_uint32(argument))
                    continue
                values.append(buffer(len(argument)))
                self.driver("cuMemcpyHtoDAsync_v2", values[-1], ctypes.c_char_p(argument), ctypes.c_size_t(len(argument)), self.stream)
            values.append(buffer(out_bytes))
            pointers = (ctypes.c_void_p * len(values))(*[ctypes.cast(ctypes.byref(v), ctypes.c_void_p) for v in values])
            self.driver("cuLaunchKernel", self.functions[name], blocks, 1, 1, threads, 1, 1, 0, self.stream, pointers, None)
            self.driver("cuMemHostAlloc", ctypes.byref(host), ctypes.c_size_t(out_bytes), 0)
            self.driver("cuMemcpyDtoHAsync_v2", host, values[-1], ctypes.c_size_t(out_bytes), self.stream)
            self._wait()
            return ctypes.string_at(host, out_bytes)
        finally:
            # Unchecked: after an error they would say it once more.
            for address in buffers:
                self.driver.library.cuMemFree_v2(address)
            if host.value:
                self.driver.library.cuMemFreeHost(host)

    def _wait(self) -> None:
        self.driver("cuEventRecord", self.event, self.stream)
        end = time.monotonic() + SECONDS
        while (status := self.driver.library.cuEventQuery(self.event)) == NOT_READY and time.monotonic() < end:
            pass
        if status != 0:
            raise DriverError("cuEventQuery", status)

    def assumed(self) -> unit_probes.Assumed:
        return unit_probes.Assumed(*array("i", self.launch("assumed", 1, 12)))

    def tf32(self, tiles: list[tuple[list, list, list]]) -> list[list[float]]:
        """Sums of tiles of (16 rows, 8 columns, 128 sums before)."""
        before = array("f", [x for tile in tiles for x in tile[2]]).tobytes()
        return split(array("f", self.launch("tf32", len(tiles), len(before), *operands(tiles), before)))

    def planted(self, chains: list[unit_probes.Chain]) -> list[list[float]]:
        return self.tf32([([a] * ROWS, [b] * COLUMNS, [before] * ROWS * COLUMNS) for a, b, before in chains])

    def int8(self, tiles: list[tuple[list, list, list]]) -> list[list[int]]:
        steps = len(tiles[0][0][0]) // (4 * WORDS)
        rows, columns = (array("b", [x for tile in tiles for row in tile[side] for x in row]).tobytes() for side in (0, 1))
        before = array("i", [x for tile in tiles for x in tile[2]]).tobytes()
        return split(array("i", self.launch("s8", len(tiles), len(before), steps, rows, columns, before)))


class Warpgroups(Units):
    """The same by wgmma. Tiles whose repetitions are not all alike are counted in `unlike`."""

    names = ("wgmma",)
    unlike = 0

    def tf32(self, tiles: list[tuple[list, list, list]]) -> list[list[float]]:
        before = array("f", [x for tile in tiles for x in tile[2]]).tobytes()
        size = 4 * GROUP_ROWS * GROUP_COLUMNS
        found = self.launch("wgmma", len(tiles), len(tiles) * size, *operands(tiles), before, threads=WARPGROUP)
        sums = []
        for at in range(0, len(found), size):
            rows = [found[first : first + 4 * GROUP_COLUMNS] for first in range(at, at + size, 4 * GROUP_COLUMNS)]
            given = [row[: 4 * COLUMNS] for row in rows[:ROWS]]
            self.unlike += any(row != given[number % ROWS] * (GROUP_COLUMNS // COLUMNS) for number, row in enumerate(rows))
            sums.append(array("f", b"".join(given)).tolist())
        return sums


def operands(tiles: list[tuple[list, list, list]]) -> tuple[int, bytes, bytes]:
    """Of TF32: steps, rows and columns."""
    rows, columns = (array("f", [x for tile in tiles for row in tile[side] for x in row]).tobytes() for side in (0, 1))
    return len(tiles[0][0][0]) // WORDS, rows, columns


def split(sums: array) -> list[list]:
    size = ROWS * COLUMNS
    return [sums[at : at + size].tolist() for at in range(0, len(sums), size)]


def sums_of_tf32(units: Units, assumed: unit_probes.Assumed, source: random.Random) -> tuple[list[dict], list[str]]:
    found, broken = [], []
    for kind in unit_probes.KINDS:
        for products, count in LENGTHS:
            tiles = [([unit_probes.row(kind, products, source, True) for _ in range(ROWS)],
                      [unit_probes.row(kind, products, source, False) for _ in range(COLUMNS)],
                      [0.0] * ROWS * COLUMNS) for _ in range(count)]  # fmt: skip
            of = unit_probes.greatest(kind, products, tiles, units.tf32(tiles), assumed)
            found.append(of)
            if not of["greatest_u"] <= of["counted_u"]:
                broken.append(f"sums of {products} products of {kind} data are {of['greatest_u']:g} u of their magnitudes off, {of['counted_u']:g} u are counted")
    return found, broken


def sums_of_int8(units: Units, source: random.Random) -> tuple[dict, list[str]]:
    """They are exact, and wrap as 32 bits do."""
    count, wrong = 0, 0
    for products, number in INT8_LENGTHS:
        tiles = []
        for tile in range(number):
            draw = (lambda: source.choice((-128, 127))) if tile % 4 == 3 or number == 1 else (lambda: source.randrange(-128, 128))
            rows, columns = ([[draw() for _ in range(products)] for _ in range(n)] for n in (ROWS, COLUMNS))
            before = [source.choice((0, 0x4B400000, 2**31 - 1, -(2**31))) for _ in range(ROWS * COLUMNS)]
            tiles.append((rows, columns, before))
        for (rows, columns, before), sums in zip(tiles, units.int8(tiles)):
            exact = [sum(x * y for x, y in zip(row, column)) for row in rows for column in columns]
            wrong += sum((one + start - other) % 2**32 != 0 for one, start, other in zip(exact, before, sums))
            count += len(sums)
    return {"sums": count, "wrong": wrong}, [f"{wrong} of {count} sums of int8 are wrong"] if wrong else []


def of_tf32(units: Units, assumed: unit_probes.Assumed) -> dict:
    planted, of_planted = unit_probes.planted(units.planted, assumed, SEED)
    sums, of_sums = sums_of_tf32(units, assumed, random.Random(SEED))
    return {"seen": planted, "sums": sums, "broken": of_planted + of_sums}


def of_mma(driver: Driver, folder: Path) -> dict:
    units = Units(driver, folder / "unit_sums.ptx")
    assumed = units.assumed()
    mma, (int8, of_int8) = of_tf32(units, assumed), sums_of_int8(units, random.Random(SEED))
    return {"seed": SEED, "assumed": vars(assumed), "mma": mma, "int8": int8, "broken": mma["broken"] + of_int8}


def of_wgmma(driver: Driver, folder: Path) -> dict:
    assumed = Units(driver, folder / "unit_sums.ptx").assumed()
    groups = Warpgroups(driver, folder / "unit_sums_90a.ptx")
    wgmma = of_tf32(groups, assumed)
    if groups.unlike:
        wgmma["broken"].append(f"{groups.unlike} tiles have other sums where they stand once more")
    return wgmma


def measure(driver: Driver, folder: Path, instruction: str) -> dict:
    capability = cuda_driver.describe(driver)["compute_capability"]
    if round(10 * float(capability)) < TF32_CAPABILITY:
        return {"absent": f"a GPU of compute capability {capability} has no TF32"}
    if instruction == "mma":
        return of_mma(driver, folder)
    if round(10 * float(capability)) != WARPGROUP_CAPABILITY:
        return {"absent": f"compute capability {capability} has none"}
    return of_wgmma(driver, folder)


def main(folder: str, instruction: str) -> int:
    try:
        found = measure(Driver(), Path(folder), instruction)
    except OSError as error:
        found = {"failed": f"the NVIDIA driver is not here: {error}"}
    except (DriverError, AttributeError) as error:
        found = {"failed": str(error)}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
