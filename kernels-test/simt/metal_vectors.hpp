// SPDX-License-Identifier: Apache-2.0
// Scalars, vectors and arithmetic of the Metal Shading Language, for metal_dialect.hpp. Sizes and alignments
// are those of the specification; no swizzles.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace metal {

using uchar = uint8_t;
using ushort = uint16_t;
using uint = uint32_t;
using ulong = unsigned long;
static_assert(sizeof(ulong) == 8);

// binary16. A difference is exact in float, whose rounding to half is then the only one.
struct half {
  uint16_t bits;
  half() = default;
  // To the nearest, ties to even.
  explicit half(float value) {
    const auto word = std::bit_cast<uint32_t>(value);
    const auto sign = static_cast<uint16_t>(word >> 16 & 0x8000);
    const float size = std::fabs(value);
    if (!(size < 65520.0f)) {  // rounds to infinity, or is NaN
      bits = static_cast<uint16_t>(sign | (std::isnan(value) ? 0x7e00 : 0x7c00));
    } else if (size < 0x1p-14f) {  // multiples of 2^-24
      bits = static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(size * 0x1p24f)));
    } else {
      const uint32_t rounded = (word & 0x7fffffff) + 0xfff + (word >> 13 & 1);
      bits = static_cast<uint16_t>(sign | ((rounded - (112u << 23)) >> 13));
    }
  }
  operator float() const {
    const uint32_t sign = uint32_t{bits} << 16 & 0x80000000u, rest = bits & 0x7fffu;
    const uint32_t size = rest >= 0x7c00
                              ? rest << 13 | 0x7f800000u
                              : std::bit_cast<uint32_t>(std::bit_cast<float>(rest << 13) * 0x1p112f);
    return std::bit_cast<float>(sign | size);
  }
};
inline half operator-(half a, half b) { return half(float(a) - float(b)); }

template <class T>
struct alignas(2 * sizeof(T)) vec2 {
  T x, y;
  vec2() = default;
  constexpr explicit vec2(T all) : x(all), y(all) {}
  constexpr vec2(T x, T y) : x(x), y(y) {}
};
template <class T>
struct alignas(4 * sizeof(T)) vec3 {
  T x, y, z;
  vec3() = default;
  constexpr explicit vec3(T all) : x(all), y(all), z(all) {}
  constexpr vec3(T x, T y, T z) : x(x), y(y), z(z) {}
};
template <class T>
struct alignas(4 * sizeof(T)) vec4 {
  T x, y, z, w;
  vec4() = default;
  constexpr explicit vec4(T all) : x(all), y(all), z(all), w(all) {}
  constexpr vec4(T x, T y, T z, T w) : x(x), y(y), z(z), w(w) {}
};

using half2 = vec2<half>;
using float2 = vec2<float>;
using float3 = vec3<float>;
using float4 = vec4<float>;
using uint2 = vec2<uint>;
using uint3 = vec3<uint>;
using uint4 = vec4<uint>;
using int2 = vec2<int>;
using int4 = vec4<int>;
using ulong2 = vec2<ulong>;

// Element by element.
template <class T, class Op>
vec2<T> each(Op op, vec2<T> a, vec2<T> b, vec2<T> c) {
  return {op(a.x, b.x, c.x), op(a.y, b.y, c.y)};
}
template <class T, class Op>
vec3<T> each(Op op, vec3<T> a, vec3<T> b, vec3<T> c) {
  return {op(a.x, b.x, c.x), op(a.y, b.y, c.y), op(a.z, b.z, c.z)};
}
template <class T, class Op>
vec4<T> each(Op op, vec4<T> a, vec4<T> b, vec4<T> c) {
  return {op(a.x, b.x, c.x), op(a.y, b.y, c.y), op(a.z, b.z, c.z), op(a.w, b.w, c.w)};
}

using std::abs;
using std::ceil;
using std::fabs;
using std::floor;
using std::fma;
using std::fmax;
using std::fmin;
using std::isnan;
using std::rint;
using std::sqrt;

#define NF_VECTOR_OPERATIONS(vec)                                          \
  template <class T>                                                       \
  vec<T> operator+(vec<T> a, vec<T> b) {                                   \
    return each([](T x, T y, T) { return x + y; }, a, b, a);               \
  }                                                                        \
  template <class T>                                                       \
  vec<T> operator-(vec<T> a, vec<T> b) {                                   \
    return each([](T x, T y, T) { return x - y; }, a, b, a);               \
  }                                                                        \
  template <class T>                                                       \
  vec<T> operator*(vec<T> a, vec<T> b) {                                   \
    return each([](T x, T y, T) { return x * y; }, a, b, a);               \
  }                                                                        \
  template <class T>                                                       \
  vec<T> operator*(vec<T> a, std::type_identity_t<T> b) {                  \
    return a * vec<T>(b);                                                  \
  }                                                                        \
  template <class T>                                                       \
  vec<T> operator*(std::type_identity_t<T> a, vec<T> b) {                  \
    return vec<T>(a) * b;                                                  \
  }                                                                        \
  template <class T>                                                       \
  vec<T>& operator+=(vec<T>& a, vec<T> b) {                                \
    return a = a + b;                                                      \
  }                                                                        \
  template <class T>                                                       \
  vec<T> fma(vec<T> a, vec<T> b, vec<T> c) {                               \
    return each([](T x, T y, T z) { return std::fma(x, y, z); }, a, b, c); \
  }                                                                        \
  template <class T>                                                       \
  vec<T> fabs(vec<T> a) {                                                  \
    return each([](T x, T, T) { return std::fabs(x); }, a, a, a);          \
  }                                                                        \
  template <class T>                                                       \
  vec<T> rint(vec<T> a) {                                                  \
    return each([](T x, T, T) { return std::rint(x); }, a, a, a);          \
  }                                                                        \
  template <class T>                                                       \
  vec<T> fmin(vec<T> a, vec<T> b) {                                        \
    return each([](T x, T y, T) { return std::fmin(x, y); }, a, b, a);     \
  }                                                                        \
  template <class T>                                                       \
  vec<T> fmax(vec<T> a, vec<T> b) {                                        \
    return each([](T x, T y, T) { return std::fmax(x, y); }, a, b, a);     \
  }                                                                        \
  template <class T>                                                       \
  vec<T> abs(vec<T> a) {                                                   \
    return each([](T x, T, T) { return std::abs(x); }, a, a, a);           \
  }
NF_VECTOR_OPERATIONS(vec2)
NF_VECTOR_OPERATIONS(vec3)
NF_VECTOR_OPERATIONS(vec4)
#undef NF_VECTOR_OPERATIONS

template <class T>
float dot(vec4<T> a, vec4<T> b) {
  return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}

template <class To, class From>
To as_type(From from) {
  static_assert(sizeof(To) == sizeof(From), "as_type keeps the bits");
  return std::bit_cast<To>(from);
}

// Both of one type, so that nothing is converted silently.
template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}
template <class T>
T clamp(T a, T low, T high) {
  return min(max(a, low), high);
}
template <class T>
T select(T no, T yes, bool which) {
  return which ? yes : no;
}
inline uint clz(uint a) { return static_cast<uint>(std::countl_zero(a)); }
inline uint ctz(uint a) { return static_cast<uint>(std::countr_zero(a)); }
inline uint popcount(uint a) { return static_cast<uint>(std::popcount(a)); }

}  // namespace metal
