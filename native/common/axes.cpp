// SPDX-License-Identifier: Apache-2.0
#include "axes.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>

#include "random.hpp"

namespace nearfield {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;
using Axes = Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

// Rows of the sample at once: 128 x 1,024 f64 are 1 MiB, and 2^27 multiplications about 15 ms.
constexpr Eigen::Index kBlock = 128;
// Passes of the subspace iteration: each squares the ratio between the variances of an axis kept and one left
// out, and with twice the axes that are kept two are enough (Halko, Martinsson and Tropp 2011, section 4.5).
constexpr int kPasses = 2;
constexpr Eigen::Index kIterated = 2 * kTopAxes;
// Rows of the iteration: 16 an axis.
constexpr Eigen::Index kIterationRows = 16 * kIterated;

// Columns are the sample's rows [begin, end) less the mean, in units of `unit`, so that no square overflows.
MatrixXd centred(const SampleRows& sample, const float* mean, double unit, Eigen::Index begin,
                 Eigen::Index end) {
  MatrixXd block(sample.dim, end - begin);
  for (Eigen::Index i = begin; i < end; ++i) {
    const float* const row = sample.row(static_cast<size_t>(i));
    for (Eigen::Index j = 0; j < sample.dim; ++j)
      block(j, i - begin) = (static_cast<double>(row[j]) - static_cast<double>(mean[j])) * unit;
  }
  return block;
}

double largest(const SampleRows& sample, const float* mean) {
  double most = 0;
  for (size_t i = 0; i < sample.kept.size(); ++i)
    for (int32_t j = 0; j < sample.dim; ++j)
      most = std::max(most, std::fabs(static_cast<double>(sample.row(i)[j]) - static_cast<double>(mean[j])));
  return most;
}

template <typename Visit>
bool for_each_block(Eigen::Index rows, const Stop& stop, const Visit& visit) {
  for (Eigen::Index begin = 0; begin < rows; begin += kBlock) {
    if (stop) return false;
    visit(begin, std::min(begin + kBlock, rows));
  }
  return true;
}

// Row i of `to`: column dim - 1 - i of `vectors`, whose values ascend, with the sign that makes its largest
// element positive, for a solver may return either.
void write_axes(const MatrixXd& vectors, Axes* to) {
  const Eigen::Index count = vectors.cols();
  for (Eigen::Index i = 0; i < count; ++i) {
    const auto vector = vectors.col(count - 1 - i);
    Eigen::Index place = 0;
    vector.cwiseAbs().maxCoeff(&place);
    to->row(i) = ((vector[place] < 0 ? -1.0 : 1.0) * vector).transpose().cast<float>();
  }
}

bool all_axes(const SampleRows& sample, const float* mean, double unit, const Stop& stop, Axes* to) {
  MatrixXd covariance = MatrixXd::Zero(sample.dim, sample.dim);
  const bool whole = for_each_block(
      static_cast<Eigen::Index>(sample.kept.size()), stop, [&](Eigen::Index begin, Eigen::Index end) {
        covariance.selfadjointView<Eigen::Lower>().rankUpdate(centred(sample, mean, unit, begin, end));
      });
  if (!whole) return false;
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(covariance);
  if (stop) return false;
  if (solver.info() == Eigen::Success) write_axes(solver.eigenvectors(), to);
  return true;
}

// C q, C the covariance of the first rows.
bool apply_covariance(const SampleRows& sample, const float* mean, double unit, const MatrixXd& q,
                      const Stop& stop, MatrixXd* to) {
  const auto rows = std::min(kIterationRows, static_cast<Eigen::Index>(sample.kept.size()));
  to->setZero(q.rows(), q.cols());
  return for_each_block(rows, stop, [&](Eigen::Index begin, Eigen::Index end) {
    const MatrixXd block = centred(sample, mean, unit, begin, end);
    const MatrixXd projected = block.transpose() * q;
    to->noalias() += block * projected;
  });
}

// All axes where the first are the columns of q. The reflectors H = I - V T V' that make these of the first
// unit vectors, up to a sign that does not depend on the signs of q, make the others of the rest: R = H'.
// With P an orthonormal basis of the columns of V that is I - (P C')P', C = P'(I - H)P.
bool complete(const MatrixXd& q, const Stop& stop, Axes* to, Factors* factors) {
  const Eigen::Index dim = q.rows(), count = q.cols();
  const Eigen::HouseholderQR<MatrixXd> reflectors(q);
  for (Eigen::Index begin = 0; begin < dim; begin += kBlock) {
    if (stop) return false;
    const Eigen::Index some = std::min(kBlock, dim - begin);
    MatrixXd axes = MatrixXd::Zero(dim, some);
    axes.middleRows(begin, some).setIdentity();
    axes.applyOnTheLeft(reflectors.householderQ());
    to->middleRows(begin, some) = axes.transpose().cast<float>();
  }
  MatrixXd v = reflectors.matrixQR().triangularView<Eigen::StrictlyLower>();
  v.diagonal().setOnes();
  MatrixXd p = MatrixXd::Identity(dim, count);
  p.applyOnTheLeft(Eigen::HouseholderQR<MatrixXd>(v).householderQ());
  MatrixXd turned = p;
  turned.applyOnTheLeft(reflectors.householderQ());
  if (stop) return false;
  const MatrixXd c = p.transpose() * (p - turned);
  factors->count = static_cast<int32_t>(count);
  factors->reduce.resize(static_cast<size_t>(p.size()));
  factors->expand.resize(static_cast<size_t>(p.size()));
  Axes(factors->reduce.data(), count, dim) = p.transpose().cast<float>();
  Axes(factors->expand.data(), dim, count) = (p * c.transpose()).cast<float>();
  return true;
}

bool top_axes(const SampleRows& sample, const float* mean, double unit, uint64_t seed, const Stop& stop,
              Axes* to, Factors* factors) {
  const Eigen::Index dim = sample.dim;
  Random random(seed);
  MatrixXd q(dim, kIterated), next;
  for (Eigen::Index i = 0; i < q.size(); ++i) q.data()[i] = random.normal();
  const auto orthonormal = [&](const MatrixXd& from) {
    q.setIdentity();
    q.applyOnTheLeft(Eigen::HouseholderQR<MatrixXd>(from).householderQ());
  };
  for (int pass = 0; pass <= kPasses; ++pass) {
    if (!apply_covariance(sample, mean, unit, q, stop, &next)) return false;
    orthonormal(next);
  }
  if (!apply_covariance(sample, mean, unit, q, stop, &next)) return false;
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(q.transpose() * next);
  if (solver.info() != Eigen::Success) return true;
  q *= solver.eigenvectors().rowwise().reverse();
  return complete(q.leftCols(kTopAxes), stop, to, factors);
}

}  // namespace

