// SPDX-License-Identifier: Apache-2.0
// The product of codes by every unit that runs here, or that something stands in for (stand_ins.hpp), against
// sums made one by one.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <random>

#include "aligned_floats.hpp"
#include "check.hpp"
#include "code_kernels.hpp"
#include "code_layout.hpp"
#include "kernels.hpp"
#include "tiles.hpp"

namespace nearfield::cpu::test {
namespace {

constexpr uint32_t kUntouched = 0xdeadbeef;
enum class Codes { kRandom, kLargest, kOpposite };  // in size and sign

struct Operands {
  int64_t dim;
  int32_t queries;
  std::vector<int8_t> rows;   // [32][dim], within +-127
  std::vector<int8_t> query;  // [queries][dim], likewise
  int32_t dot(int64_t q, int64_t row) const {
    int32_t sum = 0;
    for (int64_t i = 0; i < dim; ++i)
      sum += rows[static_cast<size_t>(row * dim + i)] * query[static_cast<size_t>(q * dim + i)];
    return sum;
  }
};

Operands make_operands(std::mt19937_64& random, int64_t dim, int32_t queries, Codes codes) {
  Operands o{dim, queries, std::vector<int8_t>(static_cast<size_t>(kGroupRows * dim)),
             std::vector<int8_t>(static_cast<size_t>(queries * dim))};
  for (std::vector<int8_t>* side : {&o.rows, &o.query})
    for (int8_t& code : *side)
      code = static_cast<int8_t>(codes == Codes::kRandom    ? static_cast<int64_t>(random() % 255) - 127
                                 : codes == Codes::kLargest ? 127
                                 : side == &o.query         ? -127
                                                            : 127);
  if (codes != Codes::kRandom)  // or all rows would be alike
    for (int64_t row = 0; row < kGroupRows; ++row)
      o.rows[static_cast<size_t>(row * dim + static_cast<int64_t>(random() % static_cast<uint64_t>(dim)))] =
          static_cast<int8_t>(-row);
  return o;
}

// Operands as a unit wants them (code_kernels.hpp), and what else its product asks for.
class Problem {
 public:
  Problem(const CodeKernels& kernels, const Operands& o, int64_t level_dims, std::mt19937_64& random,
          int64_t spare = 0)
      : kernels_(kernels),
        o_(o),
        panels_{o.queries, (o.queries + kernels.panel_queries - 1) / kernels.panel_queries} {
    shape.dim = o.dim;
    shape.level_dims = level_dims;
    shape.levels = (o.dim + level_dims - 1) / level_dims;
    const int64_t coded = shape.coded_dim(), side = kernels.packed_dims;
    // But for `spare`, nothing is behind the operands, so that a sanitizer sees what is read there; what
    // fills them up is noise.
    codes_.fit((packed_dims(side, coded) * kGroupRows + spare) / 4);
    const int64_t chunk = side == 8 ? 8 : 4;
    auto* codes = reinterpret_cast<uint8_t*>(codes_.get());
    for (int64_t i = 0; i < codes_.size() * 4; ++i) codes[i] = static_cast<uint8_t>(random());
    for (int64_t i = 0; i < coded; ++i)
      for (int64_t row = 0; row < kGroupRows; ++row)
        codes[(i / chunk * kGroupRows + row) * chunk + i % chunk] =
            static_cast<uint8_t>(kCodeBias + (i < o.dim ? o.rows[static_cast<size_t>(row * o.dim + i)] : 0));

    const bool tiles = side == kTileDims;
    const int64_t stride = query_stride(side, coded);
    queries_.fit((packed_bytes(side, coded, o.queries) + spare) / 4);
    auto* to = reinterpret_cast<int8_t*>(queries_.get());
    for (int64_t i = 0; i < queries_.size() * 4; ++i) to[i] = static_cast<int8_t>(random());
    const auto code = [&](int64_t q, int64_t i) {
      return i < o.dim ? o.query[static_cast<size_t>(q * o.dim + i)] : int8_t{0};
    };
    if (tiles) {
      for (int64_t q = 0; q < o.queries; ++q)
        for (int64_t i = 0; i < stride; ++i) to[q * stride + i] = code(q, i);
    } else {
      for (int64_t panel = 0; panel < panels_.count; ++panel)
        for (int64_t step = 0; step < coded; step += side)
          for (int64_t q = panels_.first_query(panel); q < panels_.first_query(panel + 1); ++q)
            for (int64_t i = step; i < step + side; ++i) *to++ = code(q, i);
    }
    for (int64_t q = 0; q < o.queries; ++q) {
      int32_t sum = 0;
      for (int64_t i = 0; i < o.dim; ++i) sum += code(q, i);
      bias.push_back(kCodeBias * sum);
    }
    sides.assign(static_cast<size_t>(4 * kGroupRows), 0);
    std::fill_n(sides.begin(), kGroupRows, uint16_t{0x3f80});  // 1, the upper half of an f32
    tests.assign(static_cast<size_t>(o.queries), {});
  }

