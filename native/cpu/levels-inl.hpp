// SPDX-License-Identifier: Apache-2.0
// One query over a run of groups, level by level: a group is left after the first level at which none of its
// rows can be wanted any more. Included by codes.cpp once for each unit (no include guard on purpose).

// What the test needs of a group's rows, a vector of them.
struct SideVector {
  HWY_INLINE SideVector() {}  // an implicit one gets none of the attributes from gcc
  hn::Vec<D> scale, norm, error, per_tail;
  hn::Mask<D> always;
};

HWY_INLINE hn::Vec<D> from_u16(const uint16_t* from) {
  const hn::Rebind<uint16_t, D> d16;
  return hn::ConvertTo(D(), hn::PromoteTo(DI(), hn::LoadU(d16, from)));
}

HWY_INLINE SideVector load_side(const CodeShape& shape, const uint16_t* sides, int64_t row) {
  const D d;
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> du;
  SideVector side;
  side.scale = hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, sides + row))));
  side.norm = hn::Mul(hn::Mul(from_u16(sides + kGroupRows + row), hn::Set(d, shape.norm_unit)), side.scale);
  const auto error = from_u16(sides + 2 * kGroupRows + row);
  side.always = hn::Eq(error, hn::Set(d, static_cast<float>(kAlwaysKeep)));
  side.error = hn::Mul(hn::Mul(error, hn::Set(d, shape.error_unit)), side.scale);
  side.per_tail = hn::Mul(side.norm, hn::Set(d, 1.0f / kTailUnits));
  return side;
}

// What a group ahead is expected to take: the levels after the first are jumped to, which no hardware
// foresees, and of the first and of the side values it foresees too little (1M x 128: a third of the time was
// spent waiting for them).
HWY_INLINE void prefetch_group(const LevelTile& tile, int64_t group, int64_t level_bytes, int64_t side_bytes,
                               int64_t levels) {
  const auto* sides = reinterpret_cast<const uint8_t*>(tile.first.sides) + group * side_bytes;
  for (int64_t line = 0; line < side_bytes; line += kCacheLine) __builtin_prefetch(sides + line, 0, 2);
  const uint8_t* codes = tile.first.codes + group * level_bytes;
  const uint8_t* tails = tile.first.tails + group * kGroupRows;
  for (int64_t level = 0; level < levels; ++level) {
    for (int64_t line = 0; line < level_bytes; line += kCacheLine) __builtin_prefetch(codes + line, 0, 2);
    if (level + 1 < tile.shape->levels) __builtin_prefetch(tails, 0, 2);
    codes += tile.first.level_stride;
    tails += tile.first.tail_stride;
  }
}