bool find_axes(const SampleRows& sample, const float* mean, uint64_t seed, const Stop& stop,
               std::vector<float>* axes, Factors* factors) {
  axes->clear();
  *factors = {};
  const double most = largest(sample, mean);
  if (most == 0) return true;
  const auto dim = static_cast<size_t>(sample.dim);
  axes->resize(dim * dim);
  Axes to(axes->data(), sample.dim, sample.dim);
  if (sample.dim <= kExactDim) return all_axes(sample, mean, 1 / most, stop, &to);
  return top_axes(sample, mean, 1 / most, seed, stop, &to, factors);
}

bool measure_axes(const std::vector<float>& axes, int32_t dim, const Stop& stop, double* departure) {
  // |R'R - I|_F = |RR' - I|_F for a square R: rows by rows, as they lie.
  using Rows = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
  const MatrixXd columns = Rows(axes.data(), dim, dim).cast<double>().transpose();
  double sum = 0;
  const bool whole = for_each_block(dim, stop, [&](Eigen::Index begin, Eigen::Index end) {
    MatrixXd products = columns.middleCols(begin, end - begin).transpose() * columns;
    for (Eigen::Index i = begin; i < end; ++i) products(i - begin, i) -= 1;
    sum += products.squaredNorm();
  });
  if (!whole) return false;
  // Each product is off by at most dim 2^-53 |r||r'|, of rows about 1 long, and so is what is summed of them.
  const double slack = static_cast<double>(dim) * dim * 0x1p-52;
  *departure = std::sqrt(sum) * (1 + 0x1p-20) + slack;
  return true;
}

bool measure_factors(const std::vector<float>& axes, int32_t dim, double departure, const Stop& stop,
                     Factors* factors) {
  using Rows = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
  const auto count = static_cast<double>(factors->count), dims = static_cast<double>(dim);
  const MatrixXd reduce = Rows(factors->reduce.data(), factors->count, dim).cast<double>();
  const Rows expand(factors->expand.data(), dim, factors->count), dense(axes.data(), dim, dim);
  double sum = 0;
  const bool whole = for_each_block(dim, stop, [&](Eigen::Index begin, Eigen::Index end) {
    MatrixXd apart = expand.middleRows(begin, end - begin).cast<double>() * reduce;
    apart += dense.middleRows(begin, end - begin).cast<double>();
    apart.middleCols(begin, end - begin).diagonal().array() -= 1;
    sum += apart.squaredNorm();
  });
  if (!whole) return false;
  // As in measure_axes(); the rows of `expand` are at most 2 long.
  const double apart = std::sqrt(sum) * (1 + 0x1p-20) + dims * dims * 0x1p-51;
  MatrixXd products = reduce * reduce.transpose();
  products.diagonal().array() -= 1;
  const double skew = products.norm() * (1 + 0x1p-20) + dims * dims * 0x1p-52;
  factors->rounding = std::numeric_limits<double>::infinity();
  if (skew > 0.5) return true;
  // |P|, and |W| <= |W P| |P'(P P')^-1|, where W P is I - R up to `apart` (docs/numerics.md).
  const double p = std::sqrt(1 + skew), w = (1 + std::sqrt(1 + departure) + apart) / std::sqrt(1 - skew);
  constexpr double u = 0x1p-24;
  factors->rounding = (apart + u * (w * p * (2 * dims + 8) + (count + 8) * (1 + 2 * w * p))) * (1 + 0x1p-10);
  return true;
}

}  // namespace nearfield
