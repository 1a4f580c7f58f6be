// SPDX-License-Identifier: Apache-2.0
#include "kmeans.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "check.hpp"

namespace nearfield::test {
namespace {

constexpr size_t kGuard = 8;
constexpr float kCentroid = -7.5f;
constexpr int32_t kLabel = -9;
constexpr double kInertia = -1.25;

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Outputs between sentinels.
class Outputs {
 public:
  Outputs(const nf_matrix& data, const KmeansOptions& options)
      : centroids_(static_cast<size_t>(options.clusters * data.cols) + 2 * kGuard, kCentroid),
        labels_(static_cast<size_t>(data.rows) + 2 * kGuard, kLabel) {
    std::copy(options.start.begin(), options.start.end(), centroids_.begin() + kGuard);
    before_ = centroids_;
  }
  float* centroids() { return centroids_.data() + kGuard; }
  int32_t* labels() { return labels_.data() + kGuard; }
  double* inertia() { return &inertia_; }

  void check_untouched() const {
    check(same_bits(centroids_, before_), "centroids were written");
    check(std::count(labels_.begin(), labels_.end(), kLabel) == std::ssize(labels_), "labels were written");
    check(inertia_ == kInertia, "the inertia was written");
  }
  void take(Clusters* to, bool rows) const {
    for (size_t i = 0; i < kGuard; ++i)
      check(centroids_[i] == kCentroid && centroids_[centroids_.size() - 1 - i] == kCentroid &&
                labels_[i] == kLabel && labels_[labels_.size() - 1 - i] == kLabel,
            "something beside the outputs was written");
    to->centroids.assign(centroids_.begin() + kGuard, centroids_.end() - kGuard);
    if (rows) to->labels.assign(labels_.begin() + kGuard, labels_.end() - kGuard);
    to->inertia = rows ? inertia_ : 0;
  }

 private:
  std::vector<float> centroids_, before_;
  std::vector<int32_t> labels_;
  double inertia_ = kInertia;
};

}  // namespace

bool Clusters::operator==(const Clusters& other) const {
  return same_bits(centroids, other.centroids) && labels == other.labels &&
         std::bit_cast<uint64_t>(inertia) == std::bit_cast<uint64_t>(other.inertia);
}

Answer try_kmeans(Backend& backend, nf_context* context, const nf_matrix& data, const KmeansOptions& options,
                  Clusters* to, int64_t cancel_at) {
  Outputs outputs(data, options);
  nf_step step{};
  step.struct_size = sizeof(step);
  step.budget_ns = std::max<int64_t>(0, options.budget_ns);
  for (int64_t steps = 1;; ++steps) {
    check(steps < 1'000'000, "kmeans is not done after %lld steps", static_cast<long long>(steps));
    // Each step has structs of its own, as a caller may have.
    const nf_matrix rows = data;
    nf_kmeans request{};
    request.struct_size = sizeof(request);
    request.metric = options.metric;
    request.data = &rows;
    request.weights = options.weights.empty() ? nullptr : options.weights.data();
    request.clusters = options.clusters;
    request.iterations = options.iterations;
    request.init = options.start.empty() ? 0 : 1;
    request.balanced = options.balanced ? 1 : 0;
    request.sample = options.sample;
    request.seed = options.seed;
    request.centroids = outputs.centroids();
    request.labels = options.wants_rows ? outputs.labels() : nullptr;
    request.inertia = options.wants_rows ? outputs.inertia() : nullptr;
    CallBlock call;
    const uint32_t cancel = steps == cancel_at ? 1 : 0;
    call.fields().cancel = &cancel;
    int64_t progress[3] = {};
    call.fields().progress = progress;
    const int64_t before = step.position;
    const Answer answer = call.answer(
        backend.api().kmeans(context, &request, options.budget_ns < 0 ? nullptr : &step, call.abi()));
    if (answer.code != NF_OK) {
      outputs.check_untouched();
      return answer;
    }
    check(progress[1] <= progress[2] && progress[0] == 4, "progress: phase %lld, row %lld of %lld",
          static_cast<long long>(progress[0]), static_cast<long long>(progress[1]),
          static_cast<long long>(progress[2]));
    if (options.budget_ns < 0 || step.done == 1) {
      check(step.work == nullptr, "kmeans is done and keeps work");
      check(options.budget_ns < 0 || step.position >= data.rows, "kmeans is done at row %lld",
            static_cast<long long>(step.position));
      outputs.take(to, options.wants_rows);
      to->steps = steps;
      return answer;
    }
    check(step.position >= before && step.work != nullptr, "a step goes from row %lld to %lld",
          static_cast<long long>(before), static_cast<long long>(step.position));
    outputs.check_untouched();
  }
}

Clusters kmeans(Backend& backend, nf_context* context, const nf_matrix& data, const KmeansOptions& options) {
  Clusters clusters;
  ok(try_kmeans(backend, context, data, options, &clusters), "kmeans");
  return clusters;
}

void assign(Backend& backend, nf_context* context, int32_t metric, const nf_matrix& data,
            const nf_matrix& centroids, Results* to) {
  nf_assign request{};
  request.struct_size = sizeof(request);
  request.metric = metric;
  request.data = &data;
  request.centroids = &centroids;
  request.nearest = to->abi();
  CallBlock call;
  ok(call.answer(backend.api().assign(context, &request, call.abi())), "assign");
  to->check_form();
}

}  // namespace nearfield::test