// `Chunks` of a level.
template <bool Dot, int Chunks>
HWY_INLINE void levels_of_run(LevelTile& tile) {
  const D d;
  const DI di;
  constexpr int64_t lanes = hn::MaxLanes(d);
  constexpr int kRowVectors = static_cast<int>(kGroupRows / lanes);
  const CodeShape& shape = *tile.shape;
  constexpr int64_t level_bytes = Chunks * kChunkStride;
  // Groups ahead are asked for as many levels as those before took, and a group is tested from three quarters
  // of that on: where all of them are read far, most tests would be in vain.
  constexpr int64_t kAhead = 20;  // 500,000 x 128 isotropic, one thread: 4.4 ms with 8, 3.9 with 20
  int64_t expected = tile.expected;
  const int64_t side_words = (shape.has_beta ? 4 : 3) * kGroupRows;
  const auto infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  const auto scale_a = hn::Set(d, tile.scale_a), scale_b = hn::Set(d, tile.scale_b);

  for (int64_t g = 0; g < tile.groups; ++g) {
    uint32_t alive = tile.wanted[g];
    tile.kept[g] = 0;
    if (alive == 0) continue;
    prefetch_group(tile, g + kAhead, level_bytes, side_words * 2, std::max<int64_t>(1, expected / 4));
    const uint16_t* sides = tile.first.sides + g * side_words;
    hn::Vec<D> scale[kRowVectors], per_tail[kRowVectors], length[kRowVectors], most[kRowVectors];
    NF_UNROLL
    for (int v = 0; v < kRowVectors; ++v) {
      const SideVector side = load_side(shape, sides, v * lanes);
      scale[v] = side.scale;
      per_tail[v] = side.per_tail;
      if constexpr (Dot) {
        const auto slack = hn::MulAdd(side.error, hn::Set(d, tile.test.per_error),
                                      hn::Mul(side.norm, hn::Set(d, tile.test.per_norm)));
        most[v] = hn::Add(hn::Set(d, tile.test.base), slack);
      } else {
        auto reach = hn::Set(d, tile.test.base);
        if (shape.has_beta) {
          const auto beta = hn::Mul(from_u16(sides + 3 * kGroupRows + v * lanes), hn::Set(d, kBetaUnit));
          reach = hn::MulAdd(beta, hn::Set(d, tile.test.gain), reach);
        }
        reach = hn::Add(reach, side.error);
        most[v] = hn::Mul(hn::Mul(reach, reach), hn::Set(d, tile.test.widen));
        length[v] = hn::MulAdd(hn::Mul(side.norm, side.norm), hn::Set(d, tile.test.shrink),
                               hn::Set(d, tile.test.query));
      }
      most[v] = hn::IfThenElse(side.always, infinity, most[v]);
    }

    VI a[kRowVectors], b[kRowVectors];
    NF_UNROLL
    for (int v = 0; v < kRowVectors; ++v) a[v] = b[v] = hn::Zero(di);
    const uint8_t* codes = tile.first.codes + g * level_bytes;
    const uint8_t* tails = tile.first.tails + g * kGroupRows;
    const int64_t untested = expected * 3 / 16;
    int64_t level = 0;
    for (;;) {
      const int8_t* query_a = tile.a + level * Chunks * kChunkFloats;
      const int8_t* query_b = tile.b + level * Chunks * kChunkFloats;
      NF_UNROLL
      for (int chunk = 0; chunk < Chunks; ++chunk) {
        NF_UNROLL
        for (int v = 0; v < kRowVectors; ++v) {
          const auto rows = Unit::load(codes + chunk * kChunkStride + v * lanes * 4);
          a[v] = Unit::add(a[v], rows, query_a + chunk * kChunkFloats);
          b[v] = Unit::add(b[v], rows, query_b + chunk * kChunkFloats);
        }
      }
      const bool last = level + 1 == shape.levels;
      if (level + 1 < untested && !last) {
        ++level;
        codes += tile.first.level_stride;
        continue;
      }
      uint32_t within = 0;
      NF_UNROLL
      for (int v = 0; v < kRowVectors; ++v) {
        auto seen_a = a[v], seen_b = b[v];
        if constexpr (Unit::kBiased) {
          seen_a = hn::Sub(seen_a, hn::Set(di, tile.bias[2 * level]));
          seen_b = hn::Sub(seen_b, hn::Set(di, tile.bias[2 * level + 1]));
        }
        const auto dots =
            hn::MulAdd(hn::ConvertTo(d, seen_b), scale_b, hn::Mul(hn::ConvertTo(d, seen_a), scale_a));
        auto z = hn::Mul(dots, scale[v]);
        if (!last) {
          const hn::Rebind<uint8_t, D> d8;
          const auto tail = hn::ConvertTo(
              d, hn::PromoteTo(di, hn::LoadU(d8, tails + level * tile.first.tail_stride + v * lanes)));
          z = hn::MulAdd(hn::Mul(tail, per_tail[v]), hn::Set(d, tile.tails[level]), z);
        }
        hn::Vec<D> left;
        if constexpr (Dot)
          left = hn::Neg(z);
        else
          left = hn::NegMulAdd(hn::Set(d, 2.0f), z, length[v]);
        within |= bits_of(d, hn::Le(left, most[v])) << (v * lanes);
        if (last && tile.values != nullptr) hn::StoreU(left, d, tile.values + g * kGroupRows + v * lanes);
      }
      alive &= within;
      ++level;
      if (alive == 0 || last) break;
      codes += tile.first.level_stride;
    }
    tile.levels_read += level;
    expected = (3 * expected + 4 * level + 2) / 4;
    tile.kept[g] = alive;
  }
  tile.expected = expected;
}

template <bool Dot>
HWY_INLINE void levels_of_size(LevelTile& tile) {
  switch (tile.shape->level_dims) {
    case 8:
      return levels_of_run<Dot, 2>(tile);
    case 16:
      return levels_of_run<Dot, 4>(tile);
    default:
      return levels_of_run<Dot, 8>(tile);
  }
}

inline void levels(LevelTile& tile) {
  if (tile.dot)
    levels_of_size<true>(tile);
  else
    levels_of_size<false>(tile);
}