  std::vector<uint32_t> run(int64_t codes_off = 0, int64_t queries_off = 0) {
    return run(panels_, 0, codes_off, queries_off);
  }
  // Of tiles, in which any query may be the first.
  std::vector<uint32_t> run_from(int64_t first) {
    return run({o_.queries - first, 1}, first, 0, first * query_stride(kTileDims, shape.coded_dim()));
  }

  CodeShape shape;
  std::vector<uint16_t> sides;
  std::vector<int32_t> bias;
  std::vector<ProductTest> tests;
  bool dot = false;

 private:
  std::vector<uint32_t> run(const Panels& panels, int64_t first, int64_t codes_off, int64_t queries_off) {
    std::vector<uint32_t> kept(static_cast<size_t>(panels.queries) + 1, kUntouched);
    CodedProductTile tile;
    tile.shape = &shape;
    tile.codes = reinterpret_cast<uint8_t*>(codes_.get()) + codes_off;
    tile.sides = sides.data();
    tile.panels = reinterpret_cast<int8_t*>(queries_.get()) + queries_off;
    tile.bias = bias.data() + first;
    tile.panel_count = static_cast<int32_t>(panels.count);
    tile.panel_queries = static_cast<int32_t>(panels.narrow());
    tile.wider_panels = static_cast<int32_t>(panels.wider());
    tile.tests = tests.data() + first;
    tile.dot = dot;
    tile.shrink = 1;
    tile.widen = 1;
    tile.kept = kept.data();
    const ProductWork work(kernels_);
    kernels_.product(tile);
    CHECK(kept.back() == kUntouched);
    kept.pop_back();
    return kept;
  }

