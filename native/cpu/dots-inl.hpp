// SPDX-License-Identifier: Apache-2.0
// Integer dots of 4 dimensions, a lane a row: sums[row] += sum of row[i] * query[i]. One `Unit` for each
// instruction set; Debian's Highway has none of these. Included by codes.cpp in the namespace and with the
// attributes of its unit (no include guard on purpose).
//
// Rows come as stored, code + 128. kBiased: the sums are of that, 128 times the sum of the query's codes too
// large.

using DI = hn::ScalableTag<int32_t>;
using VI = hn::Vec<DI>;

#if NF_UNIT == NF_UNIT_AVX512VNNI
struct Unit {
  static constexpr bool kBiased = true;
  using Rows = __m512i;
  static HWY_INLINE Rows load(const uint8_t* rows) { return _mm512_loadu_si512(rows); }
  static HWY_INLINE VI add(VI sum, Rows rows, const int8_t* query) {
    int32_t word;
    std::memcpy(&word, query, 4);
    // By name: gcc 12 copies the sums of the intrinsic from register to register, and then to the stack (57
    // accesses in the loop of 12 queries, 1.7 times slower).
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(rows), "v"(_mm512_set1_epi32(word)));
    return sum;
  }
};
#elif NF_UNIT == NF_UNIT_AVXVNNI
struct Unit {
  static constexpr bool kBiased = true;
  using Rows = __m256i;
  static HWY_INLINE Rows load(const uint8_t* rows) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows));
  }
  static HWY_INLINE VI add(VI sum, Rows rows, const int8_t* query) {
    int32_t word;
    std::memcpy(&word, query, 4);
    asm("%{" NF_AVXVNNI_PREFIX "%} vpdpbusd %2, %1, %0"
        : "+x"(sum.raw)
        : "x"(rows), "x"(_mm256_set1_epi32(word)));
    return sum;
  }
};
#elif NF_UNIT == NF_UNIT_AVX2
// |row| times the query with the row's sign: within +-127, so that two products fit 16 bits.
struct Unit {
  static constexpr bool kBiased = false;
  struct Rows {
    __m256i codes, absolute;
  };
  static HWY_INLINE Rows load(const uint8_t* rows) {
    const __m256i codes = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows)),
                                           _mm256_set1_epi8(static_cast<char>(0x80)));
    return {codes, _mm256_abs_epi8(codes)};
  }
  static HWY_INLINE VI add(VI sum, const Rows& rows, const int8_t* query) {
    int32_t word;
    std::memcpy(&word, query, 4);
    const __m256i pairs =
        _mm256_maddubs_epi16(rows.absolute, _mm256_sign_epi8(_mm256_set1_epi32(word), rows.codes));
    return VI{_mm256_add_epi32(sum.raw, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
  }
};
#elif NF_UNIT == NF_UNIT_NEONI8MM
struct Unit {
  static constexpr bool kBiased = true;
  using Rows = uint8x16_t;
  static HWY_INLINE Rows load(const uint8_t* rows) { return vld1q_u8(rows); }
  static HWY_INLINE VI add(VI sum, Rows rows, const int8_t* query) {
    int32_t word;
    std::memcpy(&word, query, 4);
    return VI{vusdotq_s32(sum.raw, rows, vreinterpretq_s8_s32(vdupq_n_s32(word)))};
  }
  // Two rows by two queries over 8 dimensions: the sums are those of row 0 with each query, then of row 1.
  using Queries = int8x16_t;
  static HWY_INLINE Queries load_two(const int8_t* queries) { return vld1q_s8(queries); }
  static HWY_INLINE Queries load_one(const int8_t* query) {
    return vcombine_s8(vld1_s8(query), vdup_n_s8(0));
  }
  static HWY_INLINE VI add_pairs(VI sums, Rows rows, Queries queries) {
    return VI{vusmmlaq_s32(sums.raw, rows, queries)};
  }
};
#elif NF_UNIT == NF_UNIT_NEONDOT
struct Unit {
  static constexpr bool kBiased = false;
  using Rows = int8x16_t;
  static HWY_INLINE Rows load(const uint8_t* rows) {
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(rows), vdupq_n_u8(0x80)));
  }
  static HWY_INLINE VI add(VI sum, Rows rows, const int8_t* query) {
    float word;  // for a load into a vector register
    std::memcpy(&word, query, 4);
    // By name: clang has each word copied into all lanes, from an address that it computes first (47
    // instructions instead of 39 in the loop of 6 queries).
    asm("sdot %0.4s, %1.16b, %2.4b[0]" : "+w"(sum.raw) : "w"(rows), "w"(word));
    return sum;
  }
};
#elif NF_UNIT == NF_UNIT_NEON
// Codes are within +-127, so that two products fit 16 bits.
struct Unit {
  static constexpr bool kBiased = false;
  using Rows = int8x16_t;
  static HWY_INLINE Rows load(const uint8_t* rows) {
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(rows), vdupq_n_u8(0x80)));
  }
  static HWY_INLINE VI add(VI sum, Rows rows, const int8_t* query) {
    int32_t word;
    std::memcpy(&word, query, 4);
    const int8x16_t codes = vreinterpretq_s8_s32(vdupq_n_s32(word));
    const int16x8_t low = vmull_s8(vget_low_s8(rows), vget_low_s8(codes));
    const int16x8_t high = vmull_high_s8(rows, codes);
    return VI{vpadalq_s16(sum.raw, vpaddq_s16(low, high))};
  }
};
#else
struct Unit {
  static constexpr bool kBiased = false;
  using Rows = const uint8_t*;
  static HWY_INLINE Rows load(const uint8_t* rows) { return rows; }
  static HWY_INLINE VI add(VI sum, Rows rows, const int8_t* query) {
    const DI d;
    HWY_ALIGN int32_t sums[hn::MaxLanes(d)];
    hn::Store(sum, d, sums);
    for (size_t row = 0; row < hn::MaxLanes(d); ++row)
      for (size_t i = 0; i < 4; ++i)
        sums[row] += (static_cast<int32_t>(rows[4 * row + i]) - kCodeBias) * query[i];
    return hn::Load(d, sums);
  }
};
#endif
