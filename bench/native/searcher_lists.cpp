// SPDX-License-Identifier: Apache-2.0
// Of the searcher: lists, how far a search looks into them, their rows changed, and clusterings.
#include <algorithm>
#include <vector>

#include "commands.hpp"
#include "parallel.hpp"
#include "searcher.hpp"

namespace nearfield::bench {
namespace {

int32_t small(const Command& command, const char* key, int64_t fallback, int64_t least) {
  return static_cast<int32_t>(std::min<int64_t>(at_least(command, key, fallback, least), INT32_MAX));
}

}  // namespace

// To the rows of `training`, or a sample of the index's own.
Searcher::Fit Searcher::train_lists(nf_index* index, const Command& command) {
  auto request = sized<nf_train>();
  request.lists = small(command, "lists", 0, 1);
  request.iterations = small(command, "iterations", 0, 0);
  request.seed = static_cast<uint64_t>(command.integer("seed", 0));
  const std::string file = command.text("training", "");
  if (file.empty()) return train(index, request);
  const Fbin training(file);
  const nf_matrix rows = matrix(training, 0, training.rows());
  request.data = &rows;
  request.sample = training.rows();
  return train(index, request);
}

Reply Searcher::reach(const Command& command) {
  need_workload("reach");
  reach_.probes = small(command, "probes", 0, 0);
  reach_.target_recall = static_cast<float>(command.number("target_recall", 0));
  reach_.exact = command.integer("exact", 0) != 0;
  return Reply().set("settings", "");
}

Reply Searcher::change(const Command& command) {
  need_index("change");
  const int64_t removed = at_least(command, "removed", 0, 0);
  const Fbin more(command.text("added"));
  if (more.dim() != dim_ || removed_ + removed > info(index_.get()).rows)
    throw Refused(format("change: removed=%lld and rows of %lld dimensions, the index has %lld x %lld",
                         static_cast<long long>(removed), static_cast<long long>(more.dim()),
                         static_cast<long long>(info(index_.get()).rows), static_cast<long long>(dim_)));
  auto dead = sized<nf_live>();
  dead.first = removed_;
  dead.count = removed;
  Call call;
  const double start = now();
  call.check(library_->api().index_set_live(index_.get(), &dead, call.abi()));
  removed_ += removed;
  add(index_.get(), more, 0, more.rows());
  return Reply().set("seconds", now() - start);
}

Reply Searcher::compact(const Command&) {
  need_index("compact");
  std::vector<int64_t> numbers(static_cast<size_t>(std::max<int64_t>(info(index_.get()).rows, 1)));
  auto step = sized<nf_step>();
  step.budget_ns = kStepNanos;
  const double start = now();
  while (step.done == 0) {
    auto request = sized<nf_compact>();
    request.new_row = numbers.data();
    request.new_row_count = static_cast<int64_t>(numbers.size());
    Call call;
    call.check(library_->api().index_compact(index_.get(), &request, &step, call.abi()));
  }
  removed_ = 0;
  return Reply().set("seconds", now() - start);
}

// From the centroids of `start`, over all rows, into a file of centroids.
Reply Searcher::kmeans(const Command& command) {
  if (!library_) throw Refused("kmeans: hello comes first");
  const Fbin base(command.text("base")), first(command.text("start"));
  if (first.dim() != base.dim())
    throw Refused(format("kmeans: the start has %lld dimensions, the base has %lld",
                         static_cast<long long>(first.dim()), static_cast<long long>(base.dim())));
  std::vector<float> centroids(first.row(0), first.row(0) + first.rows() * first.dim());
  const nf_matrix rows = matrix(base, 0, base.rows());
  auto request = sized<nf_kmeans>();
  request.metric = metric_number(command.text("metric"));
  request.data = &rows;
  request.clusters = static_cast<int32_t>(first.rows());
  request.iterations = small(command, "iterations", 10, 1);
  request.init = 1;
  request.sample = base.rows();
  request.centroids = centroids.data();
  Call call;
  const double start = now();
  call.check(library_->api().kmeans(library_->context(), &request, nullptr, call.abi()));
  const double seconds = now() - start;
  Output out(command.text("to"));
  const uint32_t header[2] = {static_cast<uint32_t>(first.rows()), static_cast<uint32_t>(first.dim())};
  out.write(header, sizeof(header));
  out.write(centroids.data(), centroids.size() * sizeof(float));
  out.close();
  return Reply().set("seconds", seconds).set("iterations", request.iterations);
}

}  // namespace nearfield::bench
