# SPDX-License-Identifier: Apache-2.0
"""What is found of matrix units: of models of them, in Python, that sum as published measurements say, and of others that must be refused;
and of the emulated one, by the kernels."""

import json
import math
import random
import struct
import unittest

import record
import unit_probes
import unit_sums
import units
from children import Ended
from machine import ROOT
from phases import Absent, CutShort, Failed
from stand_ins import RELEASE, StandInTest
from unit_probes import Assumed, bits, cut, f32

ASSUMED = Assumed(13, 4, 24)


def towards_zero(value: float) -> float:
    rounded = f32(value)
    return struct.unpack("<f", struct.pack("<I", bits(rounded) - 1))[0] if abs(rounded) > abs(value) else rounded


def model(block: int = 4, kept: int = 24, dropped: int = 13, rounding=towards_zero, order=range(8)):
    """One chain of a unit."""

    def sum_of(a: list, b: list, before: float) -> float:
        for step in range(0, len(a), 8):
            for first in range(0, 8, block):
                places = [step + order[i] for i in range(first, first + block)]
                terms = [before] + [cut(a[i], dropped) * cut(b[i], dropped) for i in places]
                largest = max(map(abs, terms))
                if largest:
                    last = 2.0 ** (math.frexp(largest)[1] - kept)
                    before = rounding(sum(int(term / last) for term in terms) * last)
        return before

    return sum_of


class StandInUnits:
    """unit_sums.Units of a model."""

    def __init__(self, sum_of, int8_is: int = 0):
        self.sum_of, self.int8_is = sum_of, int8_is

    def planted(self, chains):
        return [[self.sum_of(*chain)] * 128 for chain in chains]

    def tf32(self, tiles):
        return [[self.sum_of(a, b, before[0]) for a in rows for b in columns] for rows, columns, before in tiles]

    def int8(self, tiles):
        return [[sum(x * y for x, y in zip(a, b)) + before[8 * i + j] + self.int8_is for i, a in enumerate(rows) for j, b in enumerate(columns)]
                for rows, columns, before in tiles]  # fmt: skip


class ProbesTest(unittest.TestCase):
    def planted(self, **form) -> tuple[dict, list]:
        return unit_probes.planted(StandInUnits(model(**form)).planted, ASSUMED, 1)

    def test_units_as_they_are_published(self):
        for form in ({"block": 4, "kept": 24}, {"block": 4, "kept": 25}, {"block": 8, "kept": 26}, {"block": 4, "kept": 24, "order": (0, 2, 4, 6, 1, 3, 5, 7)}):
            seen, broken = self.planted(**form)
            self.assertEqual(broken, [])
            self.assertEqual(seen, {"block": form["block"], "kept_bits": form["kept"], "sum_rounded": "towards zero", "subnormal_operands": "kept"})

    def test_a_unit_that_rounds(self):
        seen, broken = self.planted(block=8, kept=25, rounding=f32)
        self.assertEqual((seen["sum_rounded"], broken), ("to the nearest", []))

    def test_units_that_lose_more_than_is_counted(self):
        for form, words in (({"kept": 23}, "keep 23 bits lose 5.5 u a product, 3 u are counted"), ({"block": 2}, "blocks of 2 products that keep 24 bits lose 4 u"),
                            ({"block": 1}, "blocks of 1 products"), ({"dropped": 12}, "the low 13 bits of operands are not ignored: 6"),
                            ({"dropped": 14}, "of 64 single products are not exact")):  # fmt: skip
            with self.subTest(form=form):
                self.assertRegex("; ".join(self.planted(**form)[1]), words)

    def test_lanes_that_differ(self):
        unit = StandInUnits(model())
        _, broken = unit_probes.planted(lambda chains: [[sums[0]] * 127 + [sums[0] + 1] for sums in unit.planted(chains)], ASSUMED, 1)
        self.assertEqual(broken, ["64 of 64 chains have other sums in other lanes"])

    def test_two_bits_fewer_pass_where_blocks_are_larger(self):
        self.assertEqual(self.planted(block=8, kept=24)[1], [])

    def test_what_is_counted_is_the_bound_of_the_library(self):
        self.assertAlmostEqual(ASSUMED.block_loss() / unit_probes.U, 12)
        self.assertAlmostEqual(ASSUMED.allowed(128) / unit_probes.U, 384, delta=0.02)
        # Whoever changes that changes this.
        bound = (ROOT / "native" / "gpu" / "tf32_bounds.hpp").read_text(encoding="utf-8")
        self.assertIn("blocks * (kTf32Block + 2) * std::ldexp(1.0, 1 - kTf32KeptBits)", bound)


class SumsTest(unittest.TestCase):
    def setUp(self):
        before, unit_sums.LENGTHS = unit_sums.LENGTHS, ((8, 1), (128, 1))
        self.addCleanup(setattr, unit_sums, "LENGTHS", before)

    def sums(self, **form) -> tuple[list, list]:
        return unit_sums.sums_of_tf32(StandInUnits(model(**form)), ASSUMED, random.Random(2))

    def test_what_a_unit_loses(self):
        found, broken = self.sums()
        self.assertEqual(broken, [])
        self.assertEqual([(of["data"], of["products"], of["sums"]) for of in found], [(kind, n, 128) for kind in unit_probes.KINDS for n in (8, 128)])
        most = max(of["greatest_u"] / of["counted_u"] for of in found)
        self.assertTrue(0.2 < most <= 1, most)  # the planted data come near to what is counted
        better, _ = self.sums(block=8, kept=26)
        self.assertLess(max(of["greatest_u"] for of in better), max(of["greatest_u"] for of in found))

    def test_a_unit_that_loses_too_much(self):
        _, broken = self.sums(kept=20)
        self.assertRegex(broken[0], r"sums of \d+ products of \w+ data are [\d.]+ u of their magnitudes off, [\d.]+ u are counted")

    def test_int8(self):
        found, broken = unit_sums.sums_of_int8(StandInUnits(model()), random.Random(3))
        self.assertEqual((found["wrong"], broken), (0, []))
        found, broken = unit_sums.sums_of_int8(StandInUnits(model(), int8_is=1), random.Random(3))
        self.assertEqual(found["wrong"], found["sums"])
        self.assertIn("sums of int8 are wrong", broken[0])