  const CodeKernels& kernels_;
  const Operands& o_;
  const Panels panels_;
  AlignedFloats codes_, queries_;
};

// A test of nothing but "at least t", all in integers below 2^24: a row that is kept at t and not at t + 1
// has that sum. Asked at the sums of a few rows, of all rows and queries at once. Answers how many words
// differ.
int64_t wrong_words(const Operands& o, Problem& problem, std::mt19937_64& random, int64_t codes_off = 0,
                    int64_t queries_off = 0) {
  std::vector<int32_t> dots;
  for (int64_t q = 0; q < o.queries; ++q)
    for (int64_t row = 0; row < kGroupRows; ++row) dots.push_back(o.dot(q, row));
  int64_t wrong = 0;
  for (int i = 0; i < 6; ++i) {
    const uint64_t row = random() % kGroupRows;
    for (const int32_t more : {0, 1}) {
      std::vector<uint32_t> expected;
      for (size_t q = 0; q < problem.tests.size(); ++q) {
        const int32_t least = dots[q * kGroupRows + row] + more;
        problem.tests[q] = {};
        problem.tests[q].scale = 1;
        problem.tests[q].fixed = static_cast<float>(-least);
        uint32_t bits = 0;
        for (size_t r = 0; r < kGroupRows; ++r) bits |= (dots[q * kGroupRows + r] >= least ? 1u : 0u) << r;
        expected.push_back(bits);
      }
      const std::vector<uint32_t> kept = problem.run(codes_off, queries_off);
      for (size_t q = 0; q < kept.size(); ++q) wrong += kept[q] == expected[q] ? 0 : 1;
    }
  }
  return wrong;
}

void test_sums(uint64_t seed) {
  for (const CodeKernels* kernels : compiled_code_kernels()) {
    if (!kernels->supported()) {
      std::printf("unit %s: not on this CPU\n", kernels->name);
      continue;
    }
    std::mt19937_64 random(seed), noise(seed + 3);
    const int before = passed;
    const bool slow = std::string(kernels->name) == "emu128";
    for (int64_t dim = 1; dim <= 300; dim += 2)
      for (const Codes codes : {Codes::kRandom, Codes::kLargest, Codes::kOpposite})
        for (const int32_t queries :
             {1, 16, 17, 32, 48, 2 + static_cast<int32_t>(random() % 14),
              18 + static_cast<int32_t>(random() % 14), 33 + static_cast<int32_t>(random() % 15)}) {
          if (slow && queries > 17) continue;
          const Operands o = make_operands(random, dim, queries, codes);
          Problem problem(*kernels, o, std::array{8, 16, 32}[random() % 3], noise);
          CHECK_IN(std::string(kernels->name) + " dim " + std::to_string(dim) + " queries " +
                       std::to_string(queries) + " codes " + std::to_string(static_cast<int>(codes)),
                   wrong_words(o, problem, noise) == 0);
          if (kernels->packed_dims != kTileDims) continue;
          const std::vector<uint32_t> all = problem.run(), last = problem.run_from(queries - 1);
          CHECK(last.size() == 1 && last[0] == all.back());
        }
    std::printf("unit %s: %d checks\n", kernels->name, passed - before);
  }
}

// The rest of the test is floating-point: units with a fused multiply-add answer with the same bits.
void test_bits(uint64_t seed) {
  std::mt19937_64 random(seed + 1);
  std::vector<const CodeKernels*> units;
  for (const CodeKernels* kernels : compiled_code_kernels())
    if (kernels->supported() && std::string(kernels->name) != "emu128") units.push_back(kernels);
  if (units.size() < 2) std::printf("%zu units to compare\n", units.size());
  for (int round = 0; round < 300 && units.size() >= 2; ++round) {
    const auto queries = static_cast<int32_t>(1 + random() % 48);
    const Operands o =
        make_operands(random, static_cast<int64_t>(1 + random() % 300), queries, Codes::kRandom);
    const auto coin = [&] {
      return static_cast<float>(static_cast<int64_t>(random() % 2001) - 1000) * 0x1p-10f;
    };
    std::vector<uint16_t> sides;
    for (int64_t i = 0; i < kGroupRows; ++i) sides.push_back(static_cast<uint16_t>(0x3f00 + random() % 256));
    for (int64_t i = 0; i < 3 * kGroupRows; ++i)
      sides.push_back(random() % 40 == 0 ? kAlwaysKeep : static_cast<uint16_t>(random()));
    std::vector<ProductTest> tests;
    for (int32_t q = 0; q < queries; ++q)
      tests.push_back({coin(), coin(), coin(), 1000 * coin(), coin(), coin(), coin()});
    const bool beta = random() % 2 == 0, dot = random() % 2 == 0;
    std::vector<uint32_t> first;
    for (const CodeKernels* kernels : units) {
      std::mt19937_64 noise(seed);
      Problem problem(*kernels, o, 8, noise);
      problem.shape.has_beta = beta;
      problem.shape.norm_unit = norm_unit(problem.shape.coded_dim());
      problem.shape.error_unit = error_unit(problem.shape.coded_dim());
      problem.sides = sides;
      problem.tests = tests;
      problem.dot = dot;
      const std::vector<uint32_t> kept = problem.run();
      if (first.empty()) first = kept;
      CHECK_IN(std::string(kernels->name) + " and " + units[0]->name + ", round " + std::to_string(round),
               kept == first);
    }
  }
}

// What wrong_words() must see: operands from a row, a tile's row or a chunk further on, a query too far, and
// a bias that lacks a code.
void test_planted(uint64_t seed) {
  std::mt19937_64 random(seed + 2);
  const Operands o = make_operands(random, 250, 40, Codes::kRandom);
  for (const CodeKernels* kernels : compiled_code_kernels()) {
    if (!kernels->supported()) continue;
    const std::string name = kernels->name;
    constexpr int64_t spare = 1024;
    Problem problem(*kernels, o, 16, random, spare);
    CHECK_IN(name, wrong_words(o, problem, random) == 0);
    for (const int64_t off : {4, 8, kTileBytes, 128})
      CHECK_IN(name + " rows " + std::to_string(off), wrong_words(o, problem, random, off) > 0);
    for (const int64_t off : {4, 8, kTileBytes, 320})
      CHECK_IN(name + " queries " + std::to_string(off), wrong_words(o, problem, random, 0, off) > 0);
    problem.bias[7] += kCodeBias;
    const bool biased =
        name.find("vnni") != name.npos || name.find("amx") != name.npos || name.find("i8mm") != name.npos;
    CHECK_IN(name + " bias", (wrong_words(o, problem, random) > 0) == biased);
  }
}

// What the CPU would fault at ends the process.
template <class Work>
bool ends(Work work) {
  const pid_t child = fork();
  if (child == 0) {
    std::fclose(stderr);
    work();
    _exit(0);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFSIGNALED(status);
}

TileConfig config_of(int tiles) {
  TileConfig config;
  for (int i = 0; i < tiles; ++i) {
    config.rows[i] = kTileRows;
    config.row_bytes[i] = kTileBytes;
  }
  return config;
}

void test_stand_ins() {
  CHECK(!ends([] { ldtilecfg(config_of(8)), tilezero<0>(), tilerelease(); }));
  CHECK(ends([] { tilezero<0>(); }));
  CHECK(ends([] { ldtilecfg(config_of(8)), tilerelease(), tilezero<0>(); }));
  CHECK(ends([] { ldtilecfg(config_of(7)), tilezero<7>(); }));
  CHECK(ends([] { ldtilecfg(config_of(9)); }));
  CHECK(ends([] { ldtilecfg(config_of(8)), tdpbsud<0, 0, 1>(); }));
  const auto changed = [](auto change) {
    return ends([&] {
      TileConfig config = config_of(8);
      change(config);
      ldtilecfg(config);
      tdpbsud<0, 1, 2>();
      tilerelease();
    });
  };
  CHECK(!changed([](TileConfig&) {}));
  CHECK(changed([](TileConfig& config) { config.palette = 2; }));
  CHECK(changed([](TileConfig& config) { config.palette = 0; }));
  CHECK(changed([](TileConfig& config) { config.reserved[3] = 1; }));
  CHECK(changed([](TileConfig& config) { config.rows[1] = 17; }));
  CHECK(changed([](TileConfig& config) { config.row_bytes[1] = 68; }));
  CHECK(changed([](TileConfig& config) { config.row_bytes[1] = 0; }));
  CHECK(changed([](TileConfig& config) { config.rows[2] = 15; }));
  CHECK(changed([](TileConfig& config) { config.rows[1] = 15; }));
  CHECK(changed([](TileConfig& config) { config.row_bytes[1] = 60; }));
  CHECK(!changed([](TileConfig& config) { config.row_bytes[1] = 60, config.rows[2] = 15; }));

  // Two queries of 8 dimensions by three rows.
  TileConfig config;
  config.rows[0] = 2, config.row_bytes[0] = 12;
  config.rows[1] = 2, config.row_bytes[1] = 8;
  config.rows[2] = 2, config.row_bytes[2] = 12;
  const int8_t a[2][8] = {{-128, 1, 2, 3, 4, 5, 6, 7}, {127, -1, -2, -3, -4, -5, -6, -7}};
  uint8_t b[2][12];
  for (int k = 0; k < 2; ++k)
    for (int i = 0; i < 12; ++i) b[k][i] = static_cast<uint8_t>(255 - 12 * k - i);
  int32_t sums[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
  ldtilecfg(config);
  tileloadd<0>(sums, sizeof(sums[0]));
  tileloadd<1>(a, sizeof(a[0]));
  tileloadd<2>(b, sizeof(b[0]));
  tdpbsud<0, 1, 2>();
  tilestored<0>(sums, sizeof(sums[0]));
  tilerelease();
  for (int m = 0; m < 2; ++m)
    for (int n = 0; n < 4; ++n) {
      int32_t expected = 4 * m + n + 1;
      for (int i = 0; n < 3 && i < 8; ++i) expected += a[m][i] * b[i / 4][4 * n + i % 4];
      CHECK(sums[m][n] == expected);
    }
}

}  // namespace
}  // namespace nearfield::cpu::test

int main(int argc, char** argv) {
  using namespace nearfield::cpu::test;
  const uint64_t seed = seed_from(argc, argv, 20261130);
  test_stand_ins();
  test_sums(seed);
  test_bits(seed);
  test_planted(seed);
  return finish();
}
