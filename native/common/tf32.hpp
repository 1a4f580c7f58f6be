// SPDX-License-Identifier: Apache-2.0
// TF32: f32 with 10 bits of fraction instead of 23, as matrix units multiply it. What becomes of the sums is
// not documented. Published measurements (Fasi, Higham, Mikaitis, Pranesh, "Numerical behavior of NVIDIA
// tensor cores", PeerJ CS 7:e330, 2021; Khattak, Mikaitis, arXiv:2512.07004, 2025) agree on the form:
// products are exact; a block of products and the accumulator are shifted to the largest exponent among them,
// cut off there, and added; the sum is cut off to f32. They find blocks of 4 products on Ampere and Ada and
// of 8 on Hopper, and 25 bits kept on the former, 26 on the latter. The worst of each and a bit to spare
// stand here, for the bound and for the emulated unit alike.
#pragma once

namespace nearfield {

inline constexpr int kTf32DroppedBits = 13;  // of an operand's 32
inline constexpr int kTf32Block = 4;         // products that are added to the accumulator at once
// Of each term, counted from the leading bit of the largest one: a term loses less than 2^(1 - kTf32KeptBits)
// times the largest power of two that is not above the largest term.
inline constexpr int kTf32KeptBits = 24;

}  // namespace nearfield