SEEN = {"seen": {"block": 8, "kept_bits": 26, "sum_rounded": "towards zero", "subnormal_operands": "kept"},
        "sums": [{"data": "normal", "products": 128, "sums": 1536, "greatest_u": 2.5, "counted_u": 384}], "broken": []}  # fmt: skip
FOUND = {"seed": 13, "assumed": vars(ASSUMED), "mma": SEEN, "int8": {"sums": 3200, "wrong": 0}, "broken": []}


class PhaseTest(StandInTest):
    def setUp(self):
        super().setUp()
        self.here = self.session()
        self.here.build.tool("unit_sums.ptx").parent.mkdir()
        self.here.build.tool("unit_sums.ptx").write_text("ptx")

    def check(self, output: str, cut_short: bool = False, wgmma: str = json.dumps(SEEN)) -> str:
        self.addCleanup(setattr, units.children, "run", units.children.run)
        units.children.run = lambda command, *_: Ended(0, output, cut_short) if command[-1] == "mma" else Ended(0, wgmma, False)
        self.entry = {}
        return units.check(self.here, self.entry, 5)

    def test_outcomes(self):
        self.assertEqual(self.check(f"a warning\n{json.dumps(FOUND)}\n"), "TF32 in blocks of 8 that keep 26 bits, the sum rounded towards zero; at most 2.5 u of 384 counted "
                         "(normal data, 128 products); 3200 sums of int8 exact; wgmma in blocks of 8 that keep 26 bits, within what is counted")  # fmt: skip
        self.assertEqual(self.entry["units"], {**FOUND, "wgmma": SEEN})
        self.assertRegex(self.check(json.dumps(FOUND), wgmma='{"absent": "8.9 has none"}'), "; without wgmma: 8.9 has none$")
        self.assertRegex(self.check(json.dumps(FOUND), wgmma="Killed"), "; without wgmma: unit_sums.py ended with status 0: Killed$")
        with self.assertRaisesRegex(Failed, "as is counted on: wgmma: blocks of 2$"):
            self.check(json.dumps(FOUND), wgmma=json.dumps({**SEEN, "broken": ["blocks of 2"]}))
        self.assertIn("- wgmma: blocks of 2", record._units(self.entry, False))
        with self.assertRaisesRegex(Failed, "the units do not sum as is counted on: lost; and found"):
            self.check(json.dumps({**FOUND, "broken": ["lost", "and found"]}))
        self.assertIn("units", self.entry)
        with self.assertRaisesRegex(Failed, "cuModuleLoadData: CUresult 218"):
            self.check('{"failed": "cuModuleLoadData: CUresult 218"}')
        with self.assertRaisesRegex(Absent, "7.5 has no TF32"):
            self.check('{"absent": "a GPU of compute capability 7.5 has no TF32"}')
        with self.assertRaisesRegex(Failed, "status 0: Killed"):
            self.check("Killed")
        with self.assertRaises(CutShort):
            self.check("", True)
        self.here.build.tool("unit_sums.ptx").unlink()
        with self.assertRaisesRegex(Absent, "was not brought along"):
            self.check("")

    def test_a_unit_that_loses_too_much_fails_the_phase(self):
        units_of_model = StandInUnits(model(kept=22))
        units_of_model.assumed = lambda: ASSUMED
        for name, value in (("Units", lambda *_: units_of_model), ("LENGTHS", ((8, 1),)), ("INT8_LENGTHS", ((32, 1),))):
            self.addCleanup(setattr, unit_sums, name, getattr(unit_sums, name))
            setattr(unit_sums, name, value)
        with self.assertRaisesRegex(Failed, "blocks of 4 products that keep 22 bits lose .*; sums of 8 products of tails data are"):
            self.check(json.dumps(unit_sums.of_mma(None, self.folder)))

    def test_the_emulated_unit_loses_what_is_counted_and_no_more(self):
        # The checked one also finds races of the kernels.
        folder, ptx = RELEASE / "simt_checked" / "cuda", RELEASE / "prove" / "unit_sums.ptx"
        if not (folder / "libcuda.so.1").exists() or not ptx.exists():
            self.skipTest("the emulated driver or the kernels are not built here")
        for name in ("unit_sums.ptx", "unit_sums_90a.ptx"):
            self.here.build.tool(name).write_bytes(ptx.with_name(name).read_bytes())
        self.here.environment = {"LD_LIBRARY_PATH": str(folder)}
        entry = {}
        self.assertRegex(units.check(self.here, entry, 120), "^TF32 in blocks of 4 that keep 24 bits, the sum rounded towards zero; .* sums of int8 exact; wgmma in blocks of 4 that keep 24 bits, within what is counted$")
        self.assertEqual(entry["units"]["assumed"], vars(ASSUMED))
        self.assertEqual(entry["units"]["mma"]["seen"], entry["units"]["wgmma"]["seen"])
        most = max(of["greatest_u"] / of["counted_u"] for of in entry["units"]["mma"]["sums"])
        self.assertTrue(0.2 < most <= 1, most)
