// SPDX-License-Identifier: Apache-2.0
// Gives the words that metal_dialect.hpp took back to C++. No include guard: it may be needed several times.
#undef device
#undef constant
#undef thread
#undef threadgroup
