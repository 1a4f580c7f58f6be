# SPDX-License-Identifier: Apache-2.0
"""Asks the CUDA driver itself, through ctypes: what the device is, how fast it copies and how fast it multiplies and adds in f32.

A program of its own (`python3 cuda_driver.py [--rates]`, one line of JSON), so that the driver it loads is the one of its environment
and its memory is free again when it ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time

# CUdevice_attribute
COMPUTE_UNITS, CLOCK_KHZ, MEMORY_CLOCK_KHZ, BUS_BITS, L2_BYTES, MAJOR, MINOR = 16, 13, 36, 37, 38, 75, 76
SHARED_OF_UNIT, SHARED_OF_BLOCK = 81, 97  # bytes, by which the backend chooses its shapes
COPY_BYTES = 2 << 30  # of each of the two buffers, at most: many times any L2
CHAINS, UNROLLED = 16, 8  # independent multiply-adds in flight in a thread; rounds of them in one turn of the loop
TURNS = 4096  # of the loop: some 5 ms
THREADS, BLOCKS_PER_UNIT = 256, 8  # fill a multiprocessor


class DriverError(Exception):
    def __init__(self, call: str, status: int):
        super().__init__(f"{call}: CUresult {status}")
        self.status = status


class Driver:
    def __init__(self):
        self.library = ctypes.CDLL("libcuda.so.1")
        self("cuInit", 0)

    def __call__(self, name: str, *arguments) -> None:
        status = getattr(self.library, name)(*arguments)
        if status != 0:
            raise DriverError(name, status)

    def number(self, name: str, *arguments, kind=ctypes.c_int):
        value = kind()
        self(name, ctypes.byref(value), *arguments)
        return value.value


def describe(driver: Driver) -> dict:
    version = driver.number("cuDriverGetVersion")
    device = driver.number("cuDeviceGet", 0)
    name = ctypes.create_string_buffer(256)
    driver("cuDeviceGetName", name, len(name), device)

    def attribute(number: int) -> int | None:
        try:
            return driver.number("cuDeviceGetAttribute", number, device)
        except (DriverError, AttributeError):
            return None

    return {
        "name": name.value.decode(errors="replace"),
        "devices": driver.number("cuDeviceGetCount"),
        "cuda": f"{version // 1000}.{version % 1000 // 10}",
        "compute_capability": f"{attribute(MAJOR)}.{attribute(MINOR)}",
        "memory_bytes": driver.number("cuDeviceTotalMem_v2", device, kind=ctypes.c_size_t),
        "compute_units": attribute(COMPUTE_UNITS),
        "clock_hz": 1000 * (attribute(CLOCK_KHZ) or 0),
        "memory_clock_hz": 1000 * (attribute(MEMORY_CLOCK_KHZ) or 0),
        "memory_bus_bits": attribute(BUS_BITS),
        "l2_bytes": attribute(L2_BYTES),
        "shared_bytes_of_unit": attribute(SHARED_OF_UNIT),
        "shared_bytes_of_block": attribute(SHARED_OF_BLOCK),
    }


class Timer:
    """Device time between two events, best of several."""

    def __init__(self, driver: Driver):
        self.driver = driver
        self.events = [ctypes.c_void_p(), ctypes.c_void_p()]
        for event in self.events:
            driver("cuEventCreate", ctypes.byref(event), 0)

    def best(self, work, seconds: float) -> float:
        work()
        best, end = float("inf"), time.monotonic() + seconds
        while time.monotonic() < end:
            self.driver("cuEventRecord", self.events[0], None)
            work()
            self.driver("cuEventRecord", self.events[1], None)
            self.driver("cuEventSynchronize", self.events[1])
            taken = ctypes.c_float()
            self.driver("cuEventElapsedTime", ctypes.byref(taken), *self.events)
            best = min(best, taken.value / 1000)
        return best


def copy_rate(driver: Driver, timer: Timer, memory_bytes: int, seconds: float) -> float:
    """Bytes read and written a second by copies within the device's memory, of random data."""
    size = min(COPY_BYTES, memory_bytes // 8) >> 20 << 20
    buffers = [ctypes.c_uint64(), ctypes.c_uint64()]
    noise = os.urandom(1 << 20)
    try:
        for buffer in buffers:
            driver("cuMemAlloc_v2", ctypes.byref(buffer), ctypes.c_size_t(size))
        for at in range(0, size, len(noise)):
            driver("cuMemcpyHtoD_v2", ctypes.c_uint64(buffers[0].value + at), noise, ctypes.c_size_t(len(noise)))
        to, source = buffers[1], buffers[0]
        return 2 * size / timer.best(lambda: driver("cuMemcpyDtoDAsync_v2", to, source, ctypes.c_size_t(size), None), seconds)
    finally:
        for buffer in buffers:
            if buffer.value:
                driver("cuMemFree_v2", buffer)


def multiply_add_ptx() -> str:
    """CHAINS chains of multiply-adds a thread, UNROLLED times in a turn, TURNS turns; the sum goes to `out` so that none is dropped."""
    registers = [f"%x{i}" for i in range(CHAINS)]
    lines = [".version 6.4", ".target sm_70", ".address_size 64",
             ".visible .entry multiply_add(.param .u64 out, .param .f32 factor, .param .f32 addend)", "{",
             f".reg .f32 %x<{CHAINS}>;", ".reg .f32 %f<2>;", ".reg .b32 %r<6>;", ".reg .b64 %d<4>;", ".reg .pred %p;",
             "ld.param.u64 %d0, [out];", "cvta.to.global.u64 %d0, %d0;", "ld.param.f32 %f0, [factor];", "ld.param.f32 %f1, [addend];",
             "mov.u32 %r0, %ctaid.x;", "mov.u32 %r1, %ntid.x;", "mov.u32 %r2, %tid.x;", "mad.lo.u32 %r3, %r0, %r1, %r2;",
             f"cvt.rn.f32.u32 {registers[0]}, %r3;"]  # fmt: skip
    lines += [f"add.rn.f32 {x}, {before}, %f1;" for before, x in zip(registers, registers[1:])]
    lines += ["mov.u32 %r4, 0;", "turn:"]
    lines += [f"fma.rn.f32 {x}, {x}, %f0, %f1;" for x in registers] * UNROLLED
    lines += ["add.u32 %r4, %r4, 1;", f"setp.lt.u32 %p, %r4, {TURNS};", "@%p bra turn;"]
    lines += [f"add.rn.f32 {registers[0]}, {registers[0]}, {x};" for x in registers[1:]]
    lines += ["mul.wide.u32 %d1, %r3, 4;", "add.u64 %d2, %d0, %d1;", f"st.global.f32 [%d2], {registers[0]};", "ret;", "}", ""]
    return "\n".join(lines)


def multiply_add_rate(driver: Driver, timer: Timer, units: int, seconds: float) -> float:
    """f32 operations a second, two a multiply-add, of a kernel that does nothing else."""
    module, function, out = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
    driver("cuModuleLoadData", ctypes.byref(module), multiply_add_ptx().encode())
    driver("cuModuleGetFunction", ctypes.byref(function), module, b"multiply_add")
    blocks = units * BLOCKS_PER_UNIT
    driver("cuMemAlloc_v2", ctypes.byref(out), ctypes.c_size_t(4 * THREADS * blocks))
    try:
        values = [out, ctypes.c_float(0.999), ctypes.c_float(0.001)]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.cast(ctypes.byref(v), ctypes.c_void_p) for v in values])
        work = lambda: driver("cuLaunchKernel", function, blocks, 1, 1, THREADS, 1, 1, 0, None, pointers, None)  # noqa: E731
        return 2 * CHAINS * UNROLLED * TURNS * THREADS * blocks / timer.best(work, seconds)
    finally:
        driver("cuMemFree_v2", out)


