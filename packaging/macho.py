# SPDX-License-Identifier: Apache-2.0
"""What library_test.py asks of a Mach-O file: 64 bits, little-endian, one architecture. Constants are those of Apple's mach-o/loader.h."""

import hashlib
import struct

MAGIC_64 = 0xFEEDFACF
DYLIB = 6  # MH_DYLIB
ARCHITECTURES = {0x0100000C: "arm64", 0x01000007: "x86_64"}
MACOS = 1  # PLATFORM_MACOS

SYMTAB, LOAD_DYLIB, ID_DYLIB, CODE_SIGNATURE, RPATH, BUILD_VERSION = 0x2, 0xC, 0xD, 0x1D, 0x8000001C, 0x32
LOAD_WEAK_DYLIB, REEXPORT_DYLIB = 0x80000018, 0x8000001F

STAB, EXTERNAL, TYPE, UNDEFINED, WEAK_REF = 0xE0, 0x01, 0x0E, 0x0, 0x40


class MachO:
    """arch, install_name, needed (paths), minimum (of macOS), rpaths, signature (where it lies), exported and undefined (symbols)."""

    def __init__(self, path):
        self.data = path.read_bytes()
        assert len(self.data) >= 32, "too short for a Mach-O header"
        magic, cpu, _, kind, count, _, _, _ = struct.unpack_from("<8I", self.data)
        assert magic == MAGIC_64, f"no 64-bit Mach-O: starts with {magic:#x}"
        assert kind == DYLIB, f"no dynamic library: file type {kind}"
        self.arch = ARCHITECTURES.get(cpu, hex(cpu))
        self.install_name, self.needed, self.minimum, self.rpaths, self.exported, self.undefined = None, [], None, [], [], {}
        self.signature = None
        at, table = 32, None
        for _ in range(count):
            command, size = struct.unpack_from("<2I", self.data, at)
            if command == ID_DYLIB:
                self.install_name = self.string(at, at + size)
            elif command in (LOAD_DYLIB, LOAD_WEAK_DYLIB, REEXPORT_DYLIB):
                self.needed.append(self.string(at, at + size))
            elif command == RPATH:
                self.rpaths.append(self.string(at, at + size))
            elif command == BUILD_VERSION:
                platform, minimum = struct.unpack_from("<2I", self.data, at + 8)
                assert platform == MACOS, f"built for platform {platform}, not macOS"
                self.minimum = (minimum >> 16, minimum >> 8 & 0xFF)
            elif command == CODE_SIGNATURE:
                (self.signature,) = struct.unpack_from("<I", self.data, at + 8)
            elif command == SYMTAB:
                table = struct.unpack_from("<4I", self.data, at + 8)
            at += size
        if table:
            self.symbols(*table)  # names libraries by their place in `needed`

    def string(self, at, end):
        (offset,) = struct.unpack_from("<I", self.data, at + 8)
        return self.data[at + offset : end].split(b"\0")[0].decode()

    def symbols(self, at, count, strings, _):
        for i in range(count):
            name, kind, _, flags, value = struct.unpack_from("<IBBHQ", self.data, at + 16 * i)
            if kind & STAB or not kind & EXTERNAL:
                continue
            text = self.data[strings + name :].split(b"\0", 1)[0].decode()
            if kind & TYPE == UNDEFINED and value == 0:
                # The high byte says which of the needed libraries has it; that is the promise which the loader checks.
                library = flags >> 8
                owner = self.needed[library - 1] if 1 <= library <= len(self.needed) else f"library {library}"
                self.undefined[text] = owner + (" (weak)" if flags & WEAK_REF else "")
            else:
                self.exported.append(text)

    def changed_pages(self):
        """The pages whose SHA-256 is not the one in the signature: macOS on arm64 ends a process that touches one. Big-endian, as in
        xnu's cs_blobs.h: a super blob, in it the code directory with a hash of each page."""
        magic, _, _, _, offset = struct.unpack_from(">5I", self.data, self.signature)
        assert magic == 0xFADE0CC0, f"the signature starts with {magic:#x}"
        directory = self.signature + offset
        magic, _, _, _, hashes, _, _, count, limit, size, kind, _, page = struct.unpack_from(">9I4B", self.data, directory)
        assert (magic, size, kind) == (0xFADE0C02, 32, 2), "the first of the signature's blobs holds no SHA-256 of pages"
        changed = []
        for i in range(count):
            end = min((i + 1) << page, limit)
            hashed = hashlib.sha256(self.data[i << page : end]).digest()
            at = directory + hashes + 32 * i
            if hashed != self.data[at : at + 32]:
                changed.append(i)
        assert limit == self.signature and count == -(-limit >> page), f"{count} pages of {limit} bytes are signed, of {self.signature}"
        return changed
