// SPDX-License-Identifier: Apache-2.0
// One trial of the bounds of a pair, with or without a weakness planted in one of their terms.
#pragma once

#include <array>
#include <cstdio>
#include <string>

#include "basis.hpp"
#include "coded_pair.hpp"
#include "coded_query.hpp"
#include "metric.hpp"
#include "tile32.hpp"

namespace nearfield::test {

enum class Weakness {
  kNone,
  kError,
  kQueryError,
  kDeparture,
  kShrink,
  kGrow,
  kNormUnit,
  kCanonical,
  kTiny,
  kFixed,
  kAddend,
  kSlack,
  kNormUp,
  kBetaUnit
};
inline constexpr std::array<const char*, 14> kWeaknesses = {"nothing",
                                                            "the error of rows",
                                                            "the error of queries",
                                                            "the departure",
                                                            "48 u below",
                                                            "96 u above",
                                                            "the norm's unit",
                                                            "the canonical form's error",
                                                            "what is flushed",
                                                            "what is flushed beside beta",
                                                            "a query's addend",
                                                            "the slack of dot",
                                                            "the norm's unit in dot",
                                                            "the units of beta"};
// What hangs on many errors at once, or on a norm that is hardly rounded down, is in worst cases alone.
inline bool shows_in_data(Weakness weakness) {
  return weakness == Weakness::kError || weakness == Weakness::kQueryError ||
         weakness == Weakness::kDeparture || weakness == Weakness::kAddend;
}

// The parameters that a kernel is given, less the weakness.
struct Terms {
  CodedProductParams params{};
  CodeBound bound;

  Terms(int32_t metric, const Basis& basis, Weakness weakness)
      : bound(metric, believed(basis, weakness), roundings(basis.dim, weakness)) {
    params = pair_params(bound, CodeLayout{metric, basis.dim, basis.level_dims, 0}.coded_dim());
    switch (weakness) {
      case Weakness::kShrink:
        params.shrink = 1;
        break;
      case Weakness::kGrow:
        params.grow = 1;
        break;
      case Weakness::kNormUnit:
        params.norm_unit = 0;
        break;
      case Weakness::kTiny:
        params.tiny = 0;
        if (metric != NF_POINCARE) params.addend = 0;
        break;
      case Weakness::kFixed:
        params.fixed = 0;
        break;
      case Weakness::kSlack:
        params.slack = 0;
        break;
      case Weakness::kNormUp:
        params.norm_up = 1;
        break;
      case Weakness::kBetaUnit:
        params.beta_unit = 0;
        break;
      default:
        break;
    }
  }

  // n + 8: a device may round twice for a fused multiply-add. Thousands of dimensions have more of them than
  // the 2^-16 beside has room for.
  static int64_t roundings(int32_t dim, Weakness weakness) {
    return weakness == Weakness::kCanonical ? -2 : padded_dim(dim) / 4 + 8;
  }
  static Basis believed(const Basis& basis, Weakness weakness) {
    Basis other = basis;
    if (weakness == Weakness::kDeparture) other.departure = 0;
    return other;
  }
};

struct Count {
  int64_t pairs = 0, left_out = 0, below = 0, wrong = 0;
  std::string first;
};

// One pair against the ranks that it may have, and limits that it must stay within.
struct CodedPair {
  Sides row, query;
  float beta = 1;
  ProductQuery terms{};
  int32_t dot = 0;
};
inline bool judge(int32_t metric, const Terms& terms, Weakness weakness, CodedPair pair, Rounding rounding,
                  float least, float most, Count* count) {
  if (weakness == Weakness::kError) pair.row.error = 0;
  if (weakness == Weakness::kQueryError) pair.query.error = 0;
  if (weakness == Weakness::kAddend) pair.terms.addend = 0;
  const PairModel model(metric, terms.params, rounding);
  const PairModel::Bounds bounds = model.bounds(pair.row, pair.beta, pair.query, pair.terms, pair.dot);
  const bool stays = model.stays(pair.row, pair.beta, pair.query, pair.terms, pair.dot, least);
  const bool holds = bounds.lower <= least && most <= bounds.upper && stays;
  if (!holds && count->wrong++ == 0) {
    char text[256];
    std::snprintf(text, sizeof(text), "%s, arithmetic %d, ranks from %.9g to %.9g, bounds %.9g and %.9g%s",
                  metric_name(metric), static_cast<int>(rounding), static_cast<double>(least),
                  static_cast<double>(most), static_cast<double>(bounds.lower),
                  static_cast<double>(bounds.upper), stays ? "" : ", left out");
    count->first = text;
  }
  return holds;
}

}  // namespace nearfield::test
