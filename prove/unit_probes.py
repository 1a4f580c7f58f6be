# SPDX-License-Identifier: Apache-2.0
"""What the sums of the matrix units lose, from planted operands and random ones. native/common/tf32.hpp has the form that is looked for:
a block of products and the sum so far are shifted to the largest among them, cut off there, and added.

A unit is a function of chains, (a, b, before) each, that answers with all 128 sums of a tile whose rows are all `a` and whose columns are all `b`."""

from __future__ import annotations

import math
import random
import struct
from dataclasses import dataclass
from operator import mul
from typing import Callable

DEPTH = 8  # products of TF32 that one instruction adds
U = 2.0**-24  # half a unit in the last place of f32, relative
HUGE = 2.0**40  # beside it, 1 is below every bit that a sum can keep
LARGEST = ((1.0, 1.0), (1.5, 1.5), (2 - 2.0**-10, 2 - 2.0**-10))  # factors of the largest term: its leading bit is 1 or 2
MOST_BITS = 40  # looked for

Chain = tuple[list[float], list[float], float]
Unit = Callable[[list[Chain]], list[list[float]]]


@dataclass(frozen=True)
class Assumed:
    """native/common/tf32.hpp, and what native/gpu/tf32_bounds.hpp makes of it."""

    dropped_bits: int
    block: int
    kept_bits: int

    def block_loss(self) -> float:
        """Of a block, as a share of the magnitudes: each product, the sum so far and the new sum."""
        return (self.block + 2) * 2.0 ** (1 - self.kept_bits)

    def allowed(self, products: int) -> float:
        """Of a chain, as a share of the sum of the magnitudes."""
        loss = -(-products // self.block) * self.block_loss()
        return loss / (1 - loss)


def seen_loss(block: int, kept_bits: int) -> float:
    """Of a block of a unit that was looked at; the new sum is cut off to f32, however many bits its terms keep."""
    return (block + 1) * 2.0 ** (1 - kept_bits) + 2 * U


def f32(value: float) -> float:
    return struct.unpack("<f", struct.pack("<f", value))[0]


def bits(value: float) -> int:
    return struct.unpack("<I", struct.pack("<f", value))[0]


def cut(value: float, dropped: int) -> float:
    """An f32 without its low bits, as the unit reads an operand."""
    return struct.unpack("<f", struct.pack("<I", bits(value) >> dropped << dropped))[0]


def lost(chain: Chain, sum_: float) -> tuple[float, float]:
    """The error of a sum, exact, and the sum of the magnitudes. Products of 11 by 11 bits are exact in f64."""
    a, b, before = chain
    products = list(map(mul, a, b))
    return abs(math.fsum([sum_, -before, *(-p for p in products)])), math.fsum([abs(before), *map(abs, products)])


def chain(places: dict[int, float], before: float = 0.0) -> Chain:
    """One instruction's, with these products."""
    return [places.get(i, 0.0) for i in range(DEPTH)], [1.0] * DEPTH, before


def first_block(unit: Unit) -> list[int]:
    """The places along k of the products that are added first, together with the sum so far: where that is huge and a product takes it
    away, all others of the block are lost and all later ones are not. Another order of the eight than 0 to 7 is found, too."""
    places, others = range(DEPTH), range(DEPTH - 1)
    tiles = unit([chain({i: -HUGE, (i + 1 + j) % DEPTH: 1.0}, HUGE) for i in places for j in others])
    lost_with = {i: [i] + [(i + 1 + j) % DEPTH for j in others if tiles[i * len(others) + j][0] == 0] for i in places}
    return sorted(min(lost_with.values(), key=len))


def kept_bits(unit: Unit, block: list[int]) -> int:
    """From the leading bit of the largest term on: the last bit that outlives it, of the worst of all roles in the block."""
    worst = MOST_BITS if len(block) > 1 else 24  # one product alone: the sum in f32
    for left, right in LARGEST:
        largest = left * right
        leading = 2.0 ** math.floor(math.log2(largest))
        roles = [(other, small, True) for other in block for small in block if small != other]
        roles += [(other, small, False) for other in block[1:] for small in block[1:] if small != other]  # block[0] has the largest
        smalls = [leading * 2.0 ** (1 - kept) for kept in range(2, MOST_BITS + 1)]
        for other, place, is_sum in roles:
            chains = []
            for small in smalls:
                a, b, before = chain({place: small}, largest if is_sum else 0.0)
                a[other], b[other] = -left, right
                if not is_sum:
                    a[block[0]], b[block[0]] = left, right
                chains.append((a, b, before))
            outlived = [tile[0] == small for tile, small in zip(unit(chains), smalls)]
            worst = min(worst, 1 + (outlived + [False]).index(False))
    return worst


def rounding(unit: Unit) -> str:
    """Of the sum to f32: of 1 and 1.75 units in its last place, of either sign."""
    found = {abs(tile[0]) for tile in unit([chain({0: sign * 1.75 * 2.0**-23}, sign) for sign in (1.0, -1.0)])}
    return {(1 + 2.0**-23,): "towards zero", (1 + 2.0**-22,): "to the nearest"}.get(tuple(found), "otherwise")


def planted(unit: Unit, assumed: Assumed, seed: int) -> tuple[dict, list[str]]:
    """What is seen, for the record; and a sentence for each thing that the certificate counts on and the unit does not do."""
    source, broken = random.Random(seed), []
    block = first_block(unit)
    kept = kept_bits(unit, block)
    seen = {"block": len(block), "kept_bits": kept, "sum_rounded": rounding(unit)}
    # By the product, as the bound counts it.
    loss = seen_loss(len(block), kept) / len(block)
    counted = assumed.block_loss() / assumed.block
    if loss > counted:
        broken.append(f"blocks of {len(block)} products that keep {kept} bits lose {loss / U:.3g} u a product, {counted / U:.3g} u are counted")

    whole = [([f32(source.gauss(0, 1)) for _ in range(DEPTH)], [f32(source.gauss(0, 1)) for _ in range(DEPTH)], 0.0) for _ in range(64)]
    shorter = [([cut(x, assumed.dropped_bits) for x in a], [cut(y, assumed.dropped_bits) for y in b], before) for a, b, before in whole]
    tiles, others = unit(whole), unit(shorter)
    unlike = sum(any(bits(sum_) != bits(tile[0]) for sum_ in tile) for tile in tiles)
    if unlike:
        broken.append(f"{unlike} of {len(tiles)} chains have other sums in other lanes")
    differ = sum(bits(one[0]) != bits(other[0]) for one, other in zip(tiles, others))
    if differ:
        broken.append(f"the low {assumed.dropped_bits} bits of operands are not ignored: {differ} of {len(tiles)} sums differ")

    factors = [(2 - 2.0**-10, 2 - 2.0**-10)] + [(source.randrange(1024, 2048) / 1024, source.randrange(-2047, -1023) / 1024) for _ in range(63)]
    singles = []
    for number, (left, right) in enumerate(factors):
        a, b, before = chain({})
        a[number % DEPTH], b[number % DEPTH] = left, right
        singles.append((a, b, before))
    inexact = sum(tile[0] != left * right for tile, (left, right) in zip(unit(singles), factors))
    if inexact:
        broken.append(f"{inexact} of {len(factors)} single products are not exact")

    ((subnormal, *_),) = unit([([2.0**-130] + [0.0] * 7, [2.0**10] * DEPTH, 0.0)])
    seen["subnormal_operands"] = "kept" if subnormal == 2.0**-120 else "taken for 0" if subnormal == 0 else "otherwise"
    return seen, broken


def short(value: float) -> float:
    """To the nearest of 11 bits."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(mantissa * 2048) / 2048, exponent)


def row(kind: str, products: int, source: random.Random, is_left: bool) -> list[float]:
    """Elements of TF32. Of `cancelling` the second half undoes the first, of `tails` all but the first are below most bits of it."""
    normal = [short(source.gauss(0, 1)) for _ in range(products)]
    if kind == "positive":
        return list(map(abs, normal))
    if kind == "magnitudes":
        return [x * 2.0 ** source.randrange(-20, 21) for x in normal]
    if kind == "cancelling":
        half = normal[: products // 2]
        return half + [-x if is_left else x for x in half]
    if kind == "tails":
        tail = (2 - 2.0**-10) * 2.0 ** -(source.randrange(22, 28) if is_left else 0)
        return [1.0] + [tail if is_left else 1.0] * (products - 1)
    return normal


KINDS = ("normal", "positive", "cancelling", "magnitudes", "tails")


def greatest(kind: str, products: int, tiles: list[tuple[list, list, list]], sums: list[list[float]], assumed: Assumed) -> dict:
    """Of tiles of 16 rows by 8 columns: the greatest error in u of the sum of magnitudes, beside what the certificate counts."""
    most = 0.0
    for (rows, columns, before), found in zip(tiles, sums):
        for i, a in enumerate(rows):
            for j, b in enumerate(columns):
                at = i * len(columns) + j
                error, magnitudes = lost((a, b, before[at]), found[at])
                most = max(most, error / magnitudes if magnitudes else math.inf if error else 0.0)
    return {"data": kind, "products": products, "sums": sum(map(len, sums)), "greatest_u": round(most / U, 3), "counted_u": round(assumed.allowed(products) / U, 3)}
