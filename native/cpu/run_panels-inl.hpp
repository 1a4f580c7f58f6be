// SPDX-License-Identifier: Apache-2.0
// Queries of one term over a run of groups: RunTile. Included by codes.cpp once for each unit, after
// product_test-inl.hpp (no include guard on purpose).

template <bool Beta>
class RunPanel {
  static constexpr int64_t kLanes = hn::MaxLanes(D());
  static constexpr int kRowVectors = static_cast<int>(kGroupRows / kLanes);
  static_assert(kUnitQueries <= kMostRunQueries);

 public:
  explicit RunPanel(RunTile& tile)
      : tile_(tile),
        shape_(*tile.shape),
        chunks_(shape_.level_dims / kChunkFloats),
        level_bytes_(shape_.level_dims * kGroupRows),
        side_words_((Beta ? 4 : 3) * kGroupRows) {}

  void run() {
    for (int64_t g = 0; g < tile_.groups; ++g) {
      const uint32_t* const wanted = tile_.wanted + g * tile_.count;
      uint32_t any = 0;
      for (int32_t q = 0; q < tile_.count; ++q) any |= wanted[q];
      if (any != 0) {
        group(g, wanted, tile_.kept + g * tile_.count);
        continue;
      }
      for (int32_t q = 0; q < tile_.count; ++q) tile_.kept[g * tile_.count + q] = 0;
    }
  }

 private:
  // As far ahead as levels-inl.hpp reads.
  static constexpr int64_t kAhead = 20;

  HWY_INLINE void group(int64_t g, const uint32_t* wanted, uint32_t* kept) {
    const int64_t ahead = g + kAhead;
    if (ahead < tile_.readable)
      prefetch(tile_.first, ahead, tile_.ahead_levels);
    else if (ahead - tile_.readable < tile_.next_groups)
      prefetch(tile_.next, ahead - tile_.readable, tile_.next_levels);
    const TestedRows<Beta> rows(shape_, tile_.first.sides + g * side_words_, tile_.dot, tile_.shrink,
                                tile_.widen);
    HWY_ALIGN int32_t sums[kUnitQueries][kGroupRows];
    for (int v = 0; v < kRowVectors; v += kUnitVectors) product<kUnitQueries>(g, v, &sums[0][0]);
    const bool whole = tile_.levels == shape_.levels;
    const auto tested = rows.load(whole ? nullptr : tails_after(g, tile_.levels));
    // Without a branch, which nothing foresees; those that go on come behind.
    uint32_t going = 0;
    for (int32_t q = 0; q < tile_.count; ++q) {
      const RunQuery& query = tile_.queries[q];
      kept[q] = wanted[q] & (tested.kept(query.test, sums[q], twice(query.first_tail)) | rows.always());
      tile_.visits += wanted[q] != 0 ? 1 : 0;
      going |= (kept[q] != 0 ? 1u : 0u) << q;
    }
    for (; going != 0; going &= going - 1) {
      const int q = std::countr_zero(going);
      int32_t* const dots = tile_.dots + (g * tile_.count + q) * kGroupRows;
      if (whole) {
        std::memcpy(dots, sums[q], sizeof(sums[q]));
        continue;
      }
      ++tile_.longer;
      kept[q] = go_on(rows, g, tile_.queries[q], kept[q], sums[q], dots);
    }
  }

  // Twice, but for dot: so is the product of what has been seen (ProductTest).
  HWY_INLINE float twice(float tail) const { return tile_.dot ? tail : 2 * tail; }
  HWY_INLINE const uint8_t* tails_after(int64_t g, int64_t levels) const {
    return tile_.first.tails + (levels - 1) * tile_.first.tail_stride + g * kGroupRows;
  }

  HWY_INLINE void prefetch(const CodedGroup& from, int64_t g, int64_t levels) const {
    const auto* sides = reinterpret_cast<const uint8_t*>(from.sides + g * side_words_);
    for (int64_t line = 0; line < side_words_ * 2; line += kCacheLine) __builtin_prefetch(sides + line, 0, 2);
    const uint8_t* codes = from.codes + g * level_bytes_;
    const uint8_t* tails = from.tails + g * kGroupRows;
    int64_t tested = tile_.levels;  // then twice as many, and so on
    for (int64_t level = 1; level <= levels; ++level, codes += from.level_stride, tails += from.tail_stride) {
      for (int64_t line = 0; line < level_bytes_; line += kCacheLine) __builtin_prefetch(codes + line, 0, 2);
      if (level != tested || level == shape_.levels) continue;
      __builtin_prefetch(tails, 0, 2);
      tested *= 2;
    }
  }

