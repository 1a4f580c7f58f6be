// SPDX-License-Identifier: Apache-2.0
// Many queries of one term against one group by the matrix unit of AMX (tiles.hpp), then the test
// (ProductTest). A tile of sums is 16 queries by 16 rows. Packed codes are its second operand as they lie: 16
// chunks of 4 dimensions, each of 16 rows, one every 128 bytes. Included by codes.cpp once, after
// product_test-inl.hpp (no include guard on purpose).

// Four tiles of sums, two of queries and two of rows: a tile that is loaded is multiplied twice, and a
// product takes as long as two loads.
enum Tile { kSums = 0, kQueries = 4, kRows = 6, kTiles = 8 };

inline void configure_tiles() {
  TileConfig config;
  for (int tile = 0; tile < kTiles; ++tile) {
    config.row_bytes[tile] = kTileBytes;
    config.rows[tile] = kTileRows;
  }
  ldtilecfg(config);
}

template <bool Beta>
class CodedTiles {
 public:
  explicit CodedTiles(const CodedProductTile& tile)
      : tile_(tile),
        steps_(packed_dims(kTileDims, tile.shape->coded_dim()) / kTileDims),
        stride_(query_stride(kTileDims, tile.shape->coded_dim())),
        rows_(tile) {}

  void run() {
    const int32_t queries = tile_.panel_count * tile_.panel_queries + tile_.wider_panels;
    int32_t first = 0;
    for (; queries - first > kTileRows; first += 2 * kTileRows) block<2>(first, queries);
    if (first < queries) block<1>(first, queries);
  }

 private:
  static constexpr int64_t kLanes = TestedRows<Beta>::kLanes;
  static constexpr int64_t kSumStride = kGroupRows * sizeof(int32_t);
  static_assert(kGroupRows == 2 * kTileRows && kTileQueries == kTileRows && kTileDims == kTileBytes);

  // `Panels` of 16 queries; what the last one has beyond `queries` is zero or another part's, and left alone.
  template <int Panels>
  HWY_INLINE void block(int32_t first, int32_t queries) {
    HWY_ALIGN int32_t sums[Panels * kTileRows][kGroupRows];
    dots<Panels>(first, &sums[0][0]);
    const DI di;
    const int32_t end = std::min(queries - first, Panels * kTileRows);
    for (int32_t q = 0; q < end; ++q) {
      const ProductTest& test = tile_.tests[first + q];
      const VI bias = hn::Set(di, tile_.bias[first + q]);
      uint32_t kept = rows_.always();
      NF_UNROLL
      for (int64_t row = 0; row < kGroupRows; row += kLanes)
        kept |= rows_.kept(test, hn::Sub(hn::Load(di, sums[q] + row), bias), row) << row;
      tile_.kept[first + q] = kept;
    }
  }

  template <int Panels>
  HWY_INLINE void dots(int32_t first, int32_t* sums) {
    tilezero<kSums>();
    tilezero<kSums + 1>();
    if constexpr (Panels == 2) {
      tilezero<kSums + 2>();
      tilezero<kSums + 3>();
    }
    const uint8_t* codes = tile_.codes;
    const int8_t* query = tile_.panels + first * stride_;
    for (int64_t step = 0; step < steps_; ++step, codes += kTileDims * kGroupRows, query += kTileDims) {
      tileloadd<kRows>(codes, kChunkStride);
      tileloadd<kQueries>(query, stride_);
      tdpbsud<kSums, kQueries, kRows>();
      tileloadd<kRows + 1>(codes + kTileBytes, kChunkStride);
      tdpbsud<kSums + 1, kQueries, kRows + 1>();
      if constexpr (Panels == 2) {
        tileloadd<kQueries + 1>(query + kTileRows * stride_, stride_);
        tdpbsud<kSums + 2, kQueries + 1, kRows>();
        tdpbsud<kSums + 3, kQueries + 1, kRows + 1>();
      }
    }
    tilestored<kSums>(sums, kSumStride);
    tilestored<kSums + 1>(sums + kTileRows, kSumStride);
    if constexpr (Panels == 2) {
      int32_t* const second = sums + kTileRows * kGroupRows;
      tilestored<kSums + 2>(second, kSumStride);
      tilestored<kSums + 3>(second + kTileRows, kSumStride);
    }
  }

  const CodedProductTile& tile_;
  const int64_t steps_, stride_;
  const TestedRows<Beta> rows_;
};

inline void coded_product_by_tiles(const CodedProductTile& tile) {
  if (tile.shape->has_beta)
    CodedTiles<true>(tile).run();
  else
    CodedTiles<false>(tile).run();
}

// All else is the work of `kernels`.
constexpr CodeKernels with_tiles(CodeKernels kernels, const char* name, bool (*supported)()) {
  kernels.name = name;
  kernels.supported = supported;
  kernels.packed_dims = kTileDims;
  kernels.product = &coded_product_by_tiles;
  kernels.begin = &configure_tiles;
  kernels.end = &tilerelease;
  return kernels;
}
