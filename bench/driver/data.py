# SPDX-License-Identifier: Apache-2.0
"""Data files: what they hold is checked against their size before anything is made of them."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Iterator

from errors import BenchError, UsageError

CHUNK = 1 << 24  # bytes read at once


@dataclass
class Vectors:
    """A file of f32 or i32 vectors. Row i starts `skip` + i x `stride` + `lead` bytes into it."""

    path: str
    rows: int
    dim: int
    skip: int
    lead: int

    @property
    def stride(self) -> int:
        return self.lead + 4 * self.dim

    def blocks(self, rows: int) -> Iterator[bytes]:
        """The first `rows` rows without what stands between them."""
        with open(self.path, "rb") as file:
            file.seek(self.skip)
            step = max(1, CHUNK // self.stride)
            for first in range(0, rows, step):
                count = min(step, rows - first)
                block = file.read(count * self.stride)
                yield self._bare(block, first, count)

    def _bare(self, block: bytes, first: int, count: int) -> bytes:
        if len(block) != count * self.stride:
            raise UsageError(f"{self.path} ends in row {first + len(block) // self.stride}, its size promised {self.rows} rows")
        if not self.lead:
            return block
        lead, stride = struct.pack("<i", self.dim), self.stride
        parts = []
        for i in range(count):
            at = i * stride
            if block[at : at + 4] != lead:
                found = struct.unpack_from("<i", block, at)[0]
                raise UsageError(f"{self.path}: row {first + i} has {found} dimensions, row 0 has {self.dim}")
            parts.append(block[at + 4 : at + stride])
        return b"".join(parts)


def _open(path: str) -> tuple[BinaryIO, int]:
    try:
        if not os.path.isfile(path):
            raise UsageError(f"{path} is {'no file' if os.path.exists(path) else 'not there'}")
        file = open(path, "rb")
        return file, os.path.getsize(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def describe(path: str, kinds: tuple[str, ...]) -> Vectors:
    """What a file claims to hold, by its ending, checked against its size."""
    ending = Path(path).suffix.lower().lstrip(".")
    if ending not in kinds:
        raise UsageError(f"{path} does not end in {' or '.join('.' + kind for kind in kinds)}")
    file, size = _open(path)
    with file:
        head = file.read(8)
    if ending.endswith("bin"):
        if size < 8:
            raise UsageError(f"{path} has {size} bytes, the header of .{ending} alone has 8")
        rows, dim = struct.unpack("<II", head)
        expected = 8 + rows * dim * 4
        if rows == 0 or dim == 0 or size != expected:
            raise UsageError(f"{path} has {size} bytes, its header of {rows} rows x {dim} dimensions makes {expected}")
        return Vectors(path, rows, dim, skip=8, lead=0)
    if size < 4:
        raise UsageError(f"{path} has {size} bytes, the header of a row of .{ending} alone has 4")
    (dim,) = struct.unpack("<i", head[:4])
    if dim < 1 or size % (4 + 4 * dim) != 0:
        raise UsageError(f"{path} has {size} bytes, no multiple of a row of {dim} dimensions as its first row has")
    return Vectors(path, size // (4 + 4 * dim), dim, skip=0, lead=4)


def is_hdf5(path: str) -> bool:
    return path.lower().endswith((".hdf5", ".h5"))


def write_fbin(to: str, rows: int, dim: int, blocks: Iterator[bytes]) -> None:
    try:
        with open(to, "wb") as file:
            file.write(struct.pack("<II", rows, dim))
            for block in blocks:
                file.write(block)
    except OSError as error:
        raise BenchError(f"{to} cannot be written: {error.strerror}") from None


def as_fbin(vectors: Vectors, rows: int, to: str) -> str:
    """The first rows as an .fbin file: the file itself where it is one already."""
    if _is_fbin_of(vectors, rows):
        return os.path.abspath(vectors.path)
    write_fbin(to, rows, vectors.dim, vectors.blocks(rows))
    return to


def hold_out(vectors: Vectors, rows: int, queries: int, base_to: str, queries_to: str) -> None:
    """The first rows + queries rows in two .fbin files: of every (rows + queries) / queries rows the last is a query."""
    total = rows + queries

    def parts(wanted: bool) -> Iterator[bytes]:
        size, number = 4 * vectors.dim, 0
        for block in vectors.blocks(total):
            part = bytearray()
            for at in range(0, len(block), size):
                if ((number + 1) * queries // total > number * queries // total) == wanted:
                    part += block[at : at + size]
                number += 1
            yield bytes(part)

    write_fbin(base_to, rows, vectors.dim, parts(False))
    write_fbin(queries_to, queries, vectors.dim, parts(True))


def copied(vectors: Vectors, rows: int) -> int:
    """Bytes that as_fbin writes."""
    return 0 if _is_fbin_of(vectors, rows) else 8 + rows * vectors.dim * 4


def _is_fbin_of(vectors: Vectors, rows: int) -> bool:
    return vectors.lead == 0 and vectors.skip == 8 and rows == vectors.rows


def head(path: str, rows: int, to: str) -> str:
    """The first rows of an .fbin file in one of its own; the file itself when it has no more."""
    vectors = describe(path, ("fbin",))
    return as_fbin(vectors, min(rows, vectors.rows), to)


def sample(numbers: range, path: str, row_bytes: int, skip: int, header: bytes, to: str) -> None:
    """Rows `numbers` of a file of rows, after a header of their own."""
    with open(path, "rb") as source, open(to, "wb") as out:
        out.write(header)
        for number in numbers:
            source.seek(skip + number * row_bytes)
            out.write(source.read(row_bytes))


def truth_rows(vectors: Vectors, k: int, queries: int, base: int, to: str, numbers: range) -> None:
    """The true neighbours of queries `numbers` as int64, k each, from a file of i32."""
    if vectors.rows != queries:
        raise UsageError(f"{vectors.path} has neighbours of {vectors.rows} queries, there are {queries}")
    if vectors.dim < k:
        raise UsageError(f"{vectors.path} has {vectors.dim} neighbours a query, k is {k}")
    flat = b"".join(vectors.blocks(vectors.rows))
    with open(to, "wb") as out:
        for number in numbers:
            ids = struct.unpack_from(f"<{k}i", flat, number * 4 * vectors.dim)
            for row in ids:
                if not 0 <= row < base:
                    raise UsageError(f"{vectors.path}: query {number} has row {row} as a neighbour, the base has {base} rows")
            out.write(struct.pack(f"<{k}q", *ids))


def churn(path: str, parts: int, before: str, after: str, added: str) -> int:
    """Of every `parts` rows of an .fbin file one is to be removed and one to be added: `before` has the removed ones, then those that stay; `after`
    those that stay, then the added. Answers how many are removed, and as many are added."""
    vectors = describe(path, ("fbin",))
    count, size = vectors.rows // parts, 4 * vectors.dim
    if not count:
        raise UsageError(f"{path} has {vectors.rows} rows, {parts} are the least of which some can be replaced")

    def role(number: int) -> str:
        place = number % parts if number < count * parts else 1
        return {0: "removed", parts // 2: "added"}.get(place, "kept")

    def rows_of(wanted: str) -> Iterator[bytes]:
        number = 0
        for block in vectors.blocks(vectors.rows):
            first, number = number, number + len(block) // size
            yield b"".join(block[(i - first) * size : (i - first + 1) * size] for i in range(first, number) if role(i) == wanted)

    for to, roles in ((before, ("removed", "kept")), (after, ("kept", "added")), (added, ("added",))):
        rows = count if to == added else vectors.rows - count
        write_fbin(to, rows, vectors.dim, (block for each in roles for block in rows_of(each)))
    return count