def rates(driver: Driver, about: dict, seconds: float) -> dict:
    """What could be measured; a reason beside what could not."""
    context = ctypes.c_void_p()
    device = driver.number("cuDeviceGet", 0)
    driver("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    driver("cuCtxSetCurrent", context)
    timer = Timer(driver)
    found = {}
    for name, work in (("copy_bytes_per_s", lambda: copy_rate(driver, timer, about["memory_bytes"], seconds)),
                       ("multiply_add_flops_per_s", lambda: multiply_add_rate(driver, timer, about["compute_units"], seconds))):  # fmt: skip
        try:
            found[name] = work()
        except (DriverError, AttributeError) as error:
            found[f"without_{name}"] = str(error)
    return found


def main() -> int:
    try:
        driver = Driver()
        about = describe(driver)
        if "--rates" in sys.argv:
            try:
                about.update(rates(driver, about, 0.3))
            except (DriverError, AttributeError) as error:
                about["without_rates"] = str(error)
    except OSError as error:
        about = {"absent": f"the NVIDIA driver is not here: {error}"}
    except AttributeError as error:
        about = {"absent": f"libcuda.so.1 has no such function: {error}"}
    except DriverError as error:
        no_device = error.status == 100  # CUDA_ERROR_NO_DEVICE
        about = {"absent": "the NVIDIA driver finds no GPU" if no_device else f"the NVIDIA driver fails: {error}"}
    print(json.dumps(about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