  template <int Q>
  HWY_INLINE void product(int64_t g, int from, int32_t* sums) {
    if constexpr (Q > 1) {
      if (tile_.count < Q) return product<Q - 1>(g, from, sums);
    }
    product_of<Q>(g, from, sums);
  }

  template <int Q>
  HWY_NOINLINE void product_of(int64_t g, int from, int32_t* out) {
    const DI di;
    VI sums[Q][kUnitVectors];
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      NF_UNROLL
      for (int v = 0; v < kUnitVectors; ++v)
        sums[q][v] = hn::Set(di, U::kBiased ? -tile_.queries[q].first_bias : 0);
    }
    const uint8_t* level_codes = tile_.first.codes + g * level_bytes_ + from * kLanes * 4;
    const int8_t* panel = tile_.panel;
    for (int64_t level = 0; level < tile_.levels; ++level, level_codes += tile_.first.level_stride) {
      const uint8_t* codes = level_codes;
      for (int64_t chunk = 0; chunk < chunks_; ++chunk, codes += kChunkStride, panel += Q * 4) {
        typename U::Rows rows[kUnitVectors];
        NF_UNROLL
        for (int v = 0; v < kUnitVectors; ++v) rows[v] = U::load(codes + v * kLanes * 4);
        NF_UNROLL
        for (int q = 0; q < Q; ++q) {
          NF_UNROLL
          for (int v = 0; v < kUnitVectors; ++v) sums[q][v] = U::add(sums[q][v], rows[v], panel + q * 4);
        }
      }
    }
    NF_UNROLL
    for (int q = 0; q < Q; ++q) {
      NF_UNROLL
      for (int v = 0; v < kUnitVectors; ++v)
        hn::Store(sums[q][v], di, out + q * kGroupRows + (from + v) * kLanes);
    }
  }

  // The rest of a group for one query.
  HWY_NOINLINE uint32_t go_on(const TestedRows<Beta>& rows, int64_t g, const RunQuery& query, uint32_t alive,
                              const int32_t* seen, int32_t* out) {
    const DI di;
    // An even and an odd chunk at a time, where registers suffice: one chain would wait for each sum.
    constexpr int kChains = kRowVectors <= 2 ? 2 : 1;
    VI sums[kChains][kRowVectors];
    NF_UNROLL
    for (int v = 0; v < kRowVectors; ++v) {
      sums[0][v] = hn::Load(di, seen + v * kLanes);
      if constexpr (kChains == 2) sums[1][v] = hn::Zero(di);
    }
    int64_t level = tile_.levels;
    const uint8_t* level_codes = tile_.first.codes + level * tile_.first.level_stride + g * level_bytes_;
    const int8_t* at = query.codes + level * shape_.level_dims;
    for (;;) {
      const int64_t end = std::min(2 * level, shape_.levels);
      tile_.levels_read += end - level;
      for (; level < end; ++level, level_codes += tile_.first.level_stride)
        for (const uint8_t* codes = level_codes; codes != level_codes + level_bytes_;
             codes += kChains * kChunkStride, at += kChains * kChunkFloats) {
          NF_UNROLL
          for (int c = 0; c < kChains; ++c) {
            NF_UNROLL
            for (int v = 0; v < kRowVectors; ++v)
              sums[c][v] = U::add(sums[c][v], U::load(codes + c * kChunkStride + v * kLanes * 4),
                                  at + c * kChunkFloats);
          }
        }
      const bool last = level == shape_.levels;
      const int32_t bias = U::kBiased ? query.bias[2 * (level - 1)] - query.first_bias : 0;
      NF_UNROLL
      for (int v = 0; v < kRowVectors; ++v) {
        VI sum = sums[0][v];
        if constexpr (kChains == 2) sum = hn::Add(sum, sums[1][v]);
        hn::StoreU(hn::Sub(sum, hn::Set(di, bias)), di, out + v * kLanes);
      }
      const auto tested = rows.load(last ? nullptr : tails_after(g, level));
      alive &= tested.kept(query.test, out, last ? 0 : twice(query.tails[level - 1])) | rows.always();
      if (alive == 0 || last) return alive;
    }
  }

  using U = Unit;
  RunTile& tile_;
  const CodeShape& shape_;
  const int64_t chunks_, level_bytes_, side_words_;
};

inline void run_panels(RunTile& tile) {
  if (tile.shape->has_beta)
    RunPanel<true>(tile).run();
  else
    RunPanel<false>(tile).run();
}
