// SPDX-License-Identifier: Apache-2.0
#include "spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "message.hpp"

namespace nearfield::bench {
namespace {

using test::Random;

// Clusters as embeddings of texts have them: many, overlapping, most of the energy in few directions; or in
// many. And tight ones, far apart. The spreads of those that overlap: with a million rows of 128 dimensions,
// the ten nearest are found to 95% in 17 and 32 of 1,024 lists (faiss IVFFlat, 1,000 queries).
constexpr int64_t kDecayingClusters = 2000, kOverlappingClusters = 2000, kTightClusters = 1000;
constexpr float kDecayingSpread = 0.6f, kOverlappingSpread = 1.1f, kTightSpread = 0.1f;

// Streams of numbers beside those of rows, which have the seed itself.
constexpr uint64_t kCentres = 0x2545f4914f6cdd1du, kPlanes = 0x6a09e667f3bcc909u;
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;

}  // namespace

Rotation::Rotation(int64_t dim, uint64_t seed) {
  Random random(seed ^ kPlanes);
  std::vector<int32_t> order(static_cast<size_t>(dim));
  std::iota(order.begin(), order.end(), 0);
  int stages = 0;
  for (int64_t reached = 1; reached < dim; reached *= 2) ++stages;
  // After as many stages as bits every coordinate may have a part of every other; after twice as many the
  // parts are even.
  for (int stage = 0; stage < 2 * stages; ++stage) {
    for (int64_t i = dim - 1; i > 0; --i)
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(random.below(i + 1))]);
    for (size_t i = 0; i + 1 < order.size(); i += 2) {
      const double x = random.gauss(), y = random.gauss(), length = std::sqrt(std::max(x * x + y * y, 1e-30));
      planes_.push_back(
          {order[i], order[i + 1], static_cast<float>(x / length), static_cast<float>(y / length)});
    }
  }
}

void Rotation::apply(float (*rows)[kRows]) const {
  for (const Plane& plane : planes_) {
    float* a = rows[plane.a];
    float* b = rows[plane.b];
    for (int i = 0; i < kRows; ++i) {
      const float x = a[i], y = b[i];
      a[i] = plane.cosine * x - plane.sine * y;
      b[i] = plane.sine * x + plane.cosine * y;
    }
  }
}

Spectrum::Spectrum(const std::string& name, int64_t dim, uint64_t seed) : dim_(dim), seed_(seed) {
  if (name == "isotropic") return;
  if (name == "decaying") {
    clusters_ = kDecayingClusters;
    spread_ = kDecayingSpread;
    for (int64_t i = 1; i <= dim; ++i) {  // energies i^-1.5
      const auto place = static_cast<double>(i);
      deviations_.push_back(static_cast<float>(1 / std::sqrt(place * std::sqrt(place))));
    }
    rotation_.emplace_back(dim, seed);
  } else if (name == "overlapping") {
    clusters_ = kOverlappingClusters;
    spread_ = kOverlappingSpread;
    for (int64_t i = 1; i <= dim; ++i)  // energies i^-0.5
      deviations_.push_back(static_cast<float>(1 / std::sqrt(std::sqrt(static_cast<double>(i)))));
    rotation_.emplace_back(dim, seed);
  } else if (name == "clusters") {
    clusters_ = kTightClusters;
    spread_ = kTightSpread;
    deviations_.assign(static_cast<size_t>(dim), 1);
  } else {
    throw Refused("generate: spectrum=\"" + name +
                  "\" is not known; there are isotropic, decaying, clusters, overlapping");
  }
  for (int64_t cluster = 0; cluster < clusters_; ++cluster) {
    Random random(seed ^ kCentres ^ (kGolden * static_cast<uint64_t>(cluster + 1)));
    for (int64_t i = 0; i < dim; ++i) centres_.push_back(static_cast<float>(random.gauss()));
  }
}

void Spectrum::draw(float* out, int64_t number) const {
  Random random(seed_ ^ (kGolden * static_cast<uint64_t>(number + 1)));
  if (clusters_ == 0) {
    for (int64_t i = 0; i < dim_; ++i) out[i] = static_cast<float>(random.gauss());
    return;
  }
  const float* centre = centres_.data() + random.below(clusters_) * dim_;
  for (int64_t i = 0; i < dim_; ++i)
    out[i] = deviations_[static_cast<size_t>(i)] * (centre[i] + spread_ * static_cast<float>(random.gauss()));
}

void Spectrum::fill(float* out, int64_t first, int64_t count) const {
  for (int64_t i = 0; i < count; ++i) draw(out + i * dim_, first + i);
  if (rotation_.empty()) return;
  std::vector<float> turned(static_cast<size_t>(dim_ * Rotation::kRows));
  const auto rows = reinterpret_cast<float(*)[Rotation::kRows]>(turned.data());
  for (int64_t from = 0; from < count; from += Rotation::kRows) {
    const int64_t some = std::min<int64_t>(Rotation::kRows, count - from);
    for (int64_t j = 0; j < some; ++j) {
      for (int64_t i = 0; i < dim_; ++i) rows[i][j] = out[(from + j) * dim_ + i];
    }
    rotation_[0].apply(rows);
    for (int64_t j = 0; j < some; ++j) {
      for (int64_t i = 0; i < dim_; ++i) out[(from + j) * dim_ + i] = rows[i][j];
    }
  }
}

}  // namespace nearfield::bench
