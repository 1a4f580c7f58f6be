// SPDX-License-Identifier: Apache-2.0
#include "case.hpp"

#include "nearfield/nearfield.h"

namespace nearfield::test {

const char* metric_name(int32_t metric) {
  switch (metric) {
    case NF_L2SQ:
      return "l2";
    case NF_COSINE:
      return "cosine";
    case NF_DOT:
      return "dot";
    case NF_POINCARE:
      return "poincare";
    case NF_MANHATTAN:
      return "manhattan";
    default:
      return "?";
  }
}

const char* data_name(Data data) {
  switch (data) {
    case Data::GAUSS:
      return "gauss";
    case Data::CLUSTERED:
      return "clustered";
    case Data::TIES:
      return "ties";
    case Data::DUPLICATES:
      return "duplicates";
    case Data::OFFSET:
      return "offset";
    case Data::BOUNDARY:
      return "boundary";
    case Data::ZEROS:
      return "zeros";
    case Data::HUGE_NORMS:
      return "huge";
    case Data::TINY:
      return "tiny";
    case Data::SCALES:
      return "scales";
    case Data::SUBNORMALS:
      return "subnormals";
    case Data::DIRECTED:
      return "directed";
    case Data::UNDERFLOW:
      return "underflow";
  }
  return "?";
}

bool fits(Data data, int32_t metric) {
  switch (data) {
    case Data::BOUNDARY:
      return metric == NF_POINCARE;
    case Data::ZEROS:
      return metric != NF_COSINE;
    case Data::OFFSET:
    case Data::HUGE_NORMS:
    case Data::SCALES:
      return metric != NF_POINCARE;
    case Data::DIRECTED:
      return metric == NF_L2SQ || metric == NF_COSINE || metric == NF_DOT;
    case Data::UNDERFLOW:
      return metric == NF_L2SQ;
    default:
      return true;
  }
}

std::string Case::name() const {
  std::string text = test + "(metric=" + metric_name(metric) + ",dim=" + std::to_string(dim) +
                     ",rows=" + std::to_string(rows) + ",k=" + std::to_string(k) +
                     ",batch=" + std::to_string(batch) + ",data=" + data_name(data);
  if (padded) text += ",stride=padded";
  if (tiny_slabs) text += ",slabs=tiny";
  if (round != 0) text += ",round=" + std::to_string(round);
  return text + ")";
}

}  // namespace nearfield::test
